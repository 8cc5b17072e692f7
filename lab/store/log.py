"""A run's log: one JSON object a line in events.jsonl, one writer, only whole lines.

Every line has a number `n`. A run that resumed, or jumped back, writes some steps again; the later line counts.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

LONGEST_LINE = 2**24  # bytes; what is longer was not written by us
UNREADABLE = (OSError, ValueError, RecursionError)
Method = TypeVar("Method", bound=Callable[..., Any])


def alone(method: Method) -> Method:
    """Let one thread at a time into the methods of an object that has a `lock`: several tabs look at one run."""

    @wraps(method)
    def locked(self: Any, *args: Any) -> Any:
        with self.lock:
            return method(self, *args)

    return cast(Method, locked)


class LogWriter:
    """Appends records to `path`. A line goes to the system at once, so a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        content = path.read_bytes()
        self._size, self._next = content.rfind(b"\n") + 1, content.count(b"\n")
        if self._size < len(content):  # a torn last line
            os.ftruncate(self._file, self._size)

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

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def read_log(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Give the whole lines from byte `offset` on, and the offset after them. A file that cannot be read has none.

    Lines that are not JSON (a damaged disk) are passed over; one that is longer than LONGEST_LINE ends the reading.
    """
    records = []
    with contextlib.suppress(OSError), open_regular(path) as file:
        file.seek(offset)
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            offset += len(line)
            with contextlib.suppress(*UNREADABLE):
                records.append(parse(line))
    return [record for record in records if isinstance(record, dict)], offset


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError for what is no file: a pipe may never begin and a device never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.open("rb")


def parse(text: bytes) -> Any:
    """Give what a JSON text says, without the characters that no file and no page can hold. Raises UNREADABLE."""
    found = json.loads(text)
    if b"\\ud" not in text.lower():  # it cannot be half a character
        return found
    return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
