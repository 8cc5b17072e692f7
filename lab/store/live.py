"""A run's tables straight from its log, as they grow: what a page shows of a run that is live."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from typing import Any

import pandas as pd

from lab.store.log import read_log
from lab.store.runs import Run

KEPT_RUNS = 8
STEP_COLUMNS = ["step", "tokens", "loss", "surprise", "lr", "tokens_s", "elapsed_s", "grad_norm", "fire_rate"]


class LiveLog:
    """Reads on where it stopped. Steps are kept as columns, so that a long run stays cheap to look at."""

    def __init__(self, run: Run) -> None:
        self.path, self.offset = run.events, 0
        self._begin()

    def _begin(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}  # all kinds but "step"
        self._columns: dict[str, list[Any]] = {name: [] for name in STEP_COLUMNS}
        self._bands: list[dict[str, bool]] = []

    def read(self) -> bool:
        """Take in what is new; says whether there was anything."""
        if self.path.exists() and self.path.stat().st_size < self.offset:  # another file now
            self.offset = 0
            self._begin()
        fresh, self.offset = read_log(self.path, self.offset)
        for record in fresh:
            kind = str(record.get("kind"))
            if kind == "step":
                for name, column in self._columns.items():
                    column.append(record.get(name))
                self._bands.append(record.get("bands") or {})
                continue
            if kind in ("started", "rolledback"):
                self._go_back(int(record["step"] if kind == "started" else record["to_step"]))
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

    def steps(self) -> pd.DataFrame:
        """Columns as in table `steps`, without the run."""
        return pd.DataFrame(self._columns)

    def bands(self) -> pd.DataFrame:
        """Columns step, tokens, elapsed_s, band, updated."""
        shared = self.steps()[["step", "tokens", "elapsed_s"]]
        names = list(self._bands[-1]) if self._bands else []
        tables = [shared.assign(band=name, updated=[moved.get(name, False) for moved in self._bands]) for name in names]
        return pd.concat(tables) if tables else shared.assign(band="", updated=False)

    def evals(self) -> pd.DataFrame:
        """Columns step, bpb, and tokens and elapsed_s of that step."""
        place = {step: i for i, step in enumerate(self._columns["step"])}
        rows = []
        for record in self.records.get("evaluated", []):
            at = place.get(record["step"])
            shared = (None, None) if at is None else (self._columns["tokens"][at], self._columns["elapsed_s"][at])
            rows.append((record["step"], record["bpb"], *shared))
        return pd.DataFrame(rows, columns=["step", "bpb", "tokens", "elapsed_s"])

    def last(self, kind: str) -> dict[str, Any] | None:
        """The last record of a kind that counts, or None."""
        if kind == "step":
            known = self._columns["step"]
            return {name: column[-1] for name, column in self._columns.items()} if known else None
        found = self.records.get(kind)
        return found[-1] if found else None


class LiveLogs:
    """The logs of the runs looked at last, so that every look reads only what is new."""

    def __init__(self) -> None:
        self._logs: OrderedDict[str, LiveLog] = OrderedDict()

    def of(self, run: Run) -> LiveLog:
        log = self._logs.pop(str(run.folder), None) or LiveLog(run)
        self._logs[str(run.folder)] = log
        while len(self._logs) > KEPT_RUNS:
            self._logs.popitem(last=False)
        log.read()
        return log
