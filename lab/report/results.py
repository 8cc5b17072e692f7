"""Tables of results in Markdown: all in notebooks/RESULTS.md, each between its marks, and the few that the README shows of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lab.config import ConfigError
from lab.disk import write_durably

ROOT = Path(__file__).resolve().parents[2]
END = "<!-- end -->"
NOTES = r"one note, held-out wording|\d+ traces, held-out wording|abstains on untaught"
NIGHT = r"weights only, \d{3} facts, as taught|innate facts lost by a night of \d{3}"
KEY = (  # the README's rows: a table, its brain, what and value, and a name for them where a row has none
    ("exam", rf"^\| (\S+) \| ({NOTES}|{NIGHT}) \| (\S+)", ""),
    ("mind", r"^\| (\S+) \| (ask, ms, p95|night for 20 facts, s) \| \S+ \| (\S+)", ""),
    ("arena mind-test", r"^\| (\w\S+) \| (forward) \| \d+ \| ([^|]+) \|", "animals, then arithmetic: recall of both"),
)


def render(result: dict[str, Any]) -> str:
    """Give a result as a Markdown table, as it stands in RESULTS.md; `command` stands before it, `verdicts` after."""
    before = [f"`{result['command']}`", ""] if "command" in result else []
    after = ["", *(f"- {sentence}" for sentence in result["verdicts"])] if result.get("verdicts") else []
    return "\n".join([*before, *_table(result["rows"]), *after])


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(rows[0])
    head = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    return [*head, *("| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows)]


def write_results(result: dict[str, Any], root: Path = ROOT) -> None:
    """Put a table between its marks in RESULTS.md, and what is key of all of them into the README."""
    _put(root / "notebooks" / "RESULTS.md", result["bench"], render(result))
    _put(root / "README.md", "key", "\n".join(_table(key_rows((root / "notebooks" / "RESULTS.md").read_text("utf-8")))))


def _put(path: Path, name: str, table: str) -> None:
    """Raises ConfigError where the file lacks one of the two marks between which it stands."""
    begin, text = f"<!-- bench {name} -->", path.read_text("utf-8")
    if begin not in text:
        raise ConfigError(f"{path.name} must have a line {begin} to hold the table; it has none.", "bench")
    before, rest = text.split(begin, 1)
    if END not in rest.partition("<!-- bench ")[0]:
        raise ConfigError(
            f"{path.name} must have a line {END} below {begin}; it has none. Add it where the table ends.", "bench"
        )
    write_durably(path, f"{before}{begin}\n{table}\n{END}{rest.split(END, 1)[1]}".encode())


def key_rows(results: str) -> list[dict[str, str]]:
    """What KEY chooses of the text of RESULTS.md, as rows with a column for each brain."""
    key: dict[str, dict[str, str]] = {}
    for bench, pattern, title in KEY:
        table = results.partition(f"<!-- bench {bench} -->")[2].partition(END)[0]
        for brain, what, value in re.findall(pattern, table, re.M):
            key.setdefault(title or what, {})[brain] = value
    brains = sorted({brain for values in key.values() for brain in values})
    return [{"measure": what, **{brain: values.get(brain, "") for brain in brains}} for what, values in key.items()]


def contested_rows(means: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The chosen columns of a comparison's means, as rows of a table; without those that say nothing."""
    chosen = means[list(columns)].astype(object)
    shown = chosen.where(chosen.notna(), "–").replace(r" \(one seed\)$", "", regex=True)
    rows: list[dict[str, Any]] = shown.loc[:, (shown != "–").any()].to_dict("records")
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
