"""Nights as processes: a mind sleeps in a worker while it goes on answering from its old brain.

The worker owns only nights/N; it writes its events there and, at the very end, the new brain. Whoever owns the mind makes
the night true (`Mind.settle`). If the owner dies, the next one finds the worker, or what it left, and goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.disk import explain_disk, explained, reserve_room, write_into_reserve
from lab.events import read_record, to_record
from lab.jobs.worker import NICENESS
from lab.mind import Mind, MindError
from lab.mind.night.settling import read_night, sleep_in, sleeper
from lab.store import LogWriter, read_log

OTHER_WAIT_S = 10.0  # for whoever only looks whether somebody sleeps
_workers: list[subprocess.Popen[bytes]] = []  # those that may live: whoever lets go of one leaves a zombie


def start_night(mind: Mind) -> int:
    """Let the mind fall asleep in a process of its own; gives the night's number.

    Raises MindError when it sleeps already or there is nothing to sleep on, DiskFullError when there is no room.
    """
    with explained(mind.folder), mind.notes.lock:
        night, agenda, folder = mind.begin_night()
        if not agenda.due and not agenda.unlearn:
            raise MindError(
                f"a mind must have something to sleep on; {mind.name} has learned nothing new since its last night. Teach it."
            )
        words = [sys.executable, "-m", "lab", "sleeper", str(folder.resolve())]
        with (folder / "worker.log").open("ab") as output:
            worker = subprocess.Popen(
                words, cwd=Path(__file__).resolve().parents[2], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        _workers[:] = [*(other for other in _workers if other.poll() is None), worker]
        mind.lives = lambda: worker.poll() is None and mind.night + 1 == night
        return night


def wake(mind: Mind) -> str:
    """Ask a sleeping mind to wake up; the night is taken back. Gives a sentence that says so."""
    folder = mind.night_folder
    if not mind.asleep:
        return "It is awake already."
    with contextlib.suppress(FileNotFoundError):  # it has just been settled
        (folder / "stop").touch()
    return "It wakes up; this night is taken back."


def work_night(folder: Path) -> int:
    """The worker: sleep the night in `folder`, writing its events there; gives the exit code."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    reserve = folder / "reserve"
    reserve_room(reserve, 4096)
    try:
        with sleeper(folder.parents[1], OTHER_WAIT_S), LogWriter(folder / "events.jsonl") as log:
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
    """Say how the coming night stands: `asleep`, its records so far, and a message where it failed. Changes nothing: a night
    that is over becomes true by `Mind.settle`."""
    night, folder = mind.night + 1, mind.night_folder
    asleep = mind.asleep  # before the records: whoever sleeps writes the last one first
    records = [*filter(None, map(read_record, read_log(folder / "events.jsonl")[0]))]
    state = {"asleep": asleep, "night": night, "records": records, "message": None}
    if asleep or not (folder / "worker.log").exists() or read_night(folder):
        return state
    with mind.notes.lock:  # whoever begins a night holds it
        if mind.asleep:
            return {**state, "asleep": True}
    tail = (folder / "worker.log").read_text(errors="replace")[-400:].strip()
    reason = tail.splitlines()[-1].rstrip(".") if tail else "its process was killed"
    return {
        **state,
        "message": f"The night broke off ({reason}). Nothing was lost: the mind is as it was. Let it sleep again.",
    }


__all__ = ["night_state", "start_night", "wake", "work_night"]
