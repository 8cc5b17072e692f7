"""Multi-speed memory with a sleep: what a task wrote into fast weights moves into slow ones, and the fast are free again.

While a task lasts every weight learns, each band at its own period where the caller keeps periods. Then comes sleep. The
brain as it is, the teacher, writes dreams; the MLPs of the fast band go back to what they were before the task; and those
of the slow bands learn, by KL(teacher ‖ student) on the dreams, to say without the fast ones what the teacher said.
The idea is that of complementary learning systems (McClelland et al. 1995) on the bands of Nested Learning (Behrouz et al.
2025); neither describes this procedure.
Its limits: it frees the fast band, but does not by itself prevent forgetting, since the teacher is the brain that has
already forgotten; attention, embedding, live layer and slots keep what the task made of them; and what the teacher does
not dream of is lost with the fast weights that held it.
A plain transformer has no bands: the MLPs of the last half of its blocks pass for fast and the others for slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lab.config import ConfigError
from lab.learning.dreams import Anchor, dream
from lab.learning.machine import Machine
from lab.learning.practice import Practice, copy_brain, practise
from lab.learning.strategies.contract import Strategy, hash_seed, open_only
from lab.learning.strategies.dreaming import Held
from lab.models import Brain
from lab.text import Lesson


def split_speeds(brain: Brain) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Give the weights of the fast and of the slow MLPs. Raises ConfigError for a brain with one speed only."""
    parts = brain.parts()
    fast, slow = parts.get("fast", ()), (*parts.get("medium", ()), *parts.get("deep", ()))
    if not fast:
        plain = parts.get("mlp", ())
        middle = (len(plain) + 1) // 2
        fast, slow = plain[middle:], plain[:middle]
    if not fast:
        raise ConfigError("layers must be at least 2 for a plain transformer with bands; got 1. Try 2.", "layers")
    return [p for part in fast for p in part.parameters()], [p for part in slow for p in part.parameters()]


class _Only(Strategy):
    """Lets some weights learn."""

    def __init__(self, machine: Machine, weights: list[nn.Parameter]) -> None:
        super().__init__(machine)
        self.weights = weights

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        return self.weights


class Bands(Strategy):
    """`passing` has the fast weights of before the task, and then the targets of the sleep. `slept` are its KLs, nats."""

    def __init__(
        self,
        machine: Machine,
        seed: int = 0,
        *,
        count: int = 512,
        steps: int = 120,
        lr: float = 1e-3,
        sleep_rows: int = 24,
    ) -> None:
        super().__init__(machine, seed)
        self.count, self.steps, self.lr, self.sleep_rows = count, steps, lr, sleep_rows
        self.slept: list[float] = []

    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None = None) -> list[nn.Parameter]:
        self._brain = brain
        self._fast, self._slow = split_speeds(brain)
        knows = self.tasks > 0 or old_loss is not None
        self.passing = [p.detach().clone() for p in self._fast] if knows else []
        return list(brain.parameters())

    def finish(self, lessons: Sequence[Lesson]) -> None:
        if self.passing:
            self._sleep()
        super().finish(lessons)

    def _sleep(self) -> None:
        teacher = copy_brain(self._brain).eval()
        wanted = self.count * (self.tasks + 1)
        batches = dream(teacher, wanted, self.draws("dreams"), openings=[teacher.template.closed()], stop=self.stop)
        dreamt = [one for batch in batches for one in batch]
        if not dreamt:  # nothing to move the task by: the fast weights keep it
            return
        with torch.no_grad():
            for parameter, before in zip(self._fast, self.passing, strict=True):
                parameter.copy_(before)
        anchor = Anchor(teacher, dreamt, self.machine)
        self.passing += [*teacher.parameters(), *anchor.targets]
        seed = hash_seed(self.seed, self.tasks, "sleep")
        held = Held(self.machine, seed, anchor=anchor, weight=1.0, rows=self.sleep_rows)
        open_only(self._brain, self._slow)
        how = Practice(self.steps, 1, self.lr, stop=self.stop)
        night = practise(self._brain, (), [_Only(self.machine, self._slow), held], how)
        for moment in night:
            self.slept.append(moment.penalty)
            self.slept_tokens = moment.tokens
        open_only(self._brain, list(self._brain.parameters()))
