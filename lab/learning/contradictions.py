"""Which old knowledge new lessons contradict: it is about the same thing, by its words, and has another answer.

Who holds on to the old must let go of these, or an update never arrives. Likeness is tf·idf over the new lessons, where words
that many of them share weigh little and the name of the thing much.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.learning.dreams import recited
from lab.memory import RecallIndex
from lab.text import Lesson, Template

SAME = 0.28  # chosen on questions of updates and same-subjects; states: the same in other words 0.25 up, another at most 0.26


class Contradictions:
    """The new lessons, and whether an old one stands against them."""

    def __init__(self, lessons: Sequence[Lesson], template: Template) -> None:
        self._index, self._answers, self._template = RecallIndex(), list[str](), template
        for lesson in lessons:
            new = recited(template, lesson.tokens)
            if new:
                self._index.add(len(self._answers), [new.question])
                self._answers.append(new.reply)

    def against(self, tokens: Sequence[int]) -> bool:
        """Say whether an old lesson answers a new one's question otherwise."""
        old = recited(self._template, tokens)
        if old is None:
            return False
        near = self._index.search(old.question, 1)
        return bool(near) and near[0][1] >= SAME and self._answers[near[0][0]] != old.reply
