"""When a trace moves between the tiers, and how strong it is: pure functions of traces, settings and the time.

STM → LTM at `promotion_uses` uses or repetitions, at high importance or surprise, or in sleep; LTM → archive after long
disuse, or when it is full. Times are seconds.
"""

from __future__ import annotations

import re

from lab.config import MindConfig
from lab.memory.traces import ARCHIVE, LTM, STM, Trace

DAY_S = 86400.0
CONFIDENCES = (0.6, 0.9, 1.0)  # after one, two, three tellings
URGENT = re.compile(
    r"\b(remember|important|never|always|must|do not forget|don't forget|password|code|pin|allerg\w*)\b", re.I
)


def confidence_of(repeats: int) -> float:
    """How sure a trace is after so many tellings."""
    return CONFIDENCES[min(max(repeats, 1), len(CONFIDENCES)) - 1]


def importance_of(text: str) -> float:
    """How much hangs on a text: 0.5, more where a person says that it matters, names a number or a name."""
    score = 0.5
    if URGENT.search(text):
        score += 0.3
    if re.search(r"\d", text):
        score += 0.1
    if re.search(r"(?<!^)\b[A-Z]\w+", text):
        score += 0.1
    return min(1.0, score)


def strength_now(trace: Trace, config: MindConfig, now: float) -> float:
    """The weight of a trace when it is looked for."""
    idle_s = now - max(trace.used_at, trace.created_at)
    return config.strength(trace.confidence, trace.importance, trace.uses, idle_s)


def wants_promotion(trace: Trace, config: MindConfig) -> bool:
    """Whether a trace of STM has earned its place in LTM."""
    return trace.tier == STM and (
        trace.uses >= config.promotion_uses
        or trace.repeats >= config.promotion_uses
        or trace.importance >= config.importance_threshold
        or trace.surprise >= config.surprise_threshold
    )


def wants_archive(trace: Trace, config: MindConfig, now: float) -> bool:
    """Whether LTM may hand a trace to the archive."""
    idle_s = now - max(trace.used_at, trace.created_at)
    return trace.tier == LTM and idle_s > config.archive_after_days * DAY_S


def overflow(traces: list[Trace], tier: str, config: MindConfig, now: float) -> list[Trace]:
    """The weakest traces of a tier that has more than its capacity, to be moved on."""
    capacity = {STM: config.stm_capacity, LTM: config.ltm_capacity, ARCHIVE: config.archive_capacity}[tier]
    inside = [trace for trace in traces if trace.tier == tier]
    if len(inside) <= capacity:
        return []
    return sorted(inside, key=lambda trace: strength_now(trace, config, now))[: len(inside) - capacity]


def next_tier(tier: str) -> str | None:
    """Where a trace goes when its tier has no room; None: it leaves."""
    return {STM: LTM, LTM: ARCHIVE}.get(tier)
