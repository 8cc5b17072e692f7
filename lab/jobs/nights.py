"""Nights as processes: a mind sleeps in a worker while it goes on answering from its old brain.

The worker owns only nights/N; it writes its events there and, at the very end, the new brain. Whoever owns the mind makes
the night true (`settle`). If the owner dies, the next one finds the worker, or what it left, and goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from lab.disk import explain_disk, explained, reserve_room, write_into_reserve
from lab.events import to_record
from lab.jobs.worker import NICENESS
from lab.mind import Mind, MindError
from lab.mind.night import Agenda, night_events, sleep_in
from lab.store import LogWriter, read_log

_workers: dict[str, subprocess.Popen[bytes]] = {}


def start_night(mind: Mind) -> int:
    """Let the mind fall asleep in a process of its own; gives the night's number.

    Raises MindError when it sleeps already or there is nothing to sleep on, DiskFullError when there is no room.
    """
    if night_state(mind)["asleep"]:
        raise MindError(f"a mind must be awake to fall asleep; {mind.name} sleeps already. Wait, or press Wake.")
    with explained(mind.folder):
        night, agenda, folder = mind.begin_night()
    if not agenda.due and not agenda.unlearn:
        raise MindError(
            f"a mind must have something to sleep on; {mind.name} has learned nothing new since its last night. Teach it."
        )
    words = [sys.executable, "-m", "lab", "sleeper", str(folder.resolve())]
    with explained(folder), (folder / "worker.log").open("ab") as output:
        worker = subprocess.Popen(
            words, cwd=Path(__file__).resolve().parents[2], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        _workers[str(folder)] = worker
        (folder / "pid").write_text(str(worker.pid))
    return night


def wake(mind: Mind) -> str:
    """Ask a sleeping mind to wake up; the night is taken back. Gives a sentence that says so."""
    folder = _folder(mind)
    if not folder.is_dir():
        return "It is awake already."
    (folder / "stop").touch()
    return "It wakes up; this night is taken back."


def work_night(folder: Path) -> int:
    """The worker: sleep the night in `folder`, writing its events there; gives the exit code."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    reserve = folder / "reserve"
    reserve_room(reserve, 4096)
    try:
        with LogWriter(folder / "events.jsonl") as log:
            for event in sleep_in(folder, stop=lambda: (folder / "stop").exists()):
                log.append(to_record(event))
            log.sync()
    except OSError as error:
        if full := explain_disk(error, folder):
            write_into_reserve(
                reserve, folder / "worker.log", full.encode()
            )  # where `night_state` looks for the reason
            return 2
        raise
    reserve.unlink()
    return 0


def night_state(mind: Mind) -> dict[str, Any]:
    """Say how the coming night stands: `asleep`, its records so far, and a message where it failed.

    A night that is over is settled first, so the mind has its new brain when this returns.
    """
    folder = _folder(mind)
    records, _ = read_log(folder / "events.jsonl")
    state = {"asleep": False, "night": mind.night + 1, "records": records, "message": None, "settled": False}
    if not (folder / "pid").exists():
        return state
    if records and records[-1]["kind"] == "nightended":
        mind.end_night(mind.night + 1, Agenda.load(folder / "agenda.json"), night_events(records))
        (folder / "pid").unlink(missing_ok=True)
        return {**state, "settled": True}
    if _lives(folder):
        return {**state, "asleep": True}
    (folder / "pid").unlink(missing_ok=True)
    tail = (folder / "worker.log").read_text(errors="replace")[-400:] if (folder / "worker.log").exists() else ""
    reason = tail.strip().splitlines()[-1].rstrip(".") if tail.strip() else "its process was killed"
    return {
        **state,
        "message": f"The night broke off ({reason}). Nothing was lost: the mind is as it was. Let it sleep again.",
    }


def _folder(mind: Mind) -> Path:
    return mind.folder / "nights" / str(mind.night + 1)


def _lives(folder: Path) -> bool:
    worker = _workers.get(str(folder))
    if worker is not None:
        return worker.poll() is None
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / "pid").read_text()))
        return str(folder.resolve()) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False


__all__ = ["night_state", "start_night", "wake", "work_night"]
