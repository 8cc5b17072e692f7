"""The arena: who forgets what, on streams of tasks, with controls and error bars."""

from lab.arena.contestants import Contestant, Settings, ablations, brain_config, find_contestant, settings
from lab.arena.metrics import METRICS, intransigence, matrix, summarise
from lab.arena.runner import compete, estimate_seconds
from lab.arena.streams import Task, make_stream
from lab.arena.verdict import PROVES, Estimate, compare, estimate

METRIC_NAMES = tuple(METRICS)

__all__ = [
    "METRIC_NAMES", "PROVES", "Contestant", "Estimate", "Settings", "Task", "ablations", "brain_config", "compare", "compete",
    "estimate", "estimate_seconds", "find_contestant", "intransigence", "make_stream", "matrix", "settings", "summarise",
]  # fmt: skip
