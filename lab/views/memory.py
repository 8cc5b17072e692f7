"""Figures of a mind: its tiers, its nights, how strong its traces are. Every function takes tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lab.views.curves import Figure
from lab.views.theme import PHASES, TIERS, layout, nothing

LEVELS = {"wake": 2, "REM": 1, "NREM": 0}


def _times(seconds: pd.Series) -> list[str]:
    return [stamp.isoformat() for stamp in pd.to_datetime(seconds, unit="s")]


def tier_usage(usage: pd.DataFrame) -> Figure:
    """How many traces each tier held over time; columns at (s), stm, ltm, archive."""
    frame = layout("How full is each memory?", "time (UTC)", "traces")
    frame["xaxis"] |= {"nticks": 4, "tickangle": 0}  # times are long, and a telephone is narrow
    if usage.empty:
        return {"data": [], "layout": nothing(frame, "nothing taught yet: tell it something in the Chat tab")}
    lines = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": _times(usage["at"]), "y": usage[column].tolist(),
            "line": {"color": TIERS[name], "width": 2, "shape": "hv", "dash": dash}, "marker": {"size": 4},
            "hovertemplate": "%{y} traces<extra>" + name + "</extra>",
        }
        for name, column, dash in (("STM", "stm", "solid"), ("LTM", "ltm", "dash"), ("archive", "archive", "dot"))
    ]  # fmt: skip
    return {"data": lines, "layout": frame}


def hypnogram(phases: pd.DataFrame, title: str = "How did it sleep?") -> Figure:
    """Wake, REM and NREM over the seconds of one night; columns phase, doing, seconds (start), until."""
    frame = layout(title, "seconds asleep", "")
    frame["yaxis"] |= {"tickvals": list(LEVELS.values()), "ticktext": list(LEVELS), "range": [-0.4, 2.4]}
    frame["hovermode"] = "closest"
    if phases.empty:
        return {"data": [], "layout": nothing(frame, "no night yet: press Sleep")}
    xs, ys = [0.0, 0.0], [LEVELS["wake"], LEVELS[phases["phase"].iloc[0]]]
    for row in phases.itertuples():
        xs += [float(row.seconds), float(row.until)]
        ys += [LEVELS[str(row.phase)]] * 2
    steps = {
        "type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": {"color": "#8a8f98", "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    bars = [
        {
            "type": "scatter", "mode": "lines", "name": phase, "line": {"color": PHASES[phase], "width": 9},
            "x": _joined([[r.seconds, r.until] for r in rows.itertuples()]), "y": _joined([[LEVELS[phase]] * 2] * len(rows)),
            "text": _joined([[r.doing] * 2 for r in rows.itertuples()]),
            "hovertemplate": "%{text}, second %{x:.0f}<extra>" + phase + "</extra>",
        }
        for phase, rows in ((phase, phases[phases["phase"] == phase]) for phase in LEVELS)
        if len(rows)
    ]  # fmt: skip
    return {"data": [steps, *bars], "layout": frame}


def _joined(pairs: list[list[Any]]) -> list[Any]:
    """Separate pieces of one line by gaps."""
    return [value for pair in pairs for value in (*pair, None)][:-1]


def strengths(traces: pd.DataFrame) -> Figure:
    """How strong the traces are now; columns strength, tier."""
    frame = layout("How strong are its memories?", "strength", "traces")
    frame |= {"barmode": "stack", "bargap": 0.05}
    if traces.empty:
        return {"data": [], "layout": nothing(frame, "nothing taught yet")}
    edges = np.linspace(0, max(1.0, float(traces["strength"].max())) + 1e-6, 21)
    bars = [
        {
            "type": "bar", "name": tier, "x": ((edges[1:] + edges[:-1]) / 2).round(3).tolist(), "marker": {"color": colour},
            "y": np.histogram(traces.loc[traces["tier"] == tier, "strength"], edges)[0].tolist(),
            "hovertemplate": "%{y} traces of strength about %{x}<extra>" + tier + "</extra>",
        }
        for tier, colour in TIERS.items()
    ]  # fmt: skip
    return {"data": bars, "layout": frame}


def forgetting(traces: pd.DataFrame, decay: float) -> Figure:
    """Strength against the days since a trace was used, and how it will go on; columns age_days, strength, tier, text."""
    frame = layout("How fast do unused memories fade?", "days since last used", "strength")
    frame["hovermode"] = "closest"
    days = np.linspace(0, max(30.0, float(traces["age_days"].max()) if len(traces) else 0.0), 61)
    curve = {
        "type": "scatter", "mode": "lines", "name": f"fading: ×{decay:g} a day", "x": days.round(2).tolist(),
        "y": (decay**days).round(4).tolist(), "line": {"color": "#8a8f98", "dash": "dash"}, "hoverinfo": "skip",
    }  # fmt: skip
    dots = [
        {
            "type": "scatter", "mode": "markers", "name": tier, "x": rows["age_days"].round(4).tolist(),
            "y": rows["strength"].round(3).tolist(),
            "text": [text[:80].replace("<", "&lt;") for text in rows["text"]], "marker": {"color": TIERS[tier], "size": 7},
            "hovertemplate": "%{text}<extra>" + tier + "</extra>",
        }
        for tier, rows in ((tier, traces[traces["tier"] == tier]) for tier in TIERS)
        if len(rows)
    ]  # fmt: skip
    return {"data": [curve, *dots], "layout": frame}


def night_recall(nights: pd.DataFrame) -> Figure:
    """Recall from the weights alone before and after each night, and what was kept; one row a night."""
    frame = layout("What did each night move into the weights?", "night", "share")
    frame["yaxis"] |= {"range": [0, 1.05], "tickformat": ".0%"}
    frame |= {"barmode": "group"}
    if nights.empty:
        return {"data": [], "layout": nothing(frame, "no night yet: press Sleep")}
    names = [f"night {night}" for night in nights["night"]]
    bars = [
        {
            "type": "bar", "name": name, "x": names, "y": nights[column].tolist(), "marker": {"color": colour, "pattern": {"shape": shape}},
            "hovertemplate": "%{y:.0%}<extra>" + name + "</extra>",
        }
        for name, column, colour, shape in (
            ("recall before", "recall_before", PHASES["wake"], "/"), ("recall after", "recall_after", PHASES["NREM"], ""),
            ("old knowledge kept", "retained", PHASES["REM"], "."),
        )
    ]  # fmt: skip
    return {"data": bars, "layout": frame}
