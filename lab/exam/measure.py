"""What an exam counts by: a measure with its interval, facts that no training has seen, what is right, and a search as control."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np

from lab.data.curriculum.facts import MadeFact, clash, make_fact

PLAIN, HELD_OUT = 0, -1  # wordings: the first, and the last, which is never trained on


@dataclass(frozen=True)
class Measure:
    """One line of the exam: `right` of `of`, or with `of` 0 a plain number; `goal` is None for a control."""

    brain: str
    name: str
    right: int
    of: int
    goal: float | None = None
    at_most: bool = False

    @property
    def share(self) -> float:
        return self.right / self.of if self.of else float(self.right)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95%; of a plain number only itself."""
        if not self.of:
            return self.share, self.share
        from scipy.stats import binomtest  # takes a second to import

        low, high = binomtest(self.right, self.of).proportion_ci(method="wilson")
        return float(low), float(high)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.share <= self.goal if self.at_most else self.share >= self.goal


def facts_for_exam(
    seed: str, count: int, *, unseen: bool | None = None, taught: Sequence[MadeFact] = ()
) -> list[MadeFact]:
    """Make `count` facts that clash neither with each other nor with those `taught`; `unseen` None takes relations of both
    kinds."""
    rng = random.Random(f"exam {seed}")
    return draw_facts(count, lambda: make_fact(rng, unseen=rng.random() < 0.15 if unseen is None else unseen), taught)


def draw_facts(count: int, make: Callable[[], MadeFact], taught: Sequence[MadeFact] = ()) -> list[MadeFact]:
    """So many of the facts that `make` draws as clash neither with each other nor with those `taught`."""
    facts: list[MadeFact] = []
    while len(facts) < count:
        fact = make()
        if not any(clash(fact, other) or clash(other, fact) for other in (*taught, *facts)):
            facts.append(fact)
    return facts


def right(answer: str | None, value: str) -> bool:
    """Exact match as is usual for answers (SQuAD): small and capital letters, a first article and a last stop aside."""
    return answer is not None and _bare(answer) == _bare(value)


def all_right(answers: Iterable[str | None], facts: Sequence[MadeFact]) -> list[bool]:
    """Whether each answer is the value of its fact."""
    return [right(answer, fact.value.text) for answer, fact in zip(answers, facts, strict=True)]


def _bare(text: str) -> str:
    return re.sub(r"^(a|an|the) ", "", text.strip().lower()).rstrip(".")


def bm25(texts: Sequence[str], queries: Sequence[str], count: int) -> list[list[int]]:
    """For each query the `count` texts that Okapi BM25 (k1 1.2, b 0.75) ranks highest, in their own order."""
    index = bm25s.BM25(k1=1.2, b=0.75, dtype="float64")
    index.index([_words(text) for text in texts], show_progress=False)
    scores = [index.get_scores(_words(query)) for query in queries]
    return [sorted(np.argsort(-own, kind="stable")[:count].tolist()) for own in scores]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
