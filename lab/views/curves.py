"""Curves of runs: what moved, over steps, tokens or time. Every function takes tables and gives a Plotly figure.

A figure is a plain dict of `data` and `layout`, which is what Plotly draws, in the page and in a notebook alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from lab.views.theme import BANDS, DASHES, MODELS, SHADES, layout, nothing

Figure = dict[str, Any]
MOST_POINTS = 1500  # of one line; more cannot be seen and only slow the page down

AXES = {"step": "training step", "tokens": "tokens read", "time": "training time (s)"}
COLUMNS = {"step": "step", "tokens": "tokens", "time": "elapsed_s"}


@dataclass(frozen=True)
class Metric:
    """A column of the table `steps` or `evals`, or a name in `measures`, as people read it."""

    question: str
    unit: str
    table: str = "steps"


METRICS = {
    "loss": Metric("How wrong are its guesses while it learns?", "loss (nats per byte)"),
    "bpb": Metric("How well does it know text it never learnt?", "bits per byte", "evals"),
    "surprise": Metric("How much is new to it?", "share of surprising bytes"),
    "fire_rate": Metric("How often does the live memory write?", "share of bytes", "measures"),
    "lr": Metric("How large are its steps?", "learning rate"),
    "tokens_s": Metric("How fast does it learn?", "tokens per second"),
    "grad_norm": Metric("How strong is the pull of each step?", "gradient norm, worst band"),
}


def thin(table: pd.DataFrame, most: int = MOST_POINTS) -> pd.DataFrame:
    """Keep at most `most` rows, evenly spread, and always the last."""
    if len(table) <= most:
        return table
    stride = -(-len(table) // most)
    kept = table.iloc[::stride]
    return kept if kept.index[-1] == table.index[-1] else pd.concat([kept, table.iloc[-1:]])


def smooth(values: pd.Series, amount: float) -> pd.Series:
    """Follow a line with a running mean: `amount` 0 leaves it as it is, towards 1 it moves ever less."""
    return values if amount <= 0 else values.ewm(alpha=1 - amount).mean()


def curve(table: pd.DataFrame, metric: str, axis: str, smoothing: float, model: str) -> Figure:
    """One run's `metric` over `axis`; the table has the axis columns and the metric's own."""
    return compare({model: table}, metric, axis, smoothing, {model: MODELS.get(model, SHADES[0])})


def compare(
    runs: dict[str, pd.DataFrame], metric: str, axis: str = "step", smoothing: float = 0.0,
    colours: dict[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Several runs' `metric` over each other; `runs` maps a label to its table."""
    about, lines = METRICS[metric], []
    for i, (label, table) in enumerate(runs.items()):
        known = table.dropna(subset=[metric]) if metric in table else table.iloc[:0]
        if known.empty:
            continue
        shown = thin(known.assign(shown=smooth(known[metric], smoothing)))
        colour = (colours or {}).get(label, SHADES[i % len(SHADES)])  # beside a dash of its own
        lines.append({
            "type": "scatter", "name": label, "x": _numbers(shown[COLUMNS[axis]]), "y": _numbers(shown["shown"]),
            "mode": "lines+markers" if len(shown) < 40 else "lines",
            "line": {"color": colour, "width": 2, "dash": DASHES[i % len(DASHES)]}, "marker": {"size": 6},
            "hovertemplate": "%{y:.4g}<extra>" + label + "</extra>", "showlegend": len(runs) > 1,
        })  # fmt: skip
    frame = layout(about.question, AXES[axis], about.unit)
    if not lines:
        begun = any(len(table) for table in runs.values()) and about.table != "evals"
        reason = "this brain has no such part" if begun else "nothing measured yet"
        frame = nothing(frame, reason)
    return {"data": lines, "layout": frame | {"uirevision": f"{axis} {' '.join(runs)}"}}


def band_raster(bands: pd.DataFrame, axis: str = "step") -> Figure:
    """Which band learnt when: a mark for each step at which a band's weights moved; columns step, band, updated."""
    marks: list[dict[str, Any]] = []
    order: list[str] = []
    for band, colour in BANDS.items():
        moved = bands[(bands["band"] == band) & bands["updated"]]
        if not len(bands[bands["band"] == band]):
            continue
        share = len(moved) / max(1, len(bands[bands["band"] == band]))
        shown = thin(moved, 600)
        order.insert(0, f"{band}<br>{share:.0%}")
        marks.append({
            "type": "scatter", "mode": "markers", "name": f"{band} · {share:.0%} of steps", "showlegend": False,
            "x": _numbers(shown[COLUMNS[axis]]), "y": [order[0]] * len(shown),
            "marker": {"symbol": "line-ns-open", "size": 22, "color": colour, "line": {"width": 1.5, "color": colour}},
            "hovertemplate": "step %{x}<extra>" + band + " band learnt</extra>",
        })  # fmt: skip
    frame = layout("Which band learnt when, in what share of steps?", AXES[axis], "")
    frame["yaxis"] |= {"categoryorder": "array", "categoryarray": order, "type": "category"}
    frame["hovermode"] = "closest"
    return {"data": marks, "layout": frame}


def _numbers(values: pd.Series) -> list[float]:
    return [float(f"{value:.6g}") for value in values.astype(float)]
