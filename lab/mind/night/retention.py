"""Retention: what a brain knows by heart, and whether a night leaves it so.

Dreamt questions whose answer the brain is sure of, before it is taught anything, are known by heart. They stay with the
mind, since what is not dreamt one night would not be held that night: every night rehearses most of them, learns anew what
has slipped, and checks on the others, which it does not train on.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lab.disk import write_durably
from lab.learning import Dream, dream
from lab.memory import RecallIndex
from lab.memory.index import likeness
from lab.mind.reader import Pair, Reader, open_reader
from lab.models.checkpoint import load_brain

PROBES = 160  # new dreamt questions that check what is kept
CHECKED = 3  # one in so many of what is known by heart is a check that night
MOST = 1200  # kept known by heart, the oldest first
MOST_CHECKS = 300  # of them in one night
ENOUGH = 600  # known by heart, from which on no night need dream of more
DREAMT = 6000  # dreams in which a brain finds what it knows by heart, before it is shipped
FILE = "by_heart.json"  # beside a brain's weights
SAME_QUESTION = 0.8  # likeness from which on two questions are taken for one


@dataclass(frozen=True)
class Holding:
    """What a night holds to while it learns."""

    dreams: list[Dream]  # to rehearse
    rehearsed: list[Pair]  # beside them, of what was known by heart before
    checks: list[tuple[str, str | None]]  # questions with what the brain says now: None is not knowing
    slipped: list[Pair]  # known by heart once, and now answered otherwise
    by_heart: list[Pair]  # what the mind keeps

    def retained(self, reader: Reader) -> float | None:
        """The share of the checks that are answered as before; None where nothing was dreamt."""
        if not self.checks:
            return None
        return sum(reader.recites(self.checks)) / len(self.checks)

    def slips(self, reader: Reader, among: Sequence[Pair] | None = None) -> list[Pair]:
        """What is rehearsed and was known by heart before, or is `among` that, but is answered otherwise now."""
        tried = self.rehearsed if among is None else among
        return [pair for pair, said in zip(tried, reader.recites(tried), strict=True) if not said]

    def noise(self) -> float:
        """One standard error at the retention of 0.97 that a good night has: less cannot be told from chance."""
        return float((0.03 * 0.97 / len(self.checks)) ** 0.5) if self.checks else 0.0


def write_by_heart(folder: Path, count: int = DREAMT, seed: int = 0) -> Path:
    """Write what the brain in `folder` knows by heart beside it, as far as `count` dreams show it; gives the path."""
    _, brain = load_brain(folder)
    draws, openings = torch.Generator().manual_seed(seed), [replace(brain.template.openings()[0], share=0.3)]
    dreams = [one for batch in dream(brain, count, draws, openings=openings) for one in batch if _known(one)]
    sure = dict(_sure(open_reader(brain), list(dict.fromkeys(map(_asked, dreams)))))
    met = Counter[str]()
    pairs: list[
        tuple[int, Pair]
    ] = []  # with how many others have the same answer before: as much as possible is to be there
    for question, answer in sure.items():
        if answer:
            pairs.append((met[answer], (question, answer)))
            met[answer] += 1
    kept = [pair for _, pair in sorted(pairs, key=lambda one: one[0])[:MOST]]
    write_durably(folder / FILE, json.dumps(kept, ensure_ascii=False, indent=0).encode())
    return folder / FILE


def load_by_heart(folder: Path) -> list[Pair]:
    """Read what the brain in `folder` knows by heart; nothing where nobody wrote it down, or not whole."""
    try:
        read = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return [(str(question), str(answer)) for question, answer in read][:MOST]
    except (OSError, ValueError, TypeError):
        return []


def hold_to(
    reader: Reader, dreams: Sequence[Dream], by_heart: Sequence[Pair], tonight: Sequence[Pair], gone: Sequence[Pair] = (),
    seed: int = 0, most: int = MOST,
) -> Holding:  # fmt: skip
    """Settle what a night holds to: its dreams, and `most` of what was known by heart before, but for questions that are
    learnt otherwise `tonight` and dreams that answer as something `gone` did. `seed` draws the checks.

    What is known by heart is found in the dreams of a mind's first night, when nothing taught is in the weights yet.
    """
    apart = _apart([question for question, _ in tonight])
    left = {answer.lower() for _, answer in gone}
    fresh = [one for one in dreams if apart(_asked(one)) and _answered(one).lower() not in left]
    probes = [one for i, one in enumerate(fresh) if i % CHECKED == 0 and _known(one)][:PROBES]
    aside = set(probes)
    rest = [one for one in fresh if one not in aside]
    checks = _sure(reader, [_asked(one) for one in probes])

    old = [pair for pair in by_heart if apart(pair[0])]
    draws = random.Random(seed)
    tried = draws.sample(old, min(most, len(old)))
    knows = reader.recites(tried)
    kept = [pair for pair, known in zip(tried, knows, strict=True) if known]
    slipped = [pair for pair, known in zip(tried, knows, strict=True) if not known]
    drawn = set(draws.sample(kept, min(MOST_CHECKS, len(kept) // CHECKED)))
    rehearsed = [pair for pair in kept if pair not in drawn]
    if not by_heart:
        sure = {q: a for q, a in (*checks, *_sure(reader, [_asked(one) for one in rest if _known(one)])) if a}
        old = list(sure.items())[:MOST]
    checks += [pair for pair in kept if pair in drawn]
    return Holding(rest, rehearsed, checks, slipped, old)


def _known(one: Dream) -> bool:
    """Whether a dream is a question from the weights alone that had an answer."""
    return one.exchange is not None and one.exchange.answer is not None


def _asked(one: Dream) -> str:
    """The question of a dream that asks one."""
    return one.exchange.question if one.exchange else ""


def _answered(one: Dream) -> str:
    """The answer of a dream that has one."""
    return (one.exchange.answer or "") if one.exchange else ""


def _apart(learnt: Sequence[str]) -> Callable[[str], bool]:
    """Whether a question is another one than those to be learnt: a dream of these would hold the old answer."""
    index = RecallIndex()
    for key, question in enumerate(learnt):
        index.add(key, [question])

    def other(asked: str) -> bool:
        near = index.search(asked, 1) if asked else []
        return not near or likeness(asked, learnt[near[0][0]]) < SAME_QUESTION

    return other


def _sure(reader: Reader, questions: Sequence[str]) -> list[tuple[str, str | None]]:
    """The questions whose answer the brain is sure of, with it: what it half knows comes and goes by itself."""
    replies = reader.answer(questions) if questions else []
    return [
        (q, reply.text)
        for q, reply in zip(questions, replies, strict=True)
        if reply.probability >= reader.limits.steady
    ]
