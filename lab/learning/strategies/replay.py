"""Experience replay: a reservoir of past lessons within a budget of bytes, a batch of them learnt at every step, but for those
that the new lessons contradict.

DER keeps beside them what the brain said to a lesson when it was stored (DER++, Buzzega et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.data import Batch, pad_lessons
from lab.learning.contradictions import Contradictions
from lab.learning.machine import Machine
from lab.learning.practice import answer_loss, answers_of
from lab.learning.strategies.contract import Strategy
from lab.models import Brain
from lab.text import Lesson, Template


class Replay(Strategy):
    """`held` has the tokens of all lessons end to end (uint16, or int32 where the vocabulary needs it), how long each is (uint16), and
    how many were ever seen."""

    def __init__(
        self, machine: Machine, seed: int = 0, *, budget: int = 8192, rows: int = 16, weight: float = 1.0
    ) -> None:
        super().__init__(machine, seed)
        self.budget, self.rows, self.weight = budget, rows, weight
        self._rehearsed = 0
        self._kept: list[Lesson] = []
        self._stands: list[int] = []

    def meet(self, lessons: Sequence[Lesson], template: Template) -> None:
        """Let go of what the new lessons contradict."""
        self._template = template
        self._kind = torch.uint16 if template.tokenizer.size <= 2**16 else torch.int32
        new, self._kept = Contradictions(lessons, template), self.lessons()
        self._stands = [i for i, lesson in enumerate(self._kept) if not new.against(lesson.tokens)]

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain, self._random = brain, self.draws("replay")
        return list(brain.parameters())

    def lessons(self) -> list[Lesson]:
        """Give the stored lessons."""
        if "tokens" not in self.held:
            return []
        parts = self.held["tokens"].split(self.held["lengths"].tolist())
        return [self._template.restore(part.tolist()) for part in parts]

    def _choose(self) -> list[int]:
        count = len(self._stands)
        drawn = torch.randint(count, (min(self.rows, count),), generator=self._random).tolist() if count else []
        chosen = [self._stands[i] for i in drawn]
        self._rehearsed = sum(self.held["lengths"][chosen].tolist()) if chosen else 0
        return chosen

    def rehearsed(self) -> int:
        return self._rehearsed

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        chosen = self._choose()
        if not chosen:
            return torch.zeros(())
        return self.weight * answer_loss(self._brain, [self._kept[i] for i in chosen], self.machine)

    def price(self, lesson: Lesson) -> int:
        """Bytes that one stored lesson costs."""
        return self._kind.itemsize * len(lesson) + 2

    def finish(self, lessons: Sequence[Lesson]) -> None:
        draws, kept = self.draws("reservoir"), [self._kept[i] for i in self._stands]
        seen = int(self.held["seen"]) if "seen" in self.held else 0
        for lesson in lessons:  # of equally long lessons that still stand each is equally likely to be kept
            seen += 1
            if len(lesson) >= 2**16:
                continue
            room = self.budget - 8 - sum(map(self.price, kept))
            if self.price(lesson) <= room:
                kept.append(lesson)
                continue
            place = int(torch.randint(seen, (1,), generator=draws))
            if place < len(kept):
                kept[place] = lesson
                while sum(map(self.price, kept)) > self.budget - 8:
                    kept.pop(int(torch.randint(len(kept), (1,), generator=draws)))
        self.held = {
            "tokens": torch.tensor([token for lesson in kept for token in lesson.tokens], dtype=self._kind),
            "lengths": torch.tensor([len(lesson) for lesson in kept], dtype=torch.uint16),
            "seen": torch.tensor(seen),
        }
        super().finish(lessons)


class DER(Replay):
    """DER++: stored lessons are learnt, and the logits (fp16) that the brain gave to their answers are matched."""

    def __init__(self, machine: Machine, seed: int = 0, *, match: float = 0.3, **options: float) -> None:
        super().__init__(machine, seed, **options)  # type: ignore[arg-type]
        self.match = match

    def price(self, lesson: Lesson) -> int:
        return super().price(lesson) + lesson.weights.count(1.0) * self._template.tokenizer.size * 2

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        chosen = self._choose()
        if not chosen:
            return torch.zeros(())
        old = self.machine.place(pad_lessons([self._kept[i] for i in chosen], self._template))
        with self.machine.autocast():
            said = self._brain(old.tokens[:, :-1])[0].float()
        answers, stored = answers_of(old), self._stored()
        target = torch.cat([stored[i] for i in chosen]).float()
        learnt = F.cross_entropy(said[answers], old.tokens[:, 1:][answers])
        return self.weight * learnt + self.match * F.mse_loss(said[answers], target)

    def _stored(self) -> Sequence[Tensor]:
        """The logits of each stored lesson's answer."""
        sizes = [lesson.weights.count(1.0) for lesson in self._kept]
        return self.held["logits"].split(sizes) if "logits" in self.held else ()

    @torch.no_grad()
    def finish(self, lessons: Sequence[Lesson]) -> None:
        before, stored = {lesson.tokens: i for i, lesson in enumerate(self._kept)}, self._stored()
        super().finish(lessons)
        parts = []
        for lesson in self.lessons():
            if lesson.tokens in before:
                parts.append(stored[before[lesson.tokens]])
            else:
                batch = self.machine.place(pad_lessons([lesson], self._template))
                parts.append(self._brain(batch.tokens[:, :-1])[0][answers_of(batch)].to(torch.float16))
        size = self._template.tokenizer.size
        self.held["logits"] = torch.cat(parts) if parts else torch.empty(0, size, dtype=torch.float16)
