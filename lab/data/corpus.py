"""Where documents come from, behind one face: `open_corpus(config)` gives a Corpus for facts, files and hub streams.

A corpus yields its documents in one fixed order, from any place on, and says of each whether it is for training or
for validation. That is all that exact resuming needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.config import ConfigError, DataConfig
from lab.data.curriculum.lessons import shown
from lab.data.facts import WORLDS, load_facts, render_facts
from lab.data.files import read_texts
from lab.data.hub import stream_texts
from lab.text import Exchange

CURRICULUM = "curriculum"
GOLDEN = 2654435769  # 2^32 / golden ratio: multiples of it fall evenly over [0, 2^32)


@dataclass(frozen=True)
class Document:
    """One text as UTF-8, or exchanges that share their notes, and whether it is kept out of training."""

    content: bytes | tuple[Exchange, ...]
    validation: bool


@dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order: `documents(start)` yields them from number `start` on."""

    name: str
    documents: Callable[[int], Iterator[Document]]
    streamed: bool = False  # too large or too far away to be read whole


def is_validation(number: int, share: float) -> bool:
    """Say whether document `number` is for validation: number 0 is, and `share` of all, evenly spread."""
    return (number * GOLDEN) % 2**32 < share * 2**32


def open_corpus(config: DataConfig) -> Corpus:
    """Find the data that `config.data` names. Raises ConfigError when there is none or it cannot be read."""
    name = config.data.strip()
    if name == "facts" or name.startswith("facts:"):
        worlds = tuple(part.strip() for part in name[6:].split(",") if part.strip()) or tuple(WORLDS)
        documents = [Document(content, held_out) for content, held_out in render_facts(load_facts(worlds))]
        return Corpus(name, lambda start: iter(documents[start:]))
    if name == CURRICULUM:
        return Corpus(name, lambda start: (Document(made, False) for made in shown(start)), streamed=True)
    if name.startswith("hub:"):
        parts = name[4:].split(":")
        if len(parts) > 3 or not parts[0]:
            raise ConfigError(f"a hub name must read hub:NAME[:CONFIG][:COLUMN]; got {name!r}.", "data")
        dataset, subset, column = (*parts, "", "")[:3]
        texts = stream_texts(dataset, subset or None, column or config.column)
        return _from_texts(name, texts, config.validation_share, streamed=True)
    try:
        path = Path(name).expanduser()
        exists = path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long for a name, or nobody's home
        exists = False
    if not exists:
        raise ConfigError(
            f"data must name a file that exists, facts, curriculum or hub:NAME; got {name[:200]!r}.", "data"
        )
    return _from_texts(name, read_texts(path, config.column), config.validation_share, streamed=False)


def _from_texts(name: str, texts: Callable[[int], Iterator[bytes]], share: float, *, streamed: bool) -> Corpus:
    def documents(start: int) -> Iterator[Document]:
        for number, text in enumerate(texts(start), start):
            yield Document(text, is_validation(number, share))

    return Corpus(name, documents, streamed)
