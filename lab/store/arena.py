"""What an arena run has found so far, as tables: a log for every contestant, seed and order, read on where it stopped.

A log that was gone on with after a kill says so with "begun" and the number of tasks that were whole by then; what it had
said of later tasks is said again and does not count. `connect()` has the same tables, under these names, with the run.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd

from lab.events import read_record
from lab.store.log import alone, read_log
from lab.store.runs import Run

TASKS = ["position", "task", "task_order"]
CELL = ["contestant", "seed", "task_order"]
KINDS = {  # table: the kind of record it is made of, and its columns after those of the cell
    "scores": ("scored", ["after_task", "on_task", "recall", "loss_nats", "n"]),
    "side_scores": ("scored", ["after_task", "on_task", "split", "recall", "loss_nats", "n"]),
    "answers": ("answered", ["after_task", "on_task", "prompt", "expected", "given", "correct"]),
    "probes": ("probed", ["moment", "on_task", "recall"]),
    "costs": ("taskended", ["task", "seconds", "steps", "tokens", "stored_bytes", "peak_bytes", "coverage"]),
}
SCORED = "test"  # the split that counts; all others stand in side_scores
TABLES = {
    "tasks": "run VARCHAR, stream VARCHAR, position BIGINT, task VARCHAR, task_order VARCHAR",
    "scores": "run VARCHAR, contestant VARCHAR, seed BIGINT, task_order VARCHAR, after_task BIGINT, on_task BIGINT,"
    " recall DOUBLE, loss_nats DOUBLE, n BIGINT",
    "side_scores": "run VARCHAR, contestant VARCHAR, seed BIGINT, task_order VARCHAR, after_task BIGINT, on_task BIGINT,"
    " split VARCHAR, recall DOUBLE, loss_nats DOUBLE, n BIGINT",
    "answers": "run VARCHAR, contestant VARCHAR, seed BIGINT, task_order VARCHAR, after_task BIGINT, on_task BIGINT,"
    " prompt VARCHAR, expected VARCHAR, given VARCHAR, correct BOOLEAN",
    "probes": "run VARCHAR, contestant VARCHAR, seed BIGINT, task_order VARCHAR, moment DOUBLE, on_task BIGINT, recall DOUBLE",
    "costs": "run VARCHAR, contestant VARCHAR, seed BIGINT, task_order VARCHAR, task BIGINT, seconds DOUBLE, steps BIGINT,"
    " tokens BIGINT, stored_bytes BIGINT, peak_bytes BIGINT, coverage DOUBLE",
}
_TASK = {"practised": "task", "probed": "moment", "scored": "after_task", "answered": "after_task", "taskended": "task"}


def cell_logs(folder: Path) -> list[Path]:
    """The logs of a run's contestants."""
    return sorted(folder.glob("cells/*/events.jsonl"))


class ArenaLog:
    """One arena run; `read` takes in what is new."""

    def __init__(self, run: Run) -> None:
        self.folder, self.events = run.folder, run.events
        self.contested: dict[str, Any] = {}
        self.notices: list[str] = []
        self.lock = threading.RLock()
        self._offsets: dict[Path, int] = {}
        self._cells: dict[Path, list[dict[str, Any]]] = {}

    @alone
    def read(self) -> bool:
        """Take in what is new; says whether there was anything."""
        fresh, self._offsets[self.events] = read_log(self.events, self._offsets.get(self.events, 0))
        for record in filter(None, map(read_record, fresh)):
            if record["kind"] == "contested":
                self.contested, self.notices = record, []
            elif record["kind"] == "notice":
                self.notices.append(record["text"])
        news = bool(fresh)
        for path in cell_logs(self.folder):
            more, self._offsets[path] = read_log(path, self._offsets.get(path, 0))
            news = news or bool(more)
            known = self._cells.setdefault(path, [])
            for record in filter(None, map(read_record, more)):
                if record["kind"] == "begun":
                    known[:] = [one for one in known if one[_TASK[one["kind"]]] <= record["done"]]
                elif record["kind"] in _TASK and self._fits(record):
                    known.append(record)
        return news

    def _fits(self, record: dict[str, Any]) -> bool:
        """Whether the tasks that a record is about are among those of the run."""
        count = len(self.contested.get("tasks", {}).get(record["order"], ()))
        first, task = record[_TASK[record["kind"]]], record.get("on_task", record.get("task", 1))
        return bool(0 <= first <= count and 1 <= task <= count)

    @property
    def stamp(self) -> str:
        """What changes whenever there is more to see."""
        return str(sum(self._offsets.values()))

    @alone
    def table(self, name: str) -> pd.DataFrame:
        """The table of this name, without the run's column."""
        if name == "tasks":
            orders = self.contested.get("tasks", {}).items()
            rows = [(i, task, order) for order, tasks in orders for i, task in enumerate(tasks, 1)]
            return pd.DataFrame(rows, columns=TASKS)
        kind, columns = KINDS[name]
        wanted = [*CELL, *columns]
        rows_of = [
            [record["order"] if column == "task_order" else record[column] for column in wanted]
            for known in self._cells.values()
            for record in known
            if record["kind"] == kind and (kind != "scored" or (record["split"] == SCORED) == (name == "scores"))
        ]
        return pd.DataFrame(rows_of, columns=wanted)

    @alone
    def progress(self) -> pd.DataFrame:
        """How far every contestant is: the columns of a cell, share (of its tasks), task, loss, seconds."""
        tasks = max((len(found) for found in self.contested.get("tasks", {}).values()), default=1)
        ready: dict[str, Any] = {"kind": "practised", "task": 1, "step": 0, "of": 1, "seconds": 0.0}
        rows = []
        for known in filter(None, self._cells.values()):
            last = next((r for r in reversed(known) if r["kind"] in ("practised", "taskended")), ready)
            done = last["task"] if last["kind"] == "taskended" else last["task"] - 1 + last["step"] / max(1, last["of"])
            who = [known[-1][name] for name in ("contestant", "seed", "order")]
            rows.append((*who, done / tasks, last["task"], last.get("loss", float("nan")), last["seconds"]))
        return pd.DataFrame(rows, columns=[*CELL, "share", "task", "loss", "seconds"])


def arena_rows(runs: list[Run]) -> dict[str, pd.DataFrame]:
    """The rows of each table over all arena runs."""
    names = {table: [column.split()[0] for column in columns.split(", ")] for table, columns in TABLES.items()}
    found = {table: [pd.DataFrame(columns=columns, dtype=object)] for table, columns in names.items()}
    for run in runs:
        log = ArenaLog(run)
        log.read()
        for table, columns in names.items():
            whole = log.table(table).assign(run=run.id, stream=run.record["config"].get("stream"))
            found[table].append(whole[columns].astype(object))
    return {table: pd.concat(frames) for table, frames in found.items()}
