"""Judgement: how likely it is that a note answers a question, and that two notes are about one thing.

Logistic models over what a search and a brain's reading found; lab.mind.calibration fits their weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lab.mind.messages import PERSONS, whom

EVIDENCE = (
    "always", "log-odds of knowing", "log-likeness", "the person lacking", "another person", "names and numbers lacking",
)  # fmt: skip
WEIGHTS = (3.94, 0.98, 3.23, -1.86, -0.80, -4.77)
ALIKE = (
    "always", "log-odds that the old note answers", "log-odds that the new note answers", "likeness of the questions", "one question",
)  # fmt: skip
ABOUT_ONE = (-3.82, 0.70, 0.36, -0.40, 2.33)
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
