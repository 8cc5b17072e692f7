"""The one table of the kinds of brain. A new one is a file here, a file in lab.models, and a line."""

from lab.config.brains import baseline, qor
from lab.config.brains.family import PRESETS, BrainConfig, Family

FAMILIES: dict[str, Family] = {"qor": qor.FAMILY, "baseline": baseline.FAMILY}
DEFAULT = "qor"  # what is taken where nothing is said, and whose size all contestants are matched to
CONTROL = "baseline"  # what every other brain is compared with

__all__ = ["CONTROL", "DEFAULT", "FAMILIES", "PRESETS", "BrainConfig", "Family"]
