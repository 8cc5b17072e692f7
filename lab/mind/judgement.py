"""Judgement: how likely it is that a note answers a question.

A logistic model over what a search and a brain's reading found. Its weights come from `python -m lab bench judgement`, on
facts that no exam asks for, with relations and wordings among them that no brain was trained on.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.config import MindConfig
from lab.data.curriculum.facts import MadeFact, clash, make_fact
from lab.memory import RecallIndex
from lab.mind.messages import PERSONS, whom
from lab.mind.skills import Skills
from lab.models.checkpoint import load_brain

EVIDENCE = (
    "always", "log-odds of knowing", "log-likeness", "the person lacking", "another person", "names and numbers lacking",
)  # fmt: skip
WEIGHTS = (3.94, 0.98, 3.23, -1.86, -0.80, -4.77)
FLOOR = 1e-4  # a probability nearer to 0 or 1 says no more
LEAST_LIKE = 0.01


def evidence(question: str, note: str, likeness: float, unknown: float) -> tuple[float, ...]:
    """What speaks for `note` as the answer to `question`, in the order of EVIDENCE."""
    asked, told, text = whom(question), whom(note, first=True) & PERSONS, note.lower()
    things = {word for word in re.findall(r"[^\W_]+", question.lower()) if any(map(str.isdigit, word))} | (
        asked - PERSONS
    )
    doubt = min(max(unknown, FLOOR), 1 - FLOOR)
    return (
        1.0,
        math.log((1 - doubt) / doubt),
        math.log(max(likeness, LEAST_LIKE)),
        float(bool(asked & PERSONS) and not asked & told),  # my PIN is not hers
        float(bool(told) and not asked & told),  # nor yours
        float(sum(re.search(rf"\b{re.escape(thing)}", text) is None for thing in things)),
    )


def belief(question: str, note: str, likeness: float, unknown: float) -> float:
    """The probability that `note` answers `question`, where the brain that read both does not know with `unknown`."""
    found = evidence(question, note, likeness, unknown)
    return 1 / (1 + math.exp(-sum(weight * x for weight, x in zip(WEIGHTS, found, strict=True))))


@dataclass(frozen=True)
class Pair:
    """A note that was found for a question: its evidence, and whether it is the one that answers."""

    evidence: tuple[float, ...]
    answers: bool


def gather(skills: Skills, seed: str, count: int) -> Iterator[Pair]:
    """Tell `count` facts, ask for them and for as many others, a third plainly and a third in wordings held out."""
    rng = random.Random(f"judgement {seed}")
    facts: list[MadeFact] = []
    while len(facts) < 2 * count:
        fact = make_fact(rng, unseen=rng.random() < 0.15)
        if not any(clash(fact, other) or clash(other, fact) for other in facts):
            facts.append(fact)
    index, told = RecallIndex(), list[str]()
    wordings = [rng.randrange(min(len(f.relation.say), len(f.relation.ask))) for f in facts]
    for fact, wording in zip(facts[:count], wordings, strict=False):
        index.add(len(told), [fact.say(wording)])
        told.append(fact.say(wording))
    for number, (fact, wording) in enumerate(zip(facts, wordings, strict=True)):
        wordings_asked = (0, -1, rng.randrange(len(fact.relation.ask)))
        question = fact.ask(wording if fact.relation.paired else rng.choice(wordings_asked))
        found = index.search(question, MindConfig().notes_open)
        doubts = skills.doubts(question, [told[place] for place, _ in found])
        for (place, likeness), doubt in zip(found, doubts, strict=True):
            yield Pair(evidence(question, told[place], likeness, doubt), place == number)


def fit(pairs: list[Pair], ridge: float = 0.05) -> NDArray[np.float64]:
    """The weights of EVIDENCE by logistic regression (Newton's method)."""
    seen = np.array([pair.evidence for pair in pairs])
    answers = np.array([pair.answers for pair in pairs], dtype=np.float64)
    weights = np.zeros(seen.shape[1])
    for _ in range(30):
        sure = 1 / (1 + np.exp(-seen @ weights))
        slope = seen.T @ (sure - answers) + ridge * weights
        curve = (seen * (sure * (1 - sure))[:, None]).T @ seen + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights


def calibrate(brains: Sequence[Path], seed: str = "tune", count: int = 150) -> dict[str, tuple[float, float]]:
    """Give for each name in EVIDENCE the weight in use, and the one that fits what all of `brains` read."""
    pairs = [pair for folder in brains for pair in gather(Skills(load_brain(folder)[1]), seed, count)]
    fitted = [float(weight) for weight in fit(pairs)]
    return {name: (used, found) for name, used, found in zip(EVIDENCE, WEIGHTS, fitted, strict=True)}
