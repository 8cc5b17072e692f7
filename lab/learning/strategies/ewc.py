"""Online elastic weight consolidation (Kirkpatrick et al. 2017, Schwarz et al. 2018): springs as stiff as a weight mattered.

The diagonal Fisher information is measured on a task's own lessons when it ends, or on dreams where there are some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lab.data import Batch
from lab.learning.machine import Machine
from lab.learning.practice import answer_loss
from lab.learning.strategies.contract import Strategy
from lab.models import Brain
from lab.text import Lesson

BATCHES, ROWS = 16, 8


class EWC(Strategy):
    def __init__(self, machine: Machine, seed: int = 0, *, strength: float = 1e3, decay: float = 1.0) -> None:
        super().__init__(machine, seed)
        self.strength, self.decay = strength, decay

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain, self._weights = brain, dict(brain.named_parameters())
        if old_loss is not None:
            self._add([old_loss] * BATCHES)
        return list(self._weights.values())

    def _add(self, losses: Sequence[Callable[[], Tensor]]) -> None:
        """Fold the squared gradients of some losses into the Fisher information, and hold on to the weights of now."""
        for name, weight in self._weights.items():
            self.held[f"mean.{name}"] = weight.detach().clone()
            self.held[f"fisher.{name}"] = self.decay * self.held.get(f"fisher.{name}", torch.zeros_like(weight))
        for loss in losses:
            gradients = torch.autograd.grad(loss(), list(self._weights.values()), allow_unused=True)
            for name, gradient in zip(self._weights, gradients, strict=True):
                if gradient is not None:
                    self.held[f"fisher.{name}"] += gradient.pow(2) / len(losses)

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        if not self.held:
            return torch.zeros(())
        pulls = [
            (self.held[f"fisher.{name}"] * (weight - self.held[f"mean.{name}"]).pow(2)).sum()
            for name, weight in self._weights.items()
        ]
        return self.strength / 2 * torch.stack(pulls).sum()

    def finish(self, lessons: Sequence[Lesson]) -> None:
        if lessons:
            order = torch.randperm(len(lessons), generator=self.draws("fisher")).tolist()[: BATCHES * ROWS]
            batches = [[lessons[i] for i in order[at : at + ROWS]] for at in range(0, len(order), ROWS)]
            self._add([lambda few=few: answer_loss(self._brain, few, self.machine) for few in batches])  # type: ignore[misc]
        super().finish(lessons)
