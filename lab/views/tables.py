"""Small tables for people."""

from __future__ import annotations

import pandas as pd


def config_diff(configs: dict[str, dict[str, object]]) -> pd.DataFrame:
    """Give the options in which runs differ: one row an option, one column a run; "–" where a run lacks it."""
    names = list(dict.fromkeys(name for config in configs.values() for name in config))
    rows = []
    for name in names:
        values = {run: config.get(name, "–") for run, config in configs.items()}
        if len({str(value) for value in values.values()}) > 1:
            rows.append({"option": name, **{run: str(value) for run, value in values.items()}})
    return pd.DataFrame(rows, columns=["option", *configs])
