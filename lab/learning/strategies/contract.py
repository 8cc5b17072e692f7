"""What every strategy promises: something beside plain training that keeps old knowledge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lab.data import Batch
from lab.learning.machine import Machine
from lab.models import Brain
from lab.text import Lesson, Template


class Strategy:
    """One contestant's way through all its tasks; this one is plain training of every weight.

    `held` is what it carries from task to task, by name: it is written into checkpoints, and its bytes are its price,
    together with `passing`, what it holds only while a task lasts. It never sees a past task's lessons again, but for
    those it put into `held` itself.
    """

    rows = 0  # old lessons or dreams beside each batch of new ones
    opens_past = False  # whether it declares to learn from past tasks' own data: a ceiling, not a contestant

    def __init__(self, machine: Machine, seed: int = 0) -> None:
        self.machine, self.seed = machine, seed
        self.tasks = 0  # finished so far
        self.held: dict[str, Tensor] = {}
        self.passing: list[Tensor] = []
        self.stop: Callable[[], bool] = lambda: False  # asked by whatever takes long
        self.slept_tokens = 0  # learnt when the last task was finished

    def meet(self, lessons: Sequence[Lesson], template: Template) -> None:
        """Look at the lessons of the task that begins; called before `begin`."""

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        """Make ready for a task and give the parameters that will learn; none leaves the brain as it is.

        `old_loss` gives the loss on one more batch of dreams of what is known, each time it is called, where the caller
        has dreams.
        """
        return list(brain.parameters())

    def penalty(self, batch: Batch, logits: Tensor) -> Tensor:
        """What is added to the loss of one step, in nats; the batch (B, T) has its lessons, logits (B, T - 1, V) are of them."""
        return torch.zeros(())

    def rehearsed(self) -> int:
        """Tokens that the last penalty was learnt from, beside the lessons' own."""
        return 0

    def finish(self, lessons: Sequence[Lesson]) -> None:
        """End a task, whose lessons are open for the last time, and leave a plain brain behind."""
        self.tasks += 1

    def stored_bytes(self) -> int:
        """Bytes held beside the weights."""
        return sum(t.numel() * t.element_size() for t in (*self.held.values(), *self.passing))

    def draws(self, name: str) -> torch.Generator:
        """A generator of its own for the task at hand, so that a task begun anew draws the same."""
        return torch.Generator().manual_seed(hash_seed(self.seed, self.tasks, name))


def open_only(brain: Brain, weights: Sequence[nn.Parameter]) -> None:
    """Let only these weights of a brain learn."""
    chosen = {id(weight) for weight in weights}
    for parameter in brain.parameters():
        parameter.requires_grad_(id(parameter) in chosen)


def hash_seed(*parts: object) -> int:
    """A seed from anything that prints, the same in every process."""
    import zlib

    return zlib.crc32(repr(parts).encode())
