"""Tables of results in Markdown: all in notebooks/RESULTS.md, each between its marks, and the few that the README shows of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lab.config import ConfigError
from lab.disk import write_durably

ROOT = Path(__file__).resolve().parents[2]
END = "<!-- end -->"
KEY = (  # the README's rows: what they say, the table, its row where it has several for a brain, and its column
    ("one note answers a question put in other words", "exam", "one note, held-out wording", "value"),
    ("200 notes: the right one found and read", "exam", "200 traces, held-out wording", "value"),
    ("says that it has not learned what it was not told", "exam", "abstains on untaught", "value"),
    ("after a night with 200 facts, from the weights alone", "exam", "weights only, 200 facts, as taught", "value"),
    ("of what it knew before, lost by that night", "exam", "innate facts lost by a night of 200", "value"),
    ("an answer, ms (95% are faster)", "mind", "ask, ms, p95", "figure"),
    ("a night with 20 facts, s", "mind", "night for 20 facts, s", "figure"),
    ("animals, then arithmetic, without a starter: recall of both", "arena mind-test", "", "ACC"),
)


def render(result: dict[str, Any]) -> str:
    """Give a result as a Markdown table, as it stands in RESULTS.md; `command` stands before it, `verdicts` after."""
    before = [f"`{result['command']}`", ""] if "command" in result else []
    after = ["", *(f"- {sentence}" for sentence in result["verdicts"])] if result.get("verdicts") else []
    return "\n".join([*before, *_table(result["rows"]), *after])


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    head = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    return [*head, *("| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows)]


def write_results(result: dict[str, Any], root: Path = ROOT) -> None:
    """Put a table between its marks in RESULTS.md, and what is key of all of them into the README."""
    _put(root / "notebooks" / "RESULTS.md", result["bench"], render(result))
    _put(root / "README.md", "key", "\n".join(_table(key_rows((root / "notebooks" / "RESULTS.md").read_text("utf-8")))))


def _put(path: Path, name: str, table: str) -> None:
    """Raises ConfigError where the file has no marks for it."""
    begin, text = f"<!-- bench {name} -->", path.read_text("utf-8")
    if begin not in text:
        raise ConfigError(f"{path.name} must have a line {begin} to hold the table; it has none.", "bench")
    before, rest = text.split(begin, 1)
    write_durably(path, f"{before}{begin}\n{table}\n{END}{rest.split(END, 1)[1]}".encode())


def key_rows(results: str) -> list[dict[str, Any]]:
    """The rows of KEY out of the text of RESULTS.md, with a column for every brain that has one."""
    key: dict[str, dict[str, Any]] = {}
    for title, bench, wanted, column in KEY:
        for row in _read(results, bench):
            if wanted in ("", row.get("measure"), row.get("what")):
                key.setdefault(title, {})[row.get("brain") or row["contestant"]] = row[column]
    brains = sorted({brain for cells in key.values() for brain in cells if "replay" not in brain})
    return [{"": title, **{brain: cells.get(brain, "") for brain in brains}} for title, cells in key.items()]


def _read(results: str, bench: str) -> list[dict[str, str]]:
    """The rows of one table of RESULTS.md."""
    block = results.partition(f"<!-- bench {bench} -->")[2].partition(END)[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in re.findall(r"^\|.*", block, re.M)
    ] or [[], []]
    return [dict(zip(head, row, strict=False)) for row in rows]


def contested_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The chosen columns of a comparison's means, as rows of a table; without those that say nothing."""
    rows = [{name: _plain(row[name]) for name in columns} for row in frame.to_dict("records")]
    kept = [name for name in columns if any(row[name] != "–" for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.removesuffix(" (one seed)")
    return "–" if value is None or value != value else value


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
