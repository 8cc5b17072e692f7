"""Sparse memory finetuning (Lin et al. 2025): a task writes only into memory slots that little else reads.

The slots that a batch of lessons reads are scored by tf-idf, c(i)/Σc · log((|B|+1) / (1 + Σ_b 1[c_b(i)>0])), against
background batches B of past tasks; the gradient passes to the value rows of the best of them, and to nothing else.
Each task's lessons are counted once, when it ends: in the first task, where everything learns, counts taken before would
be of keys that have moved since. The paper descends by plain SGD; we keep AdamW, since at the rates of whole brains SGD
learnt nothing, and at 1,000 to 10,000 times the rate it gave up the old for the new as AdamW does (one seed, 30 facts).
AdamW's momentum goes on moving a row for some steps after it was chosen.
Letters: K slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lab.data import Batch, pad_lessons
from lab.learning.machine import Machine
from lab.learning.strategies.contract import Strategy, open_only
from lab.models import Brain
from lab.models.memory import memory_of
from lab.text import Lesson

ROWS = 8  # lessons in a background batch
BATCHES = 16  # background batches of dreams, where a caller has some


class Sparse(Strategy):
    """`held` has how many background batches there were (`batches`), and how many of them read each slot (`readers`, K)."""

    def __init__(self, machine: Machine, seed: int = 0, *, top: int = 500) -> None:
        super().__init__(machine, seed)
        self.top = top

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain, self._memory = brain, memory_of(brain)
        self._open: Tensor | None = None  # rows (K, 1) that learn at this step; None is all, where no lessons ask
        self._knows = self.tasks > 0 or old_loss is not None
        if not self._knows:
            return list(brain.parameters())
        for _ in range(BATCHES if old_loss else 0):
            with torch.no_grad():
                old_loss()  # type: ignore[misc]
            self._note(self._read())
        rows = self._memory.value_rows
        open_only(brain, [rows])
        self._hook = rows.register_hook(lambda grad: grad if self._open is None else grad * self._open)
        return [rows]

    def _read(self, batch: Batch | None = None) -> Tensor:
        """How often the brain's last call read each slot, (K,); of `batch`, without its padding."""
        read = self._memory.read
        assert read is not None
        if batch is not None and batch.weights is not None:
            read = read[batch.weights > 0]
        return read.flatten().bincount(minlength=self._memory.value_rows.shape[0])

    def _note(self, counts: Tensor) -> None:
        """Put one batch into the background."""
        self.held["readers"] = self.held.get("readers", torch.zeros_like(counts, dtype=torch.int32)) + (counts > 0)
        self.held["batches"] = self.held.get("batches", torch.tensor(0)) + 1

    def score(self, counts: Tensor) -> Tensor:
        """counts (K,) of one batch → how much each slot is the batch's own, (K,)."""
        if not self.held:
            return counts / counts.sum()
        return counts / counts.sum() * torch.log((self.held["batches"] + 1) / (1 + self.held["readers"]))

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        """Adds nothing; it comes right after the lessons' logits, so what was read last is what they read."""
        if self._knows and len(batch.tokens):
            counts = self._read(batch)
            scores = self.score(counts).masked_fill(counts == 0, -torch.inf)
            best = scores.topk(min(self.top, len(scores))).indices
            self._open = torch.zeros_like(scores).index_fill(0, best, 1.0).mul_(counts > 0)[:, None]
        return torch.zeros(())

    @torch.no_grad()
    def finish(self, lessons: Sequence[Lesson]) -> None:
        if self._knows:
            self._hook.remove()
            open_only(self._brain, list(self._brain.parameters()))
        for begin in range(0, len(lessons), ROWS):
            batch = pad_lessons(lessons[begin : begin + ROWS], self._brain.template).to(self.machine.device)
            with self.machine.autocast():
                self._brain(batch.tokens[:, :-1])
            self._note(self._read(batch))
        super().finish(lessons)
