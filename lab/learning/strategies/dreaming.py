"""Dreams: before a task the brain samples from itself what it knows, and holds to it while it learns (see dreams.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lab.data import Batch
from lab.learning.contradictions import Contradictions
from lab.learning.dreams import Anchor, Dream, dream
from lab.learning.machine import Machine
from lab.learning.practice import copy_brain
from lab.learning.strategies.contract import Strategy
from lab.models import Brain
from lab.text import LAB, Lesson, Template


class Held(Strategy):
    """Holds a brain to an anchor that is given; the anchor may be made by another brain."""

    def __init__(
        self, machine: Machine, seed: int = 0, *, anchor: Anchor | None = None, weight: float = 10.0, rows: int = 24
    ) -> None:
        super().__init__(machine, seed)
        self.anchor, self.weight, self.rows = anchor, weight, rows
        self._rehearsed = 0

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain, self._random = brain, self.draws("anchor")
        return list(brain.parameters())

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        self._rehearsed = 0
        if not self.anchor or not self.weight:
            return torch.zeros(())
        chosen = self.anchor.draw(self.rows, self._random)
        dreamt, mask = self.anchor.batch(chosen)
        with self.machine.autocast():
            said = self._brain(dreamt[:, :-1])[0]
        self._rehearsed = int(mask.sum())
        return self.weight * self.anchor.divergence(said, mask, chosen)

    def rehearsed(self) -> int:
        return self._rehearsed


class Dreams(Held):
    """Makes its own anchor before every task but the first: `ratio` dreams for each lesson ever learnt, without what the new
    lessons contradict. All that outlasts a task is the number of lessons."""

    def __init__(
        self, machine: Machine, seed: int = 0, *, ratio: float = 1.7, weight: float = 3.0, rows: int = 12
    ) -> None:
        super().__init__(machine, seed, weight=weight, rows=rows)
        self.ratio = ratio
        self.dreamt: Sequence[Dream] = ()
        self._new = Contradictions((), LAB)

    def meet(self, lessons: Sequence[Lesson], template: Template) -> None:
        self._new = Contradictions(lessons if self.tasks else (), template)

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self.anchor, self.dreamt = None, ()
        if self.tasks:
            before = copy_brain(brain).eval()
            count = round(self.ratio * int(self.held["lessons"]))
            batches = dream(before, count, self.draws("dreams"), openings=[before.template.closed()], stop=self.stop)
            self.dreamt = [one for batch in batches for one in batch]
            held = [one for one in self.dreamt if not self._new.against(one.tokens)]
            self.anchor = Anchor(before, held, self.machine) if held else None
        self.passing = self.anchor.targets if self.anchor else []
        return super().begin(brain, old_loss)

    def finish(self, lessons: Sequence[Lesson]) -> None:
        self.held["lessons"] = self.held.get("lessons", torch.tensor(0)) + len(lessons)
        super().finish(lessons)
