"""Texts from a user's file: .txt, .jsonl, .csv, .parquet. Read as a stream; every mistake is named with its place.

A .txt file has no documents of its own, so it is cut at blank lines into pieces of a few KiB.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lab.config import ConfigError

LONGEST_LINE = 16 * 2**20  # bytes of one .jsonl line or .csv field
TEXT_PIECE = 4096  # bytes of one document of a .txt file, about
SMALLEST_PIECE = 128


def read_texts(path: Path, column: str) -> Callable[[int], Iterator[bytes]]:
    """Give a function that yields the texts of `path` from number `start` on, as UTF-8.

    Raises ConfigError at once for an unknown ending and an empty or binary file; the function raises it where it
    meets a text that breaks a rule.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"a data file must end in {', '.join(READERS)}; got {path.name}. Rename it.", "data")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(65536)
    except OSError as error:
        raise ConfigError(f"a data file must be readable; got {path}: {error.strerror}.", "data") from error
    if not size or (reader is not _parquet and not head.strip()):
        raise ConfigError(f"a data file must hold text; {path.name} is empty. Choose another.", "data")
    if reader is not _parquet and b"\0" in head:
        place = head.index(b"\0")
        raise ConfigError(f"a {path.suffix} file must hold text; {path.name} is binary (byte {place} is 0).", "data")
    return lambda start: islice(reader(path, column), start, None)


def _decode(raw: bytes, path: Path, place: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at, byte = place + error.start, raw[error.start]
        raise ConfigError(
            f"a data file must be UTF-8; {path.name} has byte 0x{byte:02x} at {at}. "
            f"Convert it: iconv -f latin1 -t utf-8 {path.name}",
            "data",
        ) from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of at most LONGEST_LINE bytes each; a longer line comes in pieces."""
    with path.open("rb") as file:
        offset = 3 if file.read(3) == b"\xef\xbb\xbf" else 0
        file.seek(offset)
        while line := file.readline(LONGEST_LINE):
            yield offset, line
            offset += len(line)


def _text(path: Path, column: str) -> Iterator[bytes]:
    """Cut at the first blank line past a piece's length; at any line end past twice it; in a huge line anywhere."""
    piece_bytes = max(SMALLEST_PIECE, min(TEXT_PIECE, path.stat().st_size // 100))
    held, rest = bytearray(), b""
    for offset, line in _lines(path):
        line = rest + line
        offset -= len(rest)
        cut = _last_character_start(line) if not line.endswith(b"\n") and len(line) >= LONGEST_LINE else len(line)
        line, rest = line[:cut], line[cut:]
        _decode(line, path, offset)
        blank = not line.strip()
        if held and len(held) + len(line) > 4 * piece_bytes:
            yield bytes(held)
            held.clear()
        while len(line) > 4 * piece_bytes:
            cut = _last_character_start(line[: 4 * piece_bytes])
            yield line[:cut]
            line = line[cut:]
        held += line
        if len(held) >= piece_bytes and (blank or len(held) >= 2 * piece_bytes):
            yield bytes(held)
            held.clear()
    _decode(rest, path, path.stat().st_size - len(rest))
    if (held + rest).strip():
        yield bytes(held + rest)


def _last_character_start(raw: bytes) -> int:
    """Where to cut `raw` so that no UTF-8 character is split."""
    cut = len(raw)
    for back in range(1, min(4, len(raw)) + 1):
        byte = raw[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            whole = back >= (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
            cut = len(raw) if whole else len(raw) - back
            break
    return cut


def _jsonl(path: Path, column: str) -> Iterator[bytes]:
    for number, (offset, line) in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"line {number} of {path.name}"
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            rule = f"a line must be shorter than {LONGEST_LINE >> 20} MiB"
            raise ConfigError(f"{rule}; {where} is not. Split it into several documents.", "data")
        content = _decode(line, path, offset)
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            rule = 'each line must be a JSON object such as {"text": "…"}'
            raise ConfigError(f"{rule}; {where} is not: {error}.", "data") from error
        text = record.get(column) if isinstance(record, dict) else None
        if not isinstance(text, str):
            have = ", ".join(map(repr, record)) if isinstance(record, dict) else type(record).__name__
            rule = f"each line must have a text under {column!r}"
            raise ConfigError(f"{rule}; {where} has {have or 'nothing'}. Name the key with --column.", "column")
        yield text.encode("utf-8", errors="replace")


def _csv(path: Path, column: str) -> Iterator[bytes]:
    csv.field_size_limit(LONGEST_LINE)
    lines = (io.StringIO(_decode(line, path, offset), newline="") for offset, line in _lines(path))
    rows = csv.reader(part for line in lines for part in line)  # some end at \r alone
    try:
        header = next(rows)
        place = _place_of(column, header, path)
        for row in rows:
            if len(row) > place:
                yield row[place].encode("utf-8", errors="replace")
            elif row:
                rule = f"each row must have {len(header)} fields"
                raise ConfigError(f"{rule}; line {rows.line_num} of {path.name} has {len(row)}.", "data")
    except csv.Error as error:
        raise ConfigError(f"a .csv file must be readable; line {rows.line_num} is not: {error}.", "data") from error


def _parquet(path: Path, column: str) -> Iterator[bytes]:
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _place_of(column, file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _as_text(value, column, path)
    except ArrowException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"a .parquet file must be whole; {path.name} is not: {reason}.", "data") from error


def _as_text(value: Any, column: str, path: Path) -> bytes:
    if not isinstance(value, str):
        rule = f"column {column!r} must hold text"
        raise ConfigError(f"{rule}; {path.name} has {type(value).__name__}. Name another with --column.", "column")
    return value.encode("utf-8", errors="replace")


def _place_of(column: str, names: list[str], path: Path) -> int:
    if column not in names:
        have = ", ".join(map(repr, names))
        raise ConfigError(
            f"{path.name} must have a column {column!r}; it has {have}. Name one with --column.", "column"
        )
    return names.index(column)


READERS: dict[str, Callable[[Path, str], Iterator[bytes]]] = {
    ".txt": _text, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet,
}  # fmt: skip
