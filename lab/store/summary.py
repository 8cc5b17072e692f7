"""What the table of all runs shows of each, here so that the page, the shell and the bench ask the same."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from lab.store.publish import FRESH_S, database, query, refresh_database
from lab.store.runs import RunStore, mark

SUMMARY = "SELECT run, status, model, preset, data, step, bpb, loss, tokens_s, elapsed_s, parameters FROM run_summary"


def summaries(store: RunStore) -> dict[str, dict[str, Any]]:
    """Give each run's row of `run_summary`, by its name; asked once of each published database."""
    refresh_database(store, FRESH_S)
    return _summaries(store.home, mark(database(store)))


@lru_cache(maxsize=4)
def _summaries(home: Path, mark: str) -> dict[str, dict[str, Any]]:
    found = query(SUMMARY, store=RunStore(home)).set_index("run")
    rows: dict[str, dict[str, Any]] = found.astype(object).where(found.notna(), None).to_dict("index")
    return rows
