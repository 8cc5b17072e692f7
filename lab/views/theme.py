"""One palette for every chart: a colour and a line style for each model and band, told apart without colour too."""

from __future__ import annotations

from typing import Any

from lab.config import FAMILIES

MODELS = {name: family.colour for name, family in FAMILIES.items()}
BANDS = {"fast": "#f2b134", "medium": "#2fa57c", "deep": "#3f7fd9"}
TIERS = {"STM": "#e8833a", "LTM": "#7c5cff", "archive": "#8a8f98"}
PHASES = {"wake": "#f2b134", "REM": "#d6498f", "NREM": "#3f7fd9"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SHADES = ("#7c5cff", "#e8833a", "#2fa57c", "#3f7fd9", "#d6498f", "#8a8f98", "#b59a1c", "#14a3b8")


def nothing(frame: dict[str, Any], reason: str) -> dict[str, Any]:
    """The frame of a chart that has nothing to draw, with the reason."""
    note = {"text": reason, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    return frame | {"annotations": [note]}


def layout(title: str, x: str, y: str, **more: Any) -> dict[str, Any]:
    """The frame of every chart: its question as title, axes with units; colours of text come from the page."""
    axis = {"gridcolor": "rgba(128,128,128,0.18)", "zeroline": False, "automargin": True}
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0.02, "xref": "container", "xanchor": "left", "y": 0.97, "yanchor": "top"},
        "margin": {"l": 56, "r": 12, "t": 52, "b": 42},
        "height": 260,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "uirevision": title,
        "xaxis": {"title": {"text": x, "font": {"size": 12}}, **axis},
        "yaxis": {"title": {"text": y, "font": {"size": 12}, "standoff": 6}, **axis},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right", "font": {"size": 11}},
        "font": {"size": 12, "family": "system-ui, sans-serif"},
        **more,
    }  # fmt: skip
