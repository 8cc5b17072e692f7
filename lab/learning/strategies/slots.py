"""Only the memory layer may move, but all of it (queries, keys, value rows, gate): its locality without a choice of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lab.learning.strategies.contract import Strategy, open_only
from lab.models import Brain
from lab.models.memory import memory_of
from lab.text import Lesson


class Slots(Strategy):
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain, memory = brain, memory_of(brain)
        if not self.tasks and old_loss is None:  # there is nothing yet to keep
            return list(brain.parameters())
        weights = list(memory.parameters())
        open_only(brain, weights)
        return weights

    def finish(self, lessons: Sequence[Lesson]) -> None:
        open_only(self._brain, list(self._brain.parameters()))
        super().finish(lessons)
