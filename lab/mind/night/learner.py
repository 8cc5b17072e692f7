"""What a night may do to a brain, in words: let it dream, hold it to its dreams, teach it answers, and take all of it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch

from lab.config import MindConfig, TrainingConfig
from lab.learning import Dream, Progress, alter, choose_machine, consolidate, copy_brain, dream, hold, make_room
from lab.mind.reader import Pair, Reader, clip, open_reader
from lab.models import Brain
from lab.text import Exchange, Lesson

Stop = Callable[[], bool]


class Learner(Protocol):
    """A brain that learns, beside what it was before."""

    @property
    def before(self) -> Reader:
        """The brain as it was."""

    @property
    def after(self) -> Reader:
        """The brain that learns."""

    def dream(
        self,
        count: int,
        begins: Sequence[str],
        questions: Sequence[str],
        draws: torch.Generator,
        *,
        again: bool,
        stop: Stop,
    ) -> Iterator[list[Dream]]:
        """Yield about `count` dreams of what was, and beside them those that begin so, and that ask these questions."""

    def alter(self, questions: Sequence[str], places: Sequence[int], draws: torch.Generator) -> list[str]:
        """Give each question with its word number `places[i]` dreamt anew."""

    def hold(self, dreams: Sequence[Dream], pairs: Sequence[Pair]) -> bool:
        """From now on keep to what was said in dreams and of pairs; gives whether there is anything to keep to."""

    def learn(
        self, pairs: Sequence[tuple[str, str | None]], config: MindConfig, *, steps: int, seed: int, stop: Stop
    ) -> Iterator[Progress]:
        """Learn to answer questions so, None with not knowing."""

    def take_back(self) -> None:
        """Be again as before."""


class BrainLearner:
    """See the contract; `brain` is changed in place."""

    def __init__(self, model: str, brain: Brain, config: MindConfig) -> None:
        machine = choose_machine(TrainingConfig())
        self.model, self.brain = model, machine.place(make_room(model, brain, config))
        self._was = copy_brain(self.brain)
        self.before, self.after = (open_reader(one, config.unknown_threshold) for one in (self._was, self.brain))
        self._template, self._held = self.brain.template, hold(self._was, ())

    def dream(
        self,
        count: int,
        begins: Sequence[str],
        questions: Sequence[str],
        draws: torch.Generator,
        *,
        again: bool,
        stop: Stop,
    ) -> Iterator[list[Dream]]:
        cues = [self._template.begin(clip(text)) for text in begins]
        cues += [self._template.prompt(Exchange(clip(question))) for question in questions]
        return dream(self._was, count, draws, cues=cues, again=again, stop=stop)

    def alter(self, questions: Sequence[str], places: Sequence[int], draws: torch.Generator) -> list[str]:
        return alter(self._was, questions, places, draws)

    def hold(self, dreams: Sequence[Dream], pairs: Sequence[Pair]) -> bool:
        self._held = hold(self._was, [*dreams, *(Dream(self._lesson(*pair).tokens) for pair in pairs)])
        return self._held is not None

    def _lesson(self, question: str, answer: str | None) -> Lesson:
        return self._template.lesson(Exchange(clip(question), answer))

    def learn(
        self, pairs: Sequence[tuple[str, str | None]], config: MindConfig, *, steps: int, seed: int, stop: Stop
    ) -> Iterator[Progress]:
        lessons = [self._lesson(*pair) for pair in pairs]
        self.brain.train()
        yield from consolidate(self.brain, lessons, self._held, config, steps=steps, seed=seed, stop=stop)
        self.brain.eval()

    def take_back(self) -> None:
        self.brain.load_state_dict(self._was.state_dict())
