"""Calibration: fits the weights of lab.mind.reader.judgement to what brains read (`python -m lab bench judgement`).

On facts that no exam asks for, with relations and wordings among them that no brain was trained on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from lab.config import MindConfig
from lab.data.curriculum.facts import MadeFact, make_fact
from lab.data.curriculum.phrasing import roughen
from lab.exam.measure import draw_facts
from lab.memory import RecallIndex
from lab.mind.reader import MarksReader, Note
from lab.mind.reader.judgement import ALIKE, ALONE, EVIDENCE, evidence, likenesses
from lab.mind.reflecting import COMPARED
from lab.models.checkpoint import load_brain

MINDS = (1,) * 40 + (4,) * 15 + (20,) * 4 + (150,)  # notes of each mind that is asked: most have few
OF_ONE = (1,) * 40 + (3,) * 15 + (6,) * 8 + (12,) * 4  # the same where all is about the one who tells it


@dataclass(frozen=True)
class Pair:
    """A note that was found for a question or another note: its evidence, and whether it is the one that answers or is replaced."""

    evidence: Sequence[float]
    answers: bool


def _made(rng: random.Random, count: int, taught: Sequence[MadeFact] = (), *, of_me: bool = False) -> list[MadeFact]:
    """Facts that do not clash, nor with those `taught`; half of them say of others what those say of some, or all are `of_me`."""

    def make() -> MadeFact:
        while True:
            alike = rng.choice(taught).relation.name if taught and not of_me and rng.random() < 0.5 else None
            fact = make_fact(rng, alike, unseen=rng.random() < 0.15)
            if not of_me or fact.subject.person == "first":
                return fact

    return draw_facts(count, make, taught)


def gather(
    reader: MarksReader, seed: str, minds: Sequence[int] = MINDS, of_one: Sequence[int] = OF_ONE
) -> Iterator[Pair]:
    """Tell each mind so many facts, ask for them and for as many others, a third plainly and a third in wordings held out."""
    rng = random.Random(f"judgement {seed}")
    for counts, of_me in ((minds, False), (of_one, True)):
        for count in counts:
            yield from _ask_a_mind(reader, rng, count, of_me=of_me)


def _ask_a_mind(reader: MarksReader, rng: random.Random, count: int, *, of_me: bool = False) -> Iterator[Pair]:
    facts = _made(rng, count, of_me=of_me)
    facts += _made(rng, count, facts, of_me=of_me)
    wordings = [rng.randrange(min(len(f.relation.say), len(f.relation.ask))) for f in facts]
    said = [fact.say(wording) for fact, wording in zip(facts[:count], wordings, strict=False)]
    notes, index = _notes(reader, [roughen(text, rng) for text in said] if of_me else said), RecallIndex()
    for number, note in enumerate(notes):
        index.add(number, [note.text, *note.questions])
    for number, (fact, wording) in enumerate(zip(facts, wordings, strict=True)):
        wordings_asked = (0, -1, rng.randrange(len(fact.relation.ask)))
        question = fact.ask(wording if fact.relation.paired else rng.choice(wordings_asked))
        question = roughen(question, rng) if of_me else question
        likeness = index.search(question, MindConfig().notes_open)
        (rows,) = evidence(reader, [(question, [(notes[place], alike) for place, alike in likeness])], count)
        yield from (Pair(row, place == number) for (place, _), row in zip(likeness, rows, strict=True) if row)


def _notes(reader: MarksReader, texts: list[str]) -> list[Note]:
    """Notes with the questions that the brain finds in them."""
    cues = reader.questions_of(texts)
    return [Note(text, tuple(question for question, _ in own)) for text, own in zip(texts, cues, strict=True)]


def gather_changes(reader: MarksReader, seed: str, count: int) -> Iterator[Pair]:
    """Tell `count` facts, then half of them with other values; each note beside the older ones that its question finds."""
    rng = random.Random(f"changes {seed}")
    facts = _made(rng, count)
    odd = [number for number in range(1, count, 2) if not facts[number].relation.many]
    changed = {number: facts[number].with_value(rng) for number in odd}
    said = [fact.say(0) for fact in facts]
    said += [fact.say(0 if fact.relation.paired else rng.randrange(3)) for fact in changed.values()]
    replaces = [None] * count + list(changed)
    notes, index = _notes(reader, said), RecallIndex()
    for number, note in enumerate(notes):
        near = dict(index.search(note.text, COMPARED)) | dict(index.search(note.question, MindConfig().notes_open))
        older = [*near] if note.question else []
        for place, row in zip(older, likenesses(reader, note, [notes[place] for place in older]), strict=True):
            if row:
                yield Pair(row, place == replaces[number])
        index.add(number, [note.text, *note.questions])


def fit(pairs: list[Pair], ridge: float = 0.05) -> NDArray[np.float64]:
    """The weights of EVIDENCE by logistic regression with an L2 penalty."""
    seen = np.array([pair.evidence for pair in pairs])
    answers = np.array([pair.answers for pair in pairs], dtype=np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The penalised negative log-likelihood in nats and its gradient, (features,)."""
        logits = seen @ weights
        nats = np.logaddexp(0, logits).sum() - answers @ logits + ridge / 2 * weights @ weights
        return float(nats), seen.T @ (expit(logits) - answers) + ridge * weights

    optimum = minimize(loss, np.zeros(seen.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-6})
    return np.asarray(optimum.x)


def calibrate(
    brains: Sequence[Path], seed: str = "tune", minds: Sequence[int] = MINDS, of_one: Sequence[int] = OF_ONE
) -> dict[str, tuple[float, float]]:
    """Give for each name in EVIDENCE and ALIKE the weight in use, and the one that fits what all of `brains` read.

    "answers" is fitted on the notes that are conceivable as things stand, "answers alone" on all that were read.
    """
    readers = [MarksReader(load_brain(folder)[1], folder=folder) for folder in brains]
    used = readers[0].fitted
    pairs = [pair for reader in readers for pair in gather(reader, seed, minds, of_one)]
    conceivable = [pair for pair in pairs if len(pair.evidence) == len(EVIDENCE)]
    alone = [Pair(pair.evidence[:ALONE], pair.answers) for pair in pairs]
    changes = [pair for reader in readers for pair in gather_changes(reader, seed, max(minds))]
    return {
        f"{about}: {name}": (now, float(weight))
        for about, names, weights, chosen in (
            ("answers alone", EVIDENCE[:ALONE], used.alone, alone), ("answers", EVIDENCE, used.answers, conceivable),
            ("about one", ALIKE, used.about_one, changes),
        )
        for name, now, weight in zip(names, weights, fit(chosen), strict=True)
    }  # fmt: skip
