"""What minds put into lab.duckdb: their traces and nights, read from each mind's own file, which is never written here.

The file is read through a connection of its own, read-only, beside whoever owns the mind.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lab.config import MindConfig
from lab.store.log import UNREADABLE, open_regular, parse
from lab.store.runs import mark, name_of

Row = dict[str, Any]
TABLES = {
    "traces": "mind VARCHAR, trace BIGINT, text VARCHAR, tier VARCHAR, strength DOUBLE, uses BIGINT, created_at TIMESTAMPTZ,"
    " superseded_by BIGINT, stage VARCHAR, repeats BIGINT, forgotten BOOLEAN, disputed BOOLEAN",
    "nights": "mind VARCHAR, night BIGINT, phase VARCHAR, started_at TIMESTAMPTZ, seconds DOUBLE, replayed BIGINT,"
    " promoted BIGINT, recall_before DOUBLE, recall_after DOUBLE, doing VARCHAR, kept BOOLEAN, retained DOUBLE",
    "asked": "mind VARCHAR, asked_at TIMESTAMPTZ, question VARCHAR, answer VARCHAR, source VARCHAR, confidence DOUBLE, memory VARCHAR",
}  # fmt: skip


def mind_folders(home: Path) -> list[Path]:
    """Give the folders of the minds in the folder of runs."""
    return sorted(path.parent for path in home.glob("minds/*/memory.sqlite"))


def minds_stamp(home: Path) -> str:
    """What changes whenever a mind's memory does."""
    names = ("memory.sqlite", "memory.sqlite-wal", "mind.json")
    return " ".join(f"{name_of(folder)} {mark(folder / name)}" for folder in mind_folders(home) for name in names)


def mind_rows(home: Path) -> dict[str, pd.DataFrame]:
    """Give the rows of each table; a mind, or a row of it, that cannot be read is left out. Traces are as strong as now."""
    found: dict[str, list[Row]] = {table: [] for table in TABLES}
    for folder in mind_folders(home):
        with contextlib.suppress(*UNREADABLE, sqlite3.Error, TypeError, AttributeError):
            open_regular(folder / "memory.sqlite").close()
            with open_regular(folder / "mind.json") as file:
                config = MindConfig(**parse(file.read()).get("config", {}))
            place = f"{(folder / 'memory.sqlite').resolve().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(place, uri=True, timeout=2)) as sql:
                sql.row_factory, sql.text_factory = sqlite3.Row, partial(str, encoding="utf-8", errors="replace")
                rows = {
                    name: [{**row, "mind": name_of(folder)} for row in sql.execute(f"SELECT * FROM {name}")]
                    for name in ("traces", "nights", "messages")
                }
            found["traces"] += _usable(partial(_trace, config), rows["traces"])
            found["nights"] += _usable(_night, rows["nights"])
            found["asked"] += _usable(_asked, [row for row in rows["messages"] if '"answer"' in str(row["about"])])
    columns = {table: [column.split()[0] for column in text.split(", ")] for table, text in TABLES.items()}
    return {table: pd.DataFrame(rows, columns=columns[table], dtype=object) for table, rows in found.items()}


def _usable(make: Callable[[Row], Row], rows: list[Row]) -> list[Row]:
    found = []
    for row in rows:
        with contextlib.suppress(*UNREADABLE, TypeError, LookupError, AttributeError, OverflowError):
            found.append(make(row))
    return found


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _trace(config: MindConfig, row: Row) -> Row:
    idle_s = time.time() - max(row["used_at"], row["created_at"])
    return {
        "mind": row["mind"], "trace": row["id"], "text": row["text"] or "(archived)", "tier": row["tier"],
        "strength": config.strength(row["confidence"], row["importance"], row["uses"], idle_s), "uses": row["uses"],
        "created_at": _when(row["created_at"]), "superseded_by": row["superseded_by"], "stage": row["stage"], "repeats": row["repeats"],
        "forgotten": row["forgotten_at"] is not None, "disputed": row["disputed_at"] is not None,
    }  # fmt: skip


def _night(row: Row) -> Row:
    detail = json.loads(row.pop("detail"))
    return {
        **row, "started_at": _when(row["started_at"]), "doing": detail["doing"], "kept": detail["kept"],
        "retained": detail["retained"],
    }  # fmt: skip


def _asked(row: Row) -> Row:
    about = json.loads(row["about"])
    return {
        "mind": row["mind"], "asked_at": _when(row["at"]), "question": about.get("question"), "answer": row["text"],
        "source": about.get("source"), "confidence": about.get("confidence"), "memory": about.get("memory"),
    }  # fmt: skip
