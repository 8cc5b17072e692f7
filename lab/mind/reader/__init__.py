"""What may be asked of a brain, in words; a new kind of brain gets a line in READERS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab.mind.reader.contract import Found, Limits, Note, Pair, Reader, Reply, clip, questions_alike
from lab.mind.reader.marks import MarksReader
from lab.models import Brain

READERS: dict[str, Callable[[Brain, float, Path | None], Reader]] = {"marks": MarksReader}  # by a brain's template


def open_reader(brain: Brain, unknown_threshold: float = 0.5, folder: Path | None = None) -> Reader:
    """Give the reader of a brain; `folder` holds what was fitted to it, if anything."""
    return READERS[brain.template.name](brain, unknown_threshold, folder)


__all__ = [
    "READERS",
    "Found",
    "Limits",
    "MarksReader",
    "Note",
    "Pair",
    "Reader",
    "Reply",
    "clip",
    "open_reader",
    "questions_alike",
]
