"""The arena: who forgets what, on streams of tasks, with controls and error bars."""

from lab.arena.contestants import ABLATIONS, Contestant, ablations, brain_config, find_contestant
from lab.arena.metrics import METRICS, intransigence, matrix, summarise
from lab.arena.runner import compete, estimate_seconds
from lab.arena.streams import Task, make_stream
from lab.arena.verdict import PROVES, Estimate, compare, estimate

METRIC_NAMES = tuple(METRICS)

__all__ = [
    "ABLATIONS", "METRIC_NAMES", "PROVES", "Contestant", "Estimate", "Task", "ablations", "brain_config", "compare", "compete", "estimate",
    "estimate_seconds", "find_contestant", "intransigence", "make_stream", "matrix", "summarise",
]  # fmt: skip
