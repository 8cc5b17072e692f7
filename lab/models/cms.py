"""Multi-speed memory: the Continuum Memory System (Nested Learning, Behrouz et al. 2025).

Residual MLPs in series, one a band. What makes them memories of different speed is not here but in the optimiser:
a band's weights move only once a period, on the mean of the gradients since, and do not move at all in between.
The paper counts periods in tokens; we count optimiser steps, which costs nothing.
"""

from __future__ import annotations

from torch import Tensor, nn

from lab.models.blocks import MLP, rms_norm


class ContinuumMemory(nn.Module):
    """x + fast(norm x), then + medium(norm …), then + deep(norm …)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fast = MLP(width, hidden)
        self.medium = MLP(width, hidden)
        self.deep = MLP(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D) → (B, T, D)."""
        for band in (self.fast, self.medium, self.deep):
            x = x + band(rms_norm(x))
        return x
