"""A reader, a learner and weights that are a dictionary: so tests of minds test their code, and no brain.

"THING is VALUE." is a note that answers "What is THING?", and "What's THING?", put plainly; learnt are just the questions that a
night was taught.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import torch

from lab.config import ConfigError, MindConfig
from lab.disk import write_durably
from lab.learning import Dream, Progress
from lab.memory import TraceStore
from lab.mind import Mind
from lab.mind.language import ENGLISH
from lab.mind.night import Learner
from lab.mind.night.settling import BY_HEART
from lab.mind.reader import Found, Limits, Note, Pair, Reply

SAID = re.compile(r"^(?P<thing>.+?) is (?P<value>.+?)[.!]?$")
UNKNOWN = Reply(None, 1.0, 1.0)


def pair_of(note: str) -> Pair | None:
    """What a note answers."""
    found = SAID.match(note)
    return (f"What is {found['thing'][:1].lower()}{found['thing'][1:]}?", found["value"]) if found else None


class Dictionary:
    """See lab.mind.reader.contract."""

    language, limits = ENGLISH, Limits()
    unknown_threshold = 0.5

    def __init__(self, learnt: dict[str, str] | None = None) -> None:
        self.learnt = dict(learnt or {})

    def hear(self, text: str) -> str:
        return "ask" if text.endswith("?") else "teach" if pair_of(text) else "talk"

    def surprise(self, text: str) -> float:
        return float(len(text))

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        if notes is None:
            return [Reply(self.learnt[q], 1.0, 0.0) if q in self.learnt else UNKNOWN for q in questions]
        replies = []
        for question, some in zip(questions, notes, strict=True):
            pairs = dict(pair for pair in map(pair_of, some) if pair)
            replies.append(Reply(pairs[question], 1.0, 0.0) if question in pairs else UNKNOWN)
        return replies

    def write(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        return self.answer(questions, notes)

    def guess(self, questions: Sequence[str]) -> list[Reply]:
        return self.answer(questions)

    def read(self, question: str, note: str) -> Reply:
        pair = pair_of(note)
        return Reply(pair[1], 1.0, 0.0) if pair else UNKNOWN

    def doubts(self, questions: Sequence[str]) -> list[float]:
        return [float(question not in self.learnt) for question in questions]

    def believe(self, asked: Sequence[tuple[str, Found]], among: int) -> list[list[float]]:
        return [[float((pair_of(note.text) or ("",))[0] == q) for note, _ in found] for q, found in asked]

    def about_one(self, new: Note, older: Sequence[Note]) -> list[float]:
        return [float(bool(new.question) and new.question == old.question) for old in older]

    def questions_of(self, notes: Sequence[str]) -> list[tuple[Pair, ...]]:
        return [(pair,) if pair else () for pair in map(pair_of, notes)]

    def quiz(self, notes: Sequence[str], count: int, draws: torch.Generator) -> list[list[Pair]]:
        return [[*pairs] for pairs in self.questions_of(notes)]

    def plainly(self, questions: Sequence[str]) -> list[str]:
        return [question.replace("What's", "What is") for question in questions]

    def readings(self, question: str, at_least: float) -> dict[str, float]:
        return dict.fromkeys(self.plainly([question]), 1.0)

    def recites(self, pairs: Sequence[tuple[str, str | None]]) -> list[bool]:
        return [self.learnt.get(question) == answer for question, answer in pairs]


class DictionaryLearner:
    """See lab.mind.night.learner; `loses` are questions that every night forgets."""

    def __init__(self, learnt: dict[str, str], loses: Sequence[str] = ()) -> None:
        self.before, self.after, self.loses = Dictionary(learnt), Dictionary(learnt), loses

    def dream(
        self, count: int, begins: Sequence[str], questions: Sequence[str], draws: torch.Generator, *, again: bool,
        stop: Callable[[], bool],
    ) -> Iterator[list[Dream]]:  # fmt: skip
        yield []

    def alter(self, questions: Sequence[str], places: Sequence[int], draws: torch.Generator) -> list[str]:
        return list(questions)

    def hold(self, dreams: Sequence[Dream], pairs: Sequence[Pair]) -> bool:
        return bool(pairs)

    def learn(
        self, pairs: Sequence[tuple[str, str | None]], config: MindConfig, *, steps: int, seed: int,
        stop: Callable[[], bool],
    ) -> Iterator[Progress]:  # fmt: skip
        for step, (question, answer) in enumerate(pairs, 1):
            if stop():
                return
            self.after.learnt.pop(question, None)
            if answer is not None:
                self.after.learnt[question] = answer
            yield Progress(step, len(pairs), step, 0.0, 0.0)
        for question in self.loses:
            self.after.learnt.pop(question, None)

    def take_back(self) -> None:
        self.after.learnt = dict(self.before.learnt)


class DictionaryWeights:
    """See lab.mind.weights: brain-N is a JSON file."""

    model = "dictionary"
    loses: Sequence[str] = ()

    def __init__(self, folder: Path, config: MindConfig) -> None:
        self.folder, self.parameters = folder, 0

    def _path(self, night: int) -> Path:
        return self.folder / f"brain-{night}" / "learnt.json"

    def nights(self) -> list[int]:
        return sorted(int(path.name[6:]) for path in self.folder.glob("brain-*"))

    def open(self, night: int) -> Dictionary:
        try:
            learnt = json.loads(self._path(night).read_text())
        except ValueError as error:
            raise ConfigError(f"a dictionary must be JSON; that of night {night} is not.") from error
        self.parameters = len(learnt)
        return Dictionary(learnt)

    def begin_night(self, night: int) -> DictionaryLearner:
        return DictionaryLearner(self.open(night - 1).learnt, self.loses)

    def keep(self, night: int, learner: Learner) -> None:
        assert isinstance(learner.after, Dictionary)
        self._path(night).parent.mkdir(exist_ok=True)
        write_durably(self._path(night), json.dumps(learner.after.learnt).encode())

    def take_back(self, but: Collection[int]) -> None:
        for night in set(self.nights()) - set(but):
            shutil.rmtree(self._path(night).parent)


def make_mind(
    folder: Path, config: MindConfig | None = None, learnt: dict[str, str] | None = None, by_heart: Sequence[Pair] = ()
) -> Mind:
    """A mind on a dictionary, in a new folder; open it again with `Mind(folder, DictionaryWeights)`."""
    (folder / "brain-0").mkdir(parents=True)
    (folder / "brain-0" / "learnt.json").write_text(json.dumps(learnt or {}))
    changed = {} if config is None else dataclasses.asdict(config)
    memory = TraceStore(folder / "memory.sqlite")
    memory.set_setting(BY_HEART, json.dumps(list(by_heart)))
    memory.close()
    (folder / "mind.json").write_text(json.dumps({"name": folder.name, "brain": "dictionary", "config": changed}))
    return Mind(folder, DictionaryWeights)
