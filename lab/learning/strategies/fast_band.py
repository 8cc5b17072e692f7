"""Only the MLPs of the fast band may move (in a plain transformer: its MLPs), so attention keeps reading as it did."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lab.learning.strategies.contract import Strategy
from lab.models import Brain


class FastBand(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        if not self.tasks and old_loss is None:  # there is nothing yet to keep
            return list(brain.parameters())
        parts = brain.parts()
        return [p for part in (*parts.get("fast", ()), *parts.get("mlp", ())) for p in part.parameters()]
