"""A run's tables straight from its log, as they grow: what a page shows of a run that is live."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pandas as pd

from lab.store.log import read_log
from lab.store.runs import Run

KEPT_RUNS = 8
STEP_COLUMNS = ["step", "tokens", "loss", "surprise", "lr", "tokens_s", "elapsed_s", "grad_norm", "fire_rate"]


class LiveLog:
    """Reads on where it stopped; `records` are those that count, by kind."""

    def __init__(self, run: Run) -> None:
        self.path, self.offset = run.events, 0
        self.records: dict[str, list[dict[str, Any]]] = {}

    def read(self) -> bool:
        """Take in what is new; says whether there was anything."""
        if self.path.exists() and self.path.stat().st_size < self.offset:  # another file now
            self.offset, self.records = 0, {}
        fresh, self.offset = read_log(self.path, self.offset)
        for record in fresh:
            kind = record.get("kind", "")
            back_to = {"started": record.get("step"), "rolledback": record.get("to_step")}.get(kind)
            if back_to is not None:
                for name in ("step", "evaluated", "sampled"):
                    kept = self.records.get(name, [])
                    while kept and kept[-1]["step"] > back_to:
                        kept.pop()
            self.records.setdefault(kind, []).append(record)
        return bool(fresh)

    def steps(self) -> pd.DataFrame:
        """Columns as in table `steps`, without the run."""
        return pd.DataFrame(self.records.get("step", []), columns=STEP_COLUMNS)

    def bands(self) -> pd.DataFrame:
        """Columns step, tokens, elapsed_s, band, updated."""
        rows = [
            (record["step"], record["tokens"], record["elapsed_s"], band, moved)
            for record in self.records.get("step", []) for band, moved in record["bands"].items()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["step", "tokens", "elapsed_s", "band", "updated"])

    def evals(self) -> pd.DataFrame:
        """Columns step, bpb, and tokens and elapsed_s of that step."""
        found = pd.DataFrame(self.records.get("evaluated", []), columns=["step", "bpb"])
        return found.merge(self.steps()[["step", "tokens", "elapsed_s"]], on="step", how="left")

    def last(self, kind: str) -> dict[str, Any] | None:
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
