"""Elastic weight consolidation (Kirkpatrick et al. 2017): springs as stiff as a weight mattered for what is known.

The diagonal Fisher information is measured on dreams, since no old data are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lab.learning.strategies.contract import Strategy
from lab.models import Brain

STRENGTH = 1e3
BATCHES = 16


class EWC(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None) -> list[nn.Parameter]:
        self._weights = list(brain.parameters())
        self._before = [p.detach().clone() for p in self._weights]
        self._fisher = [torch.zeros_like(p) for p in self._weights]
        for _ in range(BATCHES if old_loss else 0):
            assert old_loss is not None
            gradients = torch.autograd.grad(old_loss(), self._weights, allow_unused=True)
            for fisher, gradient in zip(self._fisher, gradients, strict=True):
                if gradient is not None:
                    fisher += gradient.pow(2) / BATCHES
        return self._weights

    def penalty(self) -> Tensor:
        springs = zip(self._weights, self._before, self._fisher, strict=True)
        return STRENGTH / 2 * torch.stack([(f * (p - old).pow(2)).sum() for p, old, f in springs]).sum()
