"""What minds put into lab.duckdb: their traces and nights, read from each mind's own file, which is never written here.

The file is read through a connection of its own, read-only, beside whoever owns the mind.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

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
    parts = []
    for folder in mind_folders(home):
        for name in ("memory.sqlite", "memory.sqlite-wal"):
            with contextlib.suppress(FileNotFoundError):
                about = (folder / name).stat()
                parts.append(f"{folder.name}/{name} {about.st_size}@{about.st_mtime_ns}")
    return " ".join(parts)


def mind_rows(home: Path) -> dict[str, pd.DataFrame]:
    """Give the rows of each table; a mind that cannot be read is left out."""
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for folder in mind_folders(home):
        with (
            contextlib.suppress(sqlite3.Error, ValueError),
            contextlib.closing(sqlite3.connect(f"file:{folder / 'memory.sqlite'}?mode=ro", uri=True, timeout=2)) as sql,
        ):
            sql.row_factory = sqlite3.Row
            rows = {
                name: [dict(row) for row in sql.execute(f"SELECT * FROM {name}")]
                for name in ("traces", "nights", "messages")
            }
            found["traces"] += [_trace(folder.name, row) for row in rows["traces"]]
            found["nights"] += [_night(folder.name, row) for row in rows["nights"]]
            found["asked"] += [_asked(folder.name, row) for row in rows["messages"] if '"answer"' in row["about"]]
    columns = {table: [column.split()[0] for column in text.split(", ")] for table, text in TABLES.items()}
    return {table: pd.DataFrame(rows, columns=columns[table], dtype=object) for table, rows in found.items()}


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _trace(mind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "mind": mind, "trace": row["id"], "text": row["text"] or "(archived)", "tier": row["tier"], "strength": row["confidence"],
        "uses": row["uses"], "created_at": _when(row["created_at"]), "superseded_by": row["superseded_by"], "stage": row["stage"],
        "repeats": row["repeats"], "forgotten": row["forgotten_at"] is not None, "disputed": row["disputed_at"] is not None,
    }  # fmt: skip


def _night(mind: str, row: dict[str, Any]) -> dict[str, Any]:
    detail = json.loads(row.pop("detail"))
    return {
        **row, "mind": mind, "started_at": _when(row["started_at"]), "doing": detail["doing"], "kept": detail["kept"],
        "retained": detail["retained"],
    }  # fmt: skip


def _asked(mind: str, row: dict[str, Any]) -> dict[str, Any]:
    about = json.loads(row["about"])
    return {
        "mind": mind, "asked_at": _when(row["at"]), "question": about.get("question"), "answer": row["text"], "source": about.get("source"),
        "confidence": about.get("confidence"), "memory": about.get("memory"),
    }  # fmt: skip
