"""Files that survive a crash: after one, a path holds the old content or the new, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


class DiskFullError(OSError):
    """The disk is full; the text is a sentence for a person."""


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, beside it first, synced, then renamed; for its owner alone. Raises OSError and leaves the old."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with explained(path.parent):
        try:
            with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def reserve_room(path: Path, size_bytes: int) -> None:
    """Take room on the disk for something that must be written even when the disk is full. Raises OSError."""
    write_durably(path, b"\0" * size_bytes)


def write_into_reserve(reserve: Path, path: Path, content: bytes) -> None:
    """Replace `path` by `content` in the room that `reserve` holds, which needs no more; then there is no reserve."""
    with reserve.open("r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.replace(reserve, path)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, where the system lets a folder be synced."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def explain_disk(error: OSError, folder: Path) -> str | None:
    """Give a sentence for a full disk, with what is free; None for any other error."""
    if isinstance(error, DiskFullError):
        return str(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    free_mib = shutil.disk_usage(there).free / 2**20
    return f"the disk must have room; {free_mib:.1f} MiB are free at {folder}. Make room, then do it again."


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise DiskFullError, which says so, where the disk is full while something is written to `folder`."""
    try:
        yield
    except OSError as error:
        if (sentence := explain_disk(error, folder)) is None:
            raise
        raise DiskFullError(sentence) from error
