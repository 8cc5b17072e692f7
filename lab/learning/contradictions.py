"""Which old knowledge new lessons contradict: it is about the same thing, by its words, and has another answer.

Who holds on to the old must let go of these, or an update never arrives. Likeness is tf·idf over the new lessons, where words
that many of them share weigh little and the name of the thing much.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.data.tokenizer import ANSWER, END, START, decode
from lab.memory import RecallIndex

SAME = 0.28  # chosen on questions of updates and same-subjects; states: the same in other words 0.25 up, another at most 0.26


class Contradictions:
    """The new lessons, and whether an old one stands against them. A lesson is START question ANSWER answer END."""

    def __init__(self, lessons: Sequence[Sequence[int]]) -> None:
        self._index, self._answers = RecallIndex(), list[str]()
        for lesson in lessons:
            parts = _parts(lesson)
            if parts:
                self._index.add(len(self._answers), [parts[0]])
                self._answers.append(parts[1])

    def against(self, old: Sequence[int]) -> bool:
        """Say whether `old` answers a new lesson's question otherwise."""
        parts = _parts(old)
        if not parts:
            return False
        near = self._index.search(parts[0], 1)
        return bool(near) and near[0][1] >= SAME and self._answers[near[0][0]] != parts[1]


def _parts(lesson: Sequence[int]) -> tuple[str, str] | None:
    tokens = list(lesson)
    if not tokens or tokens[0] != START or ANSWER not in tokens:
        return None
    at = tokens.index(ANSWER)
    answer = tokens[at + 1 :]
    return decode(tokens[1:at]), decode(answer[: answer.index(END)] if END in answer else answer)
