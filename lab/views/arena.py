"""Figures of the arena: who still remembers what. Every function takes tables; several seeds are a line with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lab.views.curves import Figure
from lab.views.theme import DASHES, MODELS, SHADES, layout, nothing

CELL = ["contestant", "seed", "task_order"]
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
SHARE = {"range": [-0.03, 1.05], "tickformat": ".0%"}


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every contestant; the two models alone keep theirs."""
    spare = iter([shade for shade in SHADES if shade not in MODELS.values()] * 9)
    return {name: MODELS[name] if name in MODELS else next(spare) for name in names}


def retention(
    scores: pd.DataFrame, probes: pd.DataFrame, tasks: pd.DataFrame, names: Sequence[str], on_task: int
) -> Figure:
    """Recall on one task while the stream goes on; columns as in tables scores, probes and tasks, of one order."""
    mine = tasks.sort_values("position")["task"].tolist()
    task = mine[on_task - 1] if on_task <= len(mine) else f"task {on_task}"
    frame = layout(f"Who still remembers {task}?", "tasks learnt", "recall")
    frame["yaxis"] |= SHARE
    _room(frame, names)
    frame["xaxis"] |= {"tickvals": list(range(len(mine) + 1)), "range": [-0.1, len(mine) + 0.1]}
    points = pd.concat([
        scores[scores["on_task"] == on_task].rename(columns={"after_task": "moment"})[[*CELL, "moment", "recall"]],
        probes[probes["on_task"] == on_task][[*CELL, "moment", "recall"]],
    ])  # fmt: skip
    lines: list[dict[str, Any]] = []
    for i, (name, colour) in enumerate(colours(names).items()):
        rows = points[points["contestant"] == name]
        if rows.empty:
            continue
        rows = rows.assign(moment=rows["moment"].astype(float).round(3), recall=rows["recall"].astype(float))
        found = rows.groupby("moment")["recall"].agg(["mean", "min", "max", "count"]).reset_index()
        if (found["count"] > 1).any():
            around = [*found["moment"], *found["moment"][::-1]]
            lines.append({
                "type": "scatter", "mode": "lines", "x": around, "y": [*found["max"], *found["min"][::-1]],
                "fill": "toself", "fillcolor": _pale(colour), "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
                "legendgroup": name,
            })  # fmt: skip
        lines.append({
            "type": "scatter", "mode": "lines+markers", "name": name, "x": found["moment"].tolist(), "y": found["mean"].round(4).tolist(),
            "line": {"color": colour, "width": 2, "dash": DASHES[i % len(DASHES)]}, "marker": {"size": 5, "symbol": SYMBOLS[i % 8]},
            "hovertemplate": "%{y:.0%}<extra>" + name + "</extra>", "legendgroup": name,
        })  # fmt: skip
    return {"data": lines, "layout": _said(frame, lines, "nothing scored yet: press Start")}


def heatmap(scores: pd.DataFrame, tasks: pd.DataFrame, name: str) -> Figure:
    """A contestant's R, the mean over its seeds: a row for each task learnt, a column for each task asked."""
    names = tasks.sort_values("position")["task"].tolist()
    frame = layout(f"What does {name} know after each task?", "asked about", "after")
    rows = scores[scores["contestant"] == name]
    if rows.empty:
        return {"data": [], "layout": _said(frame, [], "nothing scored yet")}
    r = rows.assign(recall=rows["recall"].astype(float)).pivot_table("recall", "after_task", "on_task", "mean")
    frame["yaxis"] |= {"autorange": "reversed", "type": "category"}
    frame["xaxis"] |= {"type": "category"}
    return {"data": [{
        "type": "heatmap", "x": [names[i - 1] for i in r.columns], "y": [names[t - 1] if t else "nothing" for t in r.index],
        "z": r.round(3).to_numpy().tolist(), "zmin": 0, "zmax": 1, "colorscale": "Viridis", "texttemplate": "%{z:.0%}",
        "colorbar": {"tickformat": ".0%", "thickness": 10}, "hovertemplate": "%{x} after %{y}: %{z:.0%}<extra></extra>",
    }], "layout": frame}  # fmt: skip


def anytime(scores: pd.DataFrame, tasks: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Mean recall of the tasks so far, after each; the floor (naive) and the ceiling (joint) are among the contestants."""
    frame = layout("How much of all so far is known?", "tasks learnt", "mean recall")
    frame["yaxis"] |= SHARE
    frame["xaxis"] |= {"tickvals": list(range(1, len(tasks) + 1))}
    _room(frame, names)
    known = scores[(scores["after_task"] > 0) & (scores["on_task"] <= scores["after_task"])]
    lines = []
    for i, (name, colour) in enumerate(colours(names).items()):
        rows = known[known["contestant"] == name]
        if rows.empty:
            continue
        found = rows.assign(recall=rows["recall"].astype(float)).groupby("after_task")["recall"].mean()
        lines.append({
            "type": "scatter", "mode": "lines+markers", "name": name, "x": [int(t) for t in found.index], "y": found.round(4).tolist(),
            "line": {"color": colour, "width": 2, "dash": DASHES[i % len(DASHES)]}, "marker": {"size": 7, "symbol": SYMBOLS[i % 8]},
            "hovertemplate": "%{y:.0%}<extra>" + name + "</extra>",
        })  # fmt: skip
    return {"data": lines, "layout": _said(frame, lines, "nothing scored yet")}


def tradeoff(seeds: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Stability against plasticity, a dot for every seed; columns contestant, seed, learning accuracy, kept of the first task."""
    frame = layout("Does it keep the old and learn the new?", "new: learning accuracy", "old: kept of the first task")
    frame["yaxis"] |= {"range": [-0.05, max(1.1, _top(seeds, "kept of the first task"))], "tickformat": ".0%"}
    frame["xaxis"] |= {"range": [-0.05, 1.05], "tickformat": ".0%"}
    return _dots(frame, seeds, names, "learning accuracy", "kept of the first task")


def cost(seeds: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Final accuracy against seconds of learning, a dot for every seed."""
    frame = layout("What does remembering cost?", "seconds of learning", "recall of all tasks")
    frame["yaxis"] |= SHARE
    frame["xaxis"] |= {"rangemode": "tozero"}
    return _dots(frame, seeds, names, "seconds", "ACC")


def coverage(seeds: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Final accuracy against the share of past lessons that were dreamt word for word, for those who dream."""
    frame = layout("Is what was dreamt what is kept?", "share of past lessons dreamt", "kept of the first task")
    frame["yaxis"] |= {"range": [-0.05, max(1.1, _top(seeds, "kept of the first task"))], "tickformat": ".0%"}
    frame["xaxis"] |= {"range": [-0.05, 1.05], "tickformat": ".0%"}
    dreamt = seeds[seeds["dream coverage"].notna()] if len(seeds) else seeds
    return _dots(frame, dreamt, names, "dream coverage", "kept of the first task", "nobody who dreams has finished")


def figures(
    scores: pd.DataFrame, probes: pd.DataFrame, seeds: pd.DataFrame, tasks: pd.DataFrame, names: Sequence[str]
) -> list[Figure]:
    """All figures of a run, for each order of its tasks."""
    orders, found = list(tasks["task_order"].unique()), list[Figure]()
    for order in orders:
        some, looks, here = (table[table["task_order"] == order] for table in (scores, probes, tasks))
        whole = seeds[seeds["task_order"] == order] if len(seeds) else seeds
        drawn = [
            *(retention(some, looks, here, names, i + 1) for i in range(len(here))), anytime(some, here, names),
            tradeoff(whole, names), cost(whole, names), coverage(whole, names),
            *(heatmap(some, here, name) for name in names),
        ]  # fmt: skip
        for figure in drawn if len(orders) > 1 else ():
            figure["layout"]["title"]["text"] += f" (tasks {order})"
        found += drawn
    return found


def _dots(
    frame: dict[str, Any],
    seeds: pd.DataFrame,
    names: Sequence[str],
    x: str,
    y: str,
    empty: str = "no seed is whole yet",
) -> Figure:
    frame["hovermode"] = "closest"
    _room(frame, names)
    dots = []
    for i, (name, colour) in enumerate(colours(names).items()):
        rows = seeds[seeds["contestant"] == name] if len(seeds) else seeds
        if not len(rows):
            continue
        dots.append({
            "type": "scatter", "mode": "markers", "name": name, "x": rows[x].astype(float).round(4).tolist(),
            "y": rows[y].astype(float).round(4).tolist(), "text": [f"seed {seed}" for seed in rows["seed"]],
            "marker": {"color": colour, "size": 10, "symbol": SYMBOLS[i % 8], "opacity": 0.8},
            "hovertemplate": "%{text}: %{x:.3g}, %{y:.0%}<extra>" + name + "</extra>",
        })  # fmt: skip
    return {"data": dots, "layout": _said(frame, dots, empty)}


def _room(frame: dict[str, Any], names: Sequence[str]) -> None:
    """Make room for a legend of several rows between title and chart."""
    rows = max(0, (sum(len(name) + 6 for name in names) - 20) // 36)
    frame["margin"]["t"] += 19 * rows
    frame["height"] += 19 * rows


def _said(frame: dict[str, Any], drawn: Sequence[Any], reason: str) -> dict[str, Any]:
    return frame if drawn else nothing(frame, reason)


def _top(seeds: pd.DataFrame, column: str) -> float:
    return float(seeds[column].max()) * 1.05 if len(seeds) else 1.0


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"
