"""What an arena run shows: metrics from the score matrices, means with intervals, verdicts; and files of all of it.

Nothing here is stored: it is computed from the scores whenever somebody looks.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly

from lab.arena import METRIC_NAMES, PROVES, compare, estimate, intransigence, matrix, summarise
from lab.config import ArenaConfig, ConfigError, arena_line
from lab.disk import write_durably
from lab.jobs.output import write_tables
from lab.store import ArenaLog, Run
from lab.store.arena import TABLES

JUDGED = {"ACC": "recall of all tasks at the end", "kept of the first task": "of the first task kept"}
UPDATED = {"newest": "of the new values known", "old values gone": "of the old values gone"}  # where facts change
CONTROLS = ("baseline+dreams", "baseline+replay", "baseline")  # the hardest first
FURTHER = ("anytime", "oldest", "newest", "intransigence", "old values left", "dream coverage")
FORMATS = ("csv", "parquet", "json", "html")


@dataclass(frozen=True)
class Report:
    """`seeds` has a row for every whole cell: its metrics and costs; `means` one for every contestant and order."""

    seeds: pd.DataFrame
    means: pd.DataFrame
    verdicts: list[str]
    proves: str = PROVES


def control_of(config: ArenaConfig) -> str:
    """Whom the others are compared with: the chosen one, else the hardest control among them, else the last."""
    names = config.names()
    last = next((name for name in reversed(names) if name != "joint"), names[-1])
    return config.control or next((name for name in CONTROLS if name in names), last)


def judged(seeds: pd.DataFrame) -> dict[str, str]:
    """The metrics that a verdict is about: where facts change, to keep the old is no merit."""
    return UPDATED if len(seeds) and seeds["old values left"].notna().any() else JUDGED


def whole_cells(log: ArenaLog) -> list[tuple[tuple[str, int, str], Any, int]]:
    """Every cell that went through the stream, with its R and the number of tasks."""
    scores, found = log.table("scores"), []
    for order, tasks in log.contested.get("tasks", {}).items():
        count = len(tasks)
        for who, rows in scores[scores["task_order"] == order].groupby(
            ["contestant", "seed", "task_order"], sort=False
        ):
            r = matrix(list(zip(rows["after_task"], rows["on_task"], rows["recall"], strict=True)), count)
            if not pd.isna(r).any():
                found.append(((str(who[0]), int(who[1]), str(who[2])), r, count))
    return found


def report(config: ArenaConfig, log: ArenaLog) -> Report:
    """Compute everything that a page, a shell or a file shows of a run, from what is whole so far."""
    cells = whole_cells(log)
    costs, side = log.table("costs"), log.table("side_scores")
    joint = {(seed, order): r for (name, seed, order), r, _ in cells if name == "joint"}
    rows = []
    for (name, seed, order), r, count in cells:
        mine = costs[(costs["contestant"] == name) & (costs["seed"] == seed) & (costs["task_order"] == order)]
        last = mine.sort_values("task").iloc[-1].to_dict() if len(mine) else {}
        stale = side[
            (side["contestant"] == name) & (side["seed"] == seed) & (side["task_order"] == order)
            & (side["split"] == "stale") & (side["after_task"] == count)
        ]["recall"]  # fmt: skip
        ceiling = joint.get((seed, order))
        rows.append({
            "contestant": name, "seed": seed, "task_order": order, **summarise(r),
            "intransigence": None if ceiling is None else intransigence(r, ceiling),
            "old values left": float(stale.mean()) if len(stale) else None,
            "old values gone": 1 - float(stale.mean()) if len(stale) else None,
            "dream coverage": mine["coverage"].dropna().mean() if mine["coverage"].notna().any() else None,
            "seconds": last.get("seconds"), "tokens": last.get("tokens"), "stored_bytes": last.get("stored_bytes"),
            "peak_bytes": last.get("peak_bytes"), "parameters": log.contested.get("parameters", {}).get(name),
        })  # fmt: skip
    seeds = pd.DataFrame(rows)
    return Report(seeds, _means(seeds, config), _verdicts(seeds, config))


def _means(seeds: pd.DataFrame, config: ArenaConfig) -> pd.DataFrame:
    """A row for every contestant and order: each metric's mean with its 95% interval as text, costs as medians."""
    rows = []
    for order in config.orders():
        for name in config.names():
            mine = seeds[(seeds["contestant"] == name) & (seeds["task_order"] == order)] if len(seeds) else seeds
            if not len(mine):
                continue
            row: dict[str, Any] = {"contestant": name, "task_order": order, "seeds": len(mine)}
            for metric in (*METRIC_NAMES, *FURTHER):
                known = mine[metric].dropna()
                row[metric] = str(estimate([float(v) for v in known])) if len(known) else "–"
            for cost in ("seconds", "tokens", "stored_bytes", "peak_bytes", "parameters"):
                known = mine[cost].dropna()
                row[cost] = float(known.median()) if len(known) else None
            rows.append(row)
    return pd.DataFrame(rows)


def _verdicts(seeds: pd.DataFrame, config: ArenaConfig) -> list[str]:
    """A sentence for every pair, metric and order: everybody against the control, and the first against the other controls."""
    control, names, found = control_of(config), config.names(), []
    if not len(seeds):
        return []
    pairs = [(name, control) for name in names if name != control]
    pairs += [
        (names[0], other)
        for other in CONTROLS
        if other in names and other != control and names[0] not in (control, other)
    ]
    for order in config.orders():
        here = seeds[seeds["task_order"] == order].set_index("seed")
        note = f" (tasks {order})" if len(config.orders()) > 1 else ""
        for name, against in pairs:
            ours, theirs = here[here["contestant"] == name], here[here["contestant"] == against]
            if not len(ours.index.intersection(theirs.index)):
                continue
            for metric, words in judged(seeds).items():
                _, sentence = compare(name, against, ours[metric].to_dict(), theirs[metric].to_dict(), words)
                found.append(sentence.removesuffix(".") + note + ".")
    return found


def nothing_to_say(told: Report) -> str:
    """Why there is no verdict."""
    if not len(told.seeds):
        return "Nothing is whole yet."
    return "A verdict needs a contestant and its control through the stream with the same seed; there is no such pair."


def export_arena(run: Run, folder: Path, kind: str) -> list[Path]:
    """Write a run's tables to `folder` as csv, parquet or json, or all of it as one html page; gives the paths."""
    if kind not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}; got {kind!r}.", "format")
    config, log = run.arena(), ArenaLog(run)
    log.read()
    told = report(config, log)
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "html":
        path = folder / f"{run.id}.html"
        write_durably(path, _page(run, config, log, told).encode())
        return [path]
    tables = {name: log.table(name) for name in TABLES} | {"metrics": told.seeds, "means": told.means}
    if kind == "json":
        whole = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        whole |= {
            "run": run.id,
            "command": arena_line(config),
            "config": run.record["config"],
            "verdicts": told.verdicts,
        }
        path = folder / f"{run.id}.json"
        write_durably(path, json.dumps(whole).encode())
        return [path]
    return write_tables(tables, folder, kind)


def _page(run: Run, config: ArenaConfig, log: ArenaLog, told: Report) -> str:
    """One page that needs nothing else: verdicts, tables, charts and the script that draws them."""
    from lab.views.arena import figures

    drawn = figures(log.table("scores"), log.table("probes"), told.seeds, log.table("tasks"), config.names())
    boxes = "".join(f'<div class="chart" id="c{i}"></div>' for i in range(len(drawn)))
    # "</" would end the script early
    data = json.dumps([{**figure, "layout": {**figure["layout"], "height": 340}} for figure in drawn]).replace(
        "</", "<\\/"
    )
    script = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    sentences = "".join(f"<li>{html.escape(text)}</li>" for text in told.verdicts) or f"<li>{nothing_to_say(told)}</li>"
    title = html.escape(f"Who forgets what? {config.stream}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{PAGE_STYLE}</style>'
        f"<h1>{title}</h1><p><code>{html.escape(arena_line(config))}</code></p><ul>{sentences}</ul>"
        f"<p>{html.escape(PROVES)}</p>{_table(told.means)}{boxes}<script>{script}</script>"
        f"<script>const figures = {data}; figures.forEach((f, i) => Plotly.newPlot('c' + i, f.data, f.layout, "
        "{responsive: true, displaylogo: false}));</script></html>"
    )


PAGE_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}"
)  # fmt: skip


def _table(frame: pd.DataFrame) -> str:
    return str(frame.to_html(index=False, na_rep="–", float_format=lambda value: f"{value:,.0f}")) if len(frame) else ""


def readme_table(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The chosen columns of `means`, as rows for the README; without those that say nothing."""
    rows = [{name: _plain(row[name]) for name in columns} for row in frame.to_dict("records")]
    said = [name for name in columns if any(row[name] != "–" for row in rows)]
    return [{name: row[name] for name in said} for row in rows]


def _plain(value: Any) -> Any:
    return (
        "–"
        if value is None or value != value
        else re.sub(r" \(one seed\)$", "", value)
        if isinstance(value, str)
        else value
    )
