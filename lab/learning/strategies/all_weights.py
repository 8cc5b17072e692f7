"""Every weight may move; only dreams hold what is known."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lab.learning.strategies.contract import Strategy
from lab.models import Brain


class AllWeights(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None) -> list[nn.Parameter]:
        return list(brain.parameters())
