"""A run's log: one JSON object a line in events.jsonl, one writer, only whole lines.

Every line has a number `n`. A run that resumed, or jumped back, writes some steps again; the later line counts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any


class LogWriter:
    """Appends records to `path`. A line goes to the system at once, so a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._size, self._next = _mend(self._file)

    def append(self, record: dict[str, Any]) -> None:
        """Add one line; on a full disk nothing of it stays and OSError is raised."""
        line = json.dumps({"n": self._next, **record}, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        self._next += 1

    def sync(self) -> None:
        """Return once all lines would survive a power cut."""
        os.fsync(self._file)

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def _mend(file: int) -> tuple[int, int]:
    """Cut off a torn last line; give the size and the number of the next line."""
    size = os.fstat(file).st_size
    content = os.pread(file, size, 0)
    whole = content.rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(file, whole)
    return whole, content.count(b"\n")


def read_log(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Give the whole lines from byte `offset` on, and the offset after them. A missing file has none.

    Lines that are not JSON (a damaged disk) are passed over.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], offset
    whole = content.rfind(b"\n") + 1
    records = []
    for line in content[:whole].splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records, offset + whole
