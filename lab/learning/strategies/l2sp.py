"""L2-SP (Li et al. 2018): a spring from every weight to where it stood when the task began."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lab.data import Batch
from lab.learning.machine import Machine
from lab.learning.strategies.contract import Strategy
from lab.models import Brain


class L2SP(Strategy):
    def __init__(self, machine: Machine, seed: int = 0, *, strength: float = 0.01) -> None:
        super().__init__(machine, seed)
        self.strength = strength

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._weights = list(brain.parameters())
        knows = self.tasks > 0 or old_loss is not None
        self.passing = [p.detach().clone() for p in self._weights] if knows else []
        return self._weights

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        if not self.passing:
            return torch.zeros(())
        pulls = [(p - old).pow(2).sum() for p, old in zip(self._weights, self.passing, strict=True)]
        return self.strength * torch.stack(pulls).sum()
