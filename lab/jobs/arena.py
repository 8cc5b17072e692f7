"""Arena runs: a worker that lets contestants compete side by side, each in a process of its own with its own log.

A cell is one contestant with one seed and one order of the tasks. Its folder holds its log and its checkpoints; a run that
was stopped or killed goes on from the last whole task of every cell.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.config import ArenaConfig, ConfigError
from lab.events import Contested, Notice, TaskEnded, to_record
from lab.store import ArenaLog, LogWriter, Run, RunStore

WAIT_S = 0.3
SAFETY = 1.1  # of an estimate, since machines have moods
LOCK_S = 600.0  # an orphan of a killed worker ends by then


@dataclass(frozen=True)
class Cell:
    """One contestant's way through the stream."""

    contestant: str
    seed: int
    order: str

    def folder(self, run: Path) -> Path:
        name = re.sub(r"[^a-z0-9]+", "-", self.contestant.lower())
        return run / "cells" / f"{name}-{self.seed}-{self.order}"


def cells_of(config: ArenaConfig) -> list[Cell]:
    """All cells, every contestant's first seed before anybody's second."""
    rounds = itertools.product(config.all_seeds(), config.orders(), config.names())
    return [Cell(name, seed, order) for seed, order, name in rounds]


def check_arena(config: ArenaConfig, tuned: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give what a form shows before it runs: tasks, their sizes, parameters. Raises ConfigError for what cannot run."""
    from lab.arena import brain_config, find_contestant, make_stream, settings
    from lab.learning import count_parameters

    tuned = tuned or settings()
    found = {name: find_contestant(name, tuned) for name in config.names()}
    tasks = {order: make_stream(config, config.first_seed, order) for order in config.orders()}
    sizes = {name: count_parameters(one.model, brain_config(one, config, tuned)) for name, one in found.items()}
    first = tasks[config.orders()[0]]
    return {
        "tasks": {order: [task.name for task in some] for order, some in tasks.items()}, "parameters": sizes,
        "lessons": [len(task.train) for task in first], "scored": [len(task.test) for task in first],
        "cells": len(cells_of(config)), "settings": tuned,
    }  # fmt: skip


def workers() -> int:
    """How many cells run side by side: as many as there are cores to use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_cell(config: ArenaConfig, cell: Cell, run: Path, tuned: dict[str, Any], deadline: float | None) -> float:
    """Let one cell learn to its end, in a process of its own; gives its seconds. It ends early with the run's stop file, the
    deadline or the death of the worker."""
    from lab.arena import compete, find_contestant

    parent = multiprocessing.parent_process()
    began = time.monotonic()

    def stop() -> bool:
        late = deadline is not None and time.time() > deadline
        return late or (run / "stop").exists() or (parent is not None and not parent.is_alive())

    folder = cell.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=LOCK_S), LogWriter(folder / "events.jsonl") as log:
        contestant = find_contestant(cell.contestant, tuned)
        for event in compete(config, contestant, cell.seed, cell.order, folder / "checkpoints", tuned, stop=stop):
            log.append(to_record(event))
            if isinstance(event, TaskEnded):
                log.sync()
    return time.monotonic() - began


@dataclass
class _Pool:
    """The cells under way and those that wait."""

    config: ArenaConfig
    run: Run
    tuned: dict[str, Any]
    deadline: float | None
    estimates: dict[str, float]
    waiting: list[Cell]
    busy: dict[Future[float], Cell] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)

    def fits(self, cell: Cell) -> bool:
        """Whether a cell that begins now is likely to end in time."""
        if self.deadline is None:
            return True
        known = self.took.get(cell.contestant)
        needs = max(known) if known else SAFETY * self.estimates[cell.contestant]
        return time.time() + needs <= self.deadline

    def fill(self, pool: ProcessPoolExecutor) -> None:
        while self.waiting and len(self.busy) < workers() and not (self.run.folder / "stop").exists():
            cell = self.waiting.pop(0)
            if self.fits(cell):
                future = pool.submit(run_cell, self.config, cell, self.run.folder, self.tuned, self.deadline)
                self.busy[future] = cell

    def drain(self) -> None:
        """Take in what ended. Raises what a cell raised."""
        done, _ = wait(self.busy, timeout=WAIT_S, return_when=FIRST_COMPLETED)
        for future in done:
            cell = self.busy.pop(future)
            self.took.setdefault(cell.contestant, []).append(future.result())


def compete_all(store: RunStore, run: Run, resume: bool, stop: Callable[[], bool]) -> tuple[Run, str]:
    """Run all cells of an arena run, as many at once as there are cores; gives how it ended. Raises ConfigError."""
    began, config, pool = time.time(), run.arena(), _pool()
    about = check_arena(config, run.record.get("settings"))
    run = store.update(run, parameters=max(about["parameters"].values()), device="cpu", settings=about["settings"])
    cells = [cell for cell in cells_of(config) if _tasks_done(cell, run.folder) < len(about["tasks"][cell.order])]
    estimates = _estimate(config, cells, about["settings"]) if config.minutes else {}
    _check_budget(config, estimates)
    deadline = began + 60 * config.minutes if config.minutes else None
    state = _Pool(config, run, about["settings"], deadline, estimates, cells)
    done = sum(_tasks_done(cell, run.folder) / len(about["tasks"][cell.order]) for cell in cells_of(config))
    with LogWriter(run.events) as log:
        contested = Contested(config.stream, about["tasks"], about["parameters"], about["cells"], done / about["cells"])
        log.append(to_record(contested))
        log.sync()
        with pool:
            try:
                state.fill(pool)
                while state.busy:
                    if stop():
                        (run.folder / "stop").touch()
                    state.drain()
                    state.fill(pool)
            except BaseException:
                (run.folder / "stop").touch()  # the others end too
                raise
        missing = [c for c in cells_of(config) if _tasks_done(c, run.folder) < len(about["tasks"][c.order])]
        stopped = (run.folder / "stop").exists()
        if missing and not stopped:
            whole = about["cells"] - len(missing)
            log.append(to_record(Notice(0, f"The {config.minutes:g} minutes were over when {whole} of {about['cells']} ways "
                                           "through the stream were whole; only those count. Resume goes on.")))  # fmt: skip
        log.sync()
    return run, "stopped" if missing else "finished"


def _tasks_done(cell: Cell, run: Path) -> int:
    """Tasks that a cell has learnt and been scored on."""
    found = sorted((cell.folder(run) / "checkpoints").glob("[0-9]*.safetensors"))
    return int(found[-1].stem) if found else 0


def _estimate(config: ArenaConfig, cells: list[Cell], tuned: dict[str, Any]) -> dict[str, float]:
    """Seconds that a cell of each contestant takes, by a few of its steps."""
    from lab.arena import estimate_seconds, find_contestant

    names = {cell.contestant for cell in cells}
    return {name: estimate_seconds(config, find_contestant(name, tuned), tuned) for name in names}


def _check_budget(config: ArenaConfig, estimates: dict[str, float]) -> None:
    """Raises ConfigError where not even one seed of all contestants fits into the budget; says what fits."""
    if not estimates:
        return
    one = len(config.orders()) * sum(estimates.values()) / min(workers(), len(estimates) * len(config.orders()))
    one = max(one, *(SAFETY * seconds for seconds in estimates.values()))
    if one > 60 * config.minutes:
        steps = max(10, int(0.8 * config.steps * 60 * config.minutes / one) // 10 * 10)
        raise ConfigError(
            f"a seed of all contestants must fit into the budget; {config.minutes:g} minutes are too few for about "
            f"{one / 60:.1f}. What fits: --minutes {one / 60 * 1.2:.1f}, or --steps {steps}, or fewer contestants.", "minutes",
        )  # fmt: skip


def time_left(config: ArenaConfig, log: ArenaLog, elapsed_s: float) -> tuple[float, float | None]:
    """The share of an arena run that is done, and the seconds left, None while nobody can know; `elapsed_s` is since it
    began or went on."""
    share = min(1.0, float(log.progress()["share"].sum()) / max(1, len(cells_of(config))))
    fresh = share - float(log.contested.get("done", 0.0))
    if fresh <= 0.02 or elapsed_s <= 0:
        return share, None
    left = elapsed_s * (1 - share) / fresh
    return share, min(left, max(0.0, 60 * config.minutes - elapsed_s)) if config.minutes else left


def tune(config: ArenaConfig, parts: list[str]) -> Iterator[Any]:
    """Yield the trials of `parts`, or of every part, as many side by side as there are cores; see lab/arena/tuning.py."""
    from lab.arena import tuning

    with _pool() as pool:
        yield from tuning.tune(config, parts or list(tuning.PARTS), pool.map)


def _pool() -> ProcessPoolExecutor:
    """Processes for cells, each of which begins afresh; what they all import is loaded once, from now on."""
    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    if sys.platform != "win32":
        from multiprocessing import forkserver

        context.set_forkserver_preload(["lab.arena", "lab.jobs.arena"])
        forkserver.ensure_running()
    return ProcessPoolExecutor(workers(), mp_context=context, max_tasks_per_child=1)
