"""Judgement: how likely it is that a note answers a question, and that two notes are about one thing.

Logistic models over what a search and a brain's reading found; lab.mind.calibration fits their weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.memory.index import likeness
from lab.mind.messages import PERSONS, whom

EVIDENCE = (
    "always", "log-odds of knowing", "log-likeness", "the person lacking", "another person", "names and numbers lacking",
)  # fmt: skip
WEIGHTS = (3.94, 0.98, 3.23, -1.86, -0.80, -4.77)
ALIKE = (
    "always", "log-odds that the old note answers", "log-odds that the new note answers", "likeness of the questions", "one question",
)  # fmt: skip
ABOUT_ONE = (-3.82, 0.70, 0.36, -0.40, 2.33)
RECALLED = (
    "always", "as it was asked", "log-odds of knowing", "log-probability of the answer", "log-odds that it answers", "log-likeness",
    "the person lacking", "another person", "names and numbers lacking",
)  # fmt: skip
RECALL = (0.15, 1.37, -0.09, 0.68, 0.27, 0.49, 0.76, -0.30, 0.00)
ONE_QUESTION = 0.99  # likeness from which on two questions are one
FLOOR = 1e-4  # a probability nearer to 0 or 1 says no more
LEAST_LIKE = 0.01


def evidence(question: str, note: str, alike: float, unknown: float) -> tuple[float, ...]:
    """What speaks for `note` as the answer to `question`, in the order of EVIDENCE."""
    asked, told, text = whom(question), whom(note, first=True) & PERSONS, note.lower()
    things = {word for word in re.findall(r"[^\W_]+", question.lower()) if any(map(str.isdigit, word))} | (
        asked - PERSONS
    )
    return (
        1.0,
        _log_odds(1 - unknown),
        math.log(max(alike, LEAST_LIKE)),
        float(bool(asked & PERSONS) and not asked & told),  # my PIN is not hers
        float(bool(told) and not asked & told),  # nor yours
        float(sum(re.search(rf"\b{re.escape(thing)}", text) is None for thing in things)),
    )


def belief(question: str, note: str, alike: float, unknown: float) -> float:
    """The probability that `note` answers `question`, where the brain that read both does not know with `unknown`."""
    return _logistic(WEIGHTS, evidence(question, note, alike, unknown))


@dataclass(frozen=True)
class Recollection:
    """What the weights answer to one reading of a question; `doubt` is of not knowing the question, where the reading with
    its answer is a note."""

    reading: str
    answer: str
    probability: float  # of the answer
    unknown: float  # probability of not knowing, for the reading
    doubt: float


def recollected(question: str, one: Recollection) -> tuple[float, ...]:
    """What speaks for a recollection as the answer to `question`, in the order of RECALLED."""
    same = one.reading == question
    always, reads, near, *lacking = evidence(
        question, f"{one.reading} {one.answer}", likeness(question, one.reading), one.doubt
    )
    known, likely = _log_odds(1 - one.unknown), math.log(max(one.probability, FLOOR))
    return always, float(same), known, likely, 0.0 if same else reads, near, *lacking


def trust(question: str, one: Recollection) -> float:
    """The probability that a recollection is right."""
    return _logistic(RECALL, recollected(question, one))


def _log_odds(p: float) -> float:
    p = min(max(p, FLOOR), 1 - FLOOR)
    return math.log(p / (1 - p))


def _logistic(weights: Sequence[float], found: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(weight * x for weight, x in zip(weights, found, strict=True))))


def likenesses(forth: float, back: float, alike: float) -> tuple[float, ...]:
    """What speaks for two notes being about one thing, in the order of ALIKE: the beliefs that each answers the other's
    question, and the likeness of these questions. What differs in a word ("my favourite film", "book") is another thing."""
    return 1.0, _log_odds(forth), _log_odds(back), alike, float(alike >= ONE_QUESTION)


def about_one(forth: float, back: float, alike: float) -> float:
    """The probability that two notes are about one thing, so that the later one replaces the earlier."""
    return _logistic(ABOUT_ONE, likenesses(forth, back, alike))
