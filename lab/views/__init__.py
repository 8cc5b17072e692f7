"""Figures and tables for people, from tables; a view knows no store."""

from lab.views.curves import AXES, METRICS, Figure, band_raster, compare, curve
from lab.views.memory import forgetting, hypnogram, night_recall, strengths, tier_usage
from lab.views.tables import config_diff
from lab.views.theme import MODELS

__all__ = [
    "AXES", "METRICS", "MODELS", "Figure", "band_raster", "compare", "config_diff", "curve", "forgetting", "hypnogram", "night_recall",
    "strengths", "tier_usage",
]  # fmt: skip
