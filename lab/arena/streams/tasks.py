"""A stream is a row of tasks, each with examples to learn, to tune on, and to score; and how their edges mix."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from lab.config import ConfigError
from lab.text import Exchange, Lesson


@dataclass(frozen=True)
class Example:
    """A question or text, and the one right answer."""

    prompt: str
    answer: str

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.prompt, self.answer)


@dataclass(frozen=True)
class Task:
    """`train` is learnt, `validation` may be tuned on, `test` is only scored. `stale` are answers that were right before
    this task and are wrong after it."""

    name: str
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    stale: tuple[Example, ...] = ()


class PastDataError(ConfigError):
    """A strategy opened the data of a task that is over."""


class OpenLessons(Sequence[Lesson]):
    """The lessons of the time at hand. Once closed, whoever opens them fails the run."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._lessons, self._open = list(lessons), True

    def close(self) -> None:
        self._open = False

    def _look(self) -> list[Lesson]:
        if not self._open:
            raise PastDataError(
                "the data of a past task must stay closed; a strategy opened it. Keep what it needs in held."
            )
        return self._lessons

    @overload
    def __getitem__(self, place: int) -> Lesson: ...
    @overload
    def __getitem__(self, place: slice) -> list[Lesson]: ...
    def __getitem__(self, place: int | slice) -> Lesson | list[Lesson]:
        return self._look()[place]

    def __len__(self) -> int:
        return len(self._look())

    def __iter__(self) -> Iterator[Lesson]:
        return iter(self._look())


def check_tasks(tasks: Sequence[Task]) -> None:
    """Raises ConfigError for a stream that cannot be scored: one task, empty or contradicting answers, unseen answers."""
    if len(tasks) < 2:
        raise ConfigError(
            f"a stream must have at least 2 tasks, or nothing can be forgotten; got {len(tasks)}.", "stream"
        )
    for task in tasks:
        for split, examples in (("train", task.train), ("test", task.test)):
            if not examples:
                raise ConfigError(f"a task must have examples to {split}; {task.name} has none.", "stream")
            answers: dict[str, str] = {}
            for one in examples:
                if not one.answer.strip() or not one.prompt.strip():
                    raise ConfigError(
                        f"an example must have a prompt and an answer; {task.name} has one without: {one}.", "stream"
                    )
                if answers.get(one.prompt) == one.answer:
                    raise ConfigError(
                        f"an example must not come twice; {task.name} has {one.prompt!r} twice. Leave one out.",
                        "stream",
                    )
                if answers.setdefault(one.prompt, one.answer) != one.answer:
                    raise ConfigError(
                        f"a prompt must have one answer within a task; {task.name} answers {one.prompt!r} with "
                        f"{answers[one.prompt]!r} and {one.answer!r}.", "stream",
                    )  # fmt: skip
        unseen = {one.answer for one in task.test} - {one.answer for one in task.train}
        if unseen:
            raise ConfigError(
                f"an answer must be in the training data to be scored; {task.name} asks for {sorted(unseen)[0]!r}, which is "
                "in none of it.", "stream",
            )  # fmt: skip


def segments(tasks: Sequence[Task], mode: str, blur: float, seed: int) -> list[list[Exchange]]:
    """What is learnt in every stretch of time, one for each task.

    Hard: a task's own. Blurry: the share `blur` of them comes in another task's time. Task-free: all lessons in a row,
    each moved about by a normal draw of half a task's length, cut into equal stretches that know no tasks.
    """
    rng = random.Random(f"edges {seed}")
    found = [[one.exchange for one in task.train] for task in tasks]
    if mode == "blurry":
        mixed: list[list[Exchange]] = [[] for _ in found]
        for at, lessons in enumerate(found):
            others = [i for i in range(len(found)) if i != at]
            for lesson in lessons:
                mixed[rng.choice(others) if rng.random() < blur else at].append(lesson)
        if not all(mixed):
            raise ConfigError("blurry tasks must have more lessons than these, or one stays empty. Try hard.", "mode")
        return mixed
    if mode == "task-free":
        placed = []
        for at, lessons in enumerate(found):
            placed += [(at + (i + 0.5) / len(lessons) + rng.gauss(0, 0.5), lesson) for i, lesson in enumerate(lessons)]
        row = [lesson for _, lesson in sorted(placed, key=lambda pair: pair[0])]
        cuts = [round(len(row) * i / len(found)) for i in range(len(found) + 1)]
        return [row[begin:end] for begin, end in itertools.pairwise(cuts)]
    return found
