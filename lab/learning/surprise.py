"""Surprise: how many bytes of a step had a loss above the running quantile of the losses before.

A quantile, never a fixed loss: a fixed one fires always or never, since losses fall as a brain learns.
"""

from __future__ import annotations

from torch import Tensor

QUANTILE = 0.75
SPEED = 0.05  # share of a step's own quantile in the running one


class RunningSurprise:
    """Follows the upper quartile of the token loss; nothing new reads as 0.25."""

    def __init__(self, level: float | None = None) -> None:
        self.level = level  # nats; None before the first step

    def measure(self, losses: Tensor) -> float:
        """losses (n,) in nats → the share of them above the level so far; the level then moves toward theirs."""
        rank = min(losses.numel() - 1, int(QUANTILE * losses.numel()))
        fresh = float(losses.detach().flatten().sort().values[rank])
        if self.level is None:
            self.level = fresh
        share = float((losses > self.level).float().mean())
        self.level += SPEED * (fresh - self.level)
        return share
