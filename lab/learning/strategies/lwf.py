"""Learning without forgetting (Li & Hoiem 2016): on the new lessons, say what the brain before the task would have said."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.data import Batch
from lab.learning.machine import Machine
from lab.learning.practice import copy_brain
from lab.learning.strategies.contract import Strategy
from lab.models import Brain


class LwF(Strategy):
    def __init__(self, machine: Machine, seed: int = 0, *, strength: float = 1.0) -> None:
        super().__init__(machine, seed)
        self.strength = strength
        self._before: Brain | None = None

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._before = copy_brain(brain).eval() if self.tasks or old_loss is not None else None
        self.passing = list(self._before.parameters()) if self._before else []
        return list(brain.parameters())

    @torch.no_grad()
    def _would_say(self, batch: Batch) -> Tensor:
        assert self._before is not None
        with self.machine.autocast():
            logits, _ = self._before(batch.tokens[:, :-1])
        return torch.log_softmax(logits.float(), -1)

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        if self._before is None:
            return torch.zeros(())
        assert batch.weights is not None
        drift = F.kl_div(logits.float().log_softmax(-1), self._would_say(batch), log_target=True, reduction="none")
        return self.strength * drift.sum(-1)[batch.weights > 0].mean()
