"""L2-SP (Li et al. 2018): a spring from every weight to where it stood when the night began."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lab.learning.strategies.contract import Strategy
from lab.models import Brain

STRENGTH = 0.01


class L2SP(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None) -> list[nn.Parameter]:
        self._weights = list(brain.parameters())
        self._before = [p.detach().clone() for p in self._weights]
        return self._weights

    def penalty(self) -> Tensor:
        pulls = [(p - old).pow(2).sum() for p, old in zip(self._weights, self._before, strict=True)]
        return STRENGTH * torch.stack(pulls).sum()
