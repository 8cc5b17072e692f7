"""Files that survive a crash: after one, a path holds the old content or the new, whole."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, beside it first, synced, then renamed. Raises OSError and leaves the old."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
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
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    free_mib = shutil.disk_usage(folder).free / 2**20
    return f"the disk must have room for the run; {free_mib:.1f} MiB are free at {folder}. Make room, then resume."
