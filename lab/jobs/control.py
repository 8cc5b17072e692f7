"""Runs as jobs: launch, stop, resume, and see which died."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from lab.config import WORLD_STREAMS, ArenaConfig, ConfigError, RunConfig, command_line
from lab.jobs.worker import write_pid
from lab.store import Run, RunStore, read_log
from lab.store.log import open_regular
from lab.store.runs import ARENA, now

STARTING_S = 60.0  # a worker that has not come up by then is dead
TAIL_BYTES = 4000
FOLLOW_S = 0.2
_children: list[subprocess.Popen[bytes]] = []


def launch(config: RunConfig | ArenaConfig, store: RunStore | None = None) -> Run:
    """Start a worker process on a new run and return at once. Raises ConfigError for data that cannot be read."""
    store = store or RunStore()
    config = _settle_arena(config) if isinstance(config, ArenaConfig) else _settle(config)
    return _spawn(store, store.create(config), resume=False)


def _settle_arena(config: ArenaConfig) -> ArenaConfig:
    """Check all that can be checked before, and say where a stream's files are from any folder."""
    from lab.jobs.arena import check_arena

    check_arena(config)
    if config.stream in WORLD_STREAMS:
        return config
    return replace(config, stream=str(Path(config.stream).expanduser().resolve()))


def _settle(config: RunConfig) -> RunConfig:
    """The same for a training run."""
    if not config.data.data.startswith("hub:"):  # the worker asks the hub, and says what it answers
        check_data(config)
        name = config.data.data.strip()
        if name not in ("facts", "curriculum") and not name.startswith("facts:"):  # the worker may stand elsewhere
            return replace(config, data=replace(config.data, data=str(Path(name).expanduser().resolve())))
    return config


def resume(store: RunStore, run: Run) -> Run:
    """Go on with a run that ended early, from its newest checkpoint. Raises ConfigError when it cannot."""
    run = refresh(store, run)
    if run.damage:
        raise ConfigError(run.damage, "run")
    if run.live:
        raise ConfigError(f"a run must have ended to be resumed; {run.id} is {run.status}.", "run")
    if run.status == "finished":
        raise ConfigError(f"a run must have steps left to be resumed; {run.id} is finished. Start another.", "run")
    run.arena() if run.kind == ARENA else run.config()  # whether run.json still says it
    (run.folder / "pid").unlink(missing_ok=True)  # before anybody can take the new start for a dead one
    return _spawn(store, store.update(run, status="starting", launched_at=now()), resume=True)


def stop(store: RunStore, run: Run) -> None:
    """Ask a live run to save its state and end. Raises ConfigError when it is not live."""
    run = refresh(store, run)
    if not run.live:
        raise ConfigError(f"a run must be live to be stopped; {run.id} is {run.status}.", "run")
    (run.folder / "stop").touch()


def _spawn(store: RunStore, run: Run, *, resume: bool) -> Run:
    for name in ("stop", "pid"):
        (run.folder / name).unlink(missing_ok=True)
    words = [sys.executable, "-m", "lab", "worker", run.id, *(["--resume"] if resume else [])]
    environment = {**os.environ, "QOR_LAB_RUNS": str(store.home.resolve())}
    with (run.folder / "worker.log").open("ab") as output:
        child = subprocess.Popen(
            words, cwd=Path(__file__).resolve().parents[2], env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    _children.append(child)
    with contextlib.suppress(psutil.Error, OSError):
        write_pid(run, child.pid)
    return run


def refresh(store: RunStore, run: Run) -> Run:
    """Read the run anew; one that claims to be live without a living worker is marked as crashed."""
    run = store.read(run.folder)
    if not run.live or _alive(run):
        return run
    run = store.read(run.folder)  # it may have ended in between
    if not run.live:
        return run
    tail = ""
    with contextlib.suppress(OSError), open_regular(run.folder / "worker.log") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
        tail = log.read(TAIL_BYTES).decode("utf-8", "replace")
    message = "the worker process ended without a word: it was killed, or the machine went down. Resume the run."
    try:
        (run.folder / "stop").unlink(missing_ok=True)
        return store.close(run, status="crashed", ended_at=now(), message=message, traceback=tail or None)
    except OSError:  # somebody else has just said so, or the disk is full, which must not hide the run
        return store.read(run.folder)


def refresh_all(store: RunStore, kind: str | None = None) -> list[Run]:
    """Give all runs, or those of one kind, newest first, each as it really stands."""
    _reap()
    return [refresh(store, run) if run.live else run for run in store.list(kind)]


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _alive(run: Run) -> bool:
    _reap()
    try:
        with open_regular(run.folder / "pid") as file:
            pid, began = file.read(99).split()
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - float(began)) < 1 or run.id in process.cmdline()  # clocks can be set
    except (OSError, ValueError, OverflowError):
        launched = datetime.fromisoformat(run.record["launched_at"])
        return abs(time.time() - launched.timestamp()) < STARTING_S  # a clock can be set back
    except psutil.Error:
        return False


def follow(store: RunStore, run: Run, offset: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's log from byte `offset` on, as they are written, until the run has ended."""
    while True:
        run = refresh(store, run)
        records, offset = read_log(run.events, offset)
        yield from records
        if not run.live and not records:
            return
        time.sleep(FOLLOW_S)


def check_data(config: RunConfig) -> list[tuple[str, bool]]:
    """Give the first documents of the data as text, and whether each is for validation.

    Raises ConfigError for data that cannot be read or holds fewer than 2 documents.
    """
    from lab.learning import preview_data

    documents = preview_data(config.data, 12)
    if len(documents) < 2:
        rule = "data must hold at least 2 documents, one to learn and one to validate"
        raise ConfigError(f"{rule}; {config.data.data} has {len(documents)}. Add text or choose other data.", "data")
    return documents


def describe(config: RunConfig) -> dict[str, Any]:
    """Give what a form shows of a config before it runs: its command line and its number of parameters."""
    from lab.learning import count_parameters

    return {"command": command_line(config), "parameters": count_parameters(config.model, config.brain)}
