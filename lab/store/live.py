"""A run's tables straight from its log, as they grow: what a page shows of a run that is live."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd

from lab.events import read_record
from lab.store.log import alone, read_log
from lab.store.runs import Run

KEPT_RUNS = 8


class Reads(Protocol):
    """A log that reads on where it stopped."""

    def read(self) -> bool: ...


Log = TypeVar("Log", bound=Reads)
STEP_COLUMNS = ["step", "tokens", "loss", "surprise", "lr", "tokens_s", "elapsed_s", "grad_norm"]


class LiveLog:
    """Reads on where it stopped. Steps are kept as columns, so that a long run stays cheap to look at."""

    def __init__(self, run: Run) -> None:
        self.path, self.offset, self.lock = run.events, 0, threading.RLock()
        self._begin()

    def _begin(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}  # all kinds but "step"
        self._columns: dict[str, list[Any]] = {name: [] for name in STEP_COLUMNS}
        self._bands: list[dict[str, bool]] = []
        self._measures: dict[str, dict[int, float]] = {}  # by name and step

    @alone
    def read(self) -> bool:
        """Take in what is new; says whether there was anything."""
        if self.offset and os.path.exists(self.path) and os.path.getsize(self.path) < self.offset:  # another file now
            self.offset = 0
            self._begin()
        fresh, self.offset = read_log(self.path, self.offset)
        for record in filter(None, map(read_record, fresh)):
            kind = record["kind"]
            if kind == "step":
                for name, column in self._columns.items():
                    column.append(record[name])
                self._bands.append(record["bands"] or {})
                for name, value in (record["measures"] or {}).items():
                    self._measures.setdefault(name, {})[record["step"]] = value
                continue
            if kind in ("started", "rolledback"):
                self._go_back(record["step"] if kind == "started" else record["to_step"])
            self.records.setdefault(kind, []).append(record)
        return bool(fresh)

    def _go_back(self, step: int) -> None:
        """Forget what came after `step`: it is about to be written again."""
        kept = bisect_right(self._columns["step"], step)
        for column in (*self._columns.values(), self._bands):
            del column[kept:]
        for kind in ("evaluated", "sampled"):
            found = self.records.get(kind, [])
            self.records[kind] = [record for record in found if record["step"] <= step]

    @alone
    def steps(self) -> pd.DataFrame:
        """Columns as in table `steps`, without the run, and one for each measure."""
        steps = self._columns["step"]
        measures = {name: [values.get(step) for step in steps] for name, values in self._measures.items()}
        kinds = {**dict.fromkeys([*measures, *STEP_COLUMNS], float), "step": int}
        return pd.DataFrame({**measures, **self._columns}).astype(kinds)

    def _shared(self) -> pd.DataFrame:
        kinds = {"step": int, "tokens": float, "elapsed_s": float}
        return pd.DataFrame({name: self._columns[name] for name in kinds}).astype(kinds)

    @alone
    def bands(self) -> pd.DataFrame:
        """Columns step, tokens, elapsed_s, band, updated."""
        shared = self._shared()
        names = dict.fromkeys(name for moved in self._bands for name in moved)
        tables = [shared.assign(band=name, updated=[moved.get(name, False) for moved in self._bands]) for name in names]
        return pd.concat(tables) if tables else shared.assign(band="", updated=False)

    @alone
    def evals(self) -> pd.DataFrame:
        """Columns step, bpb, and tokens and elapsed_s of that step."""
        rows = [(record["step"], record["bpb"]) for record in self.records.get("evaluated", [])]
        steps = self._shared().drop_duplicates("step", keep="last").set_index("step")
        return pd.DataFrame(rows, columns=["step", "bpb"]).astype({"step": int, "bpb": float}).join(steps, on="step")

    @alone
    def last(self, kind: str) -> dict[str, Any] | None:
        """What is known of the last record of a kind that counts, or None."""
        found = self.records.get(kind, [])
        if kind == "step" and self._columns["step"]:
            found = [{name: column[-1] for name, column in self._columns.items()}]
        return {name: value for name, value in found[-1].items() if pd.notna(value)} if found else None


class LiveLogs(Generic[Log]):
    """The logs of the runs looked at last, so that every look reads only what is new. `kind` opens a run's log."""

    def __init__(self, kind: Callable[[Run], Log]) -> None:
        self._kind, self._logs = kind, OrderedDict[str, Log]()
        self._lock = threading.Lock()  # not of the logs: while a long one is read others can be looked at

    def of(self, run: Run) -> Log:
        """Give the run's log, read as far as it goes."""
        with self._lock:
            log = self._logs[str(run.folder)] = self._logs.pop(str(run.folder), None) or self._kind(run)
            while len(self._logs) > KEPT_RUNS:
                self._logs.popitem(last=False)
        log.read()
        return log
