"""LoRA (Hu et al. 2021): each matrix learns a difference of low rank, added to it for good when the night ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lab.learning.strategies.contract import Strategy, open_only
from lab.models import Brain
from lab.text import Lesson

RANK = 16


class _Difference(nn.Module):
    """weight → weight + up · down; `up` starts at zero."""

    def __init__(self, weight: Tensor, draws: torch.Generator) -> None:
        super().__init__()
        down = torch.randn(RANK, weight.shape[1], generator=draws) / weight.shape[1] ** 0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(weight.new_zeros(weight.shape[0], RANK))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


class LoRA(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._places: list[tuple[nn.Module, str]] = []
        if not self.tasks and old_loss is None:  # the first task makes the brain; later ones differ from it
            return list(brain.parameters())
        self._brain, draws = brain, self.draws("lora")
        learn: list[nn.Parameter] = []
        for parameter in brain.parameters():
            parameter.requires_grad_(False)
        for module in list(brain.modules()):
            for name, parameter in list(module.named_parameters(recurse=False)):
                if parameter.ndim == 2 and min(parameter.shape) > RANK:
                    difference = _Difference(parameter, draws)
                    parametrize.register_parametrization(module, name, difference)
                    self._places.append((module, name))
                    learn += [difference.down, difference.up]
        return learn

    def finish(self, lessons: Sequence[Lesson]) -> None:
        for module, name in self._places:
            parametrize.remove_parametrizations(module, name)
        if self._places:
            open_only(self._brain, list(self._brain.parameters()))
        super().finish(lessons)
