"""What a comparison shows, and what it does not: means with 95% t-intervals, and differences paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

PROVES = (
    "The same brain with and without a strategy shows what the strategy is worth; two brains with the same strategy show "
    "what the architecture is worth. A brain with a strategy against one without shows only that remembering was "
    "attempted."
)
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% t-interval; without a second seed there is no interval."""

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        spread = f" [{self.low:.2f}, {self.high:.2f}]" if self.seeds > 1 else " (one seed)"
        return f"{self.mean:.2f}{spread}"


def estimate(values: Sequence[float]) -> Estimate:
    """values (seeds,) → mean and interval. Raises ValueError for none."""
    count = len(values)
    if not count:
        raise ValueError("an estimate must have at least one value; got none.")
    mean = statistics.fmean(values)
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    # not scipy.stats.t.interval: the same to the last digits (a test), but a second at every start of the page
    reach = float(stdtrit(count - 1, 0.975)) * statistics.stdev(values) / math.sqrt(count)
    return Estimate(mean, mean - reach, mean + reach, count)


def compare(
    name: str, control: str, ours: Mapping[int, float], theirs: Mapping[int, float], what: str
) -> tuple[Estimate, str]:
    """Scores by seed of a contestant and its control → the paired difference, and what it shows in one sentence."""
    seeds = sorted(ours.keys() & theirs.keys())
    difference = estimate([ours[seed] - theirs[seed] for seed in seeds])
    if difference.seeds < 2:
        return difference, f"One seed declares no winner: {name} has {difference.mean:+.2f} {what} against {control}."
    figures = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}] {what}, {difference.seeds} seeds"
    if difference.low <= 0 <= difference.high:
        return difference, f"{name} against {control}: {NO_DIFFERENCE} ({figures})."
    better = "better" if difference.mean > 0 else "worse"
    return difference, f"{name} is {better} than {control}: {figures}."
