"""Tables as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lab.disk import explained


def write_tables(tables: dict[str, pd.DataFrame], folder: Path, kind: str) -> list[Path]:
    """Write tables to `folder` by their names, as csv or parquet, and give the paths. Raises OSError."""
    write = pd.DataFrame.to_csv if kind == "csv" else pd.DataFrame.to_parquet
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write(table, folder / f"{name}.{kind}", index=False)
    return [folder / f"{name}.{kind}" for name in tables]
