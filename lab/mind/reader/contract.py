"""What a mind may ask of a brain, in words only. Everything that is English, or fitted to a kind of brain, lives behind this.

A mind's own code is the same on every reader: on a brain that speaks bytes, on a pretrained model, on a dictionary in a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from lab.memory import Trace
from lab.memory.index import likeness
from lab.mind.language import Language

Pair = tuple[str, str]  # a question and its answer
MOST_BYTES = 240  # of one note or question, as read


@dataclass(frozen=True)
class Reply:
    """What the brain answered; text None is "I have not learned that yet"."""

    text: str | None
    probability: float  # of the whole answer
    unknown: float  # probability of not knowing, before the answer begins


@dataclass(frozen=True)
class Note:
    """What is told, and the questions that it answers, as far as they are known."""

    text: str
    questions: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """The first of its questions, or an empty one."""
        return self.questions[0] if self.questions else ""

    @staticmethod
    def of(trace: Trace) -> Note:
        """A trace as it is compared: its text, and the questions that it was taught with or asked itself."""
        return Note(trace.text, tuple(question for question, _ in (*trace.asked, *trace.cues)))


Found = Sequence[tuple[Note, float]]  # notes that were found for a question, with their likeness to it


def questions_alike(one: Note, other: Note) -> float:
    """The likeness of those questions of two notes that are most alike."""
    return max((likeness(mine, yours) for mine in one.questions for yours in other.questions), default=0.0)


@dataclass(frozen=True)
class Limits:
    """From where on something is taken to be so; they belong to a kind of brain, as fitted models do."""

    believed: float = (
        1.2  # a note is taken to answer from 1 - this × unknown_threshold on: from 0.4 on, as things stand
    )
    believed_plainly: float = 1.0  # the same for what a question may mean: from 0.5 on
    as_sure: float = 0.15  # difference of two beliefs below which the newer note is read first
    said: float = (
        0.006  # what the weights recall is given where this × (1 - unknown_threshold) speaks for it: from 0.003 on ...
    )
    said_more: float = 0.0002  # ... and so much more for each note that was learnt, since there is more to mistake
    as_likely: float = (
        6  # power of its probability that speaks for what the weights recall: half likely is mostly something else
    )
    seldom: float = 0.02  # probability of a reading of a question from which on the weights are asked it
    often: float = 0.15  # probability of a reading from which on it is asked of the notes
    surely_one: float = (
        0.7  # probability that two notes are about one thing: to replace in error is worse than to keep both
    )
    perhaps_one: float = 0.5  # the same, from which on it is said that both are kept
    maybe_one: float = 0.1  # the same, from which on the newer note answers, if it is conceivable
    same_question: float = 0.95  # likeness of their questions from which on two notes with one answer say the same
    doubt: float = 0.3  # probability of not knowing above which a question and its note do not fit
    steady: float = 0.9  # probability of an answer from which on it counts as known by heart: a guess comes and goes


def clip(text: str) -> str:
    """At most MOST_BYTES of a text, whole characters."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")


class Reader(Protocol):
    """See the file. Lists come in the order of what was asked."""

    unknown_threshold: float  # probability of not knowing from which on nothing is answered
    language: Language
    limits: Limits

    def hear(self, text: str) -> str:
        """Say what a message is: "teach", "ask" or "talk"."""

    def surprise(self, text: str) -> float:
        """Say how surprising a text is; only compared with others of the same reader."""

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question from its notes, or all from the weights."""

    def write(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question as the brain writes, which need not stand in its notes."""

    def guess(self, questions: Sequence[str]) -> list[Reply]:
        """What the weights would answer to each question, however much is doubted."""

    def read(self, question: str, note: str) -> Reply:
        """Give the words of the note that most likely answer, whether or not they do; text None where it has none."""

    def doubts(self, questions: Sequence[str]) -> list[float]:
        """The probability that the weights do not know, for each question."""

    def believe(self, asked: Sequence[tuple[str, Found]], among: int) -> list[list[float]]:
        """The probability that each note found for each question answers it, `among` so many; 0 where hardly conceivable."""

    def about_one(self, new: Note, older: Sequence[Note]) -> list[float]:
        """The probability that each older note is about the same thing as the new one, which then replaces it."""

    def questions_of(self, notes: Sequence[str]) -> list[tuple[Pair, ...]]:
        """Give for each note the questions that it answers, the likeliest first, with their answers."""

    def quiz(self, notes: Sequence[str], count: int, draws: torch.Generator) -> list[list[Pair]]:
        """Draw up to `count` + 1 questions of each note, the likeliest first, with the answers that are expected."""

    def plainly(self, questions: Sequence[str]) -> list[str]:
        """Put each question in the plain wording of what it asks; it stays as it is where none is found."""

    def readings(self, question: str, at_least: float) -> dict[str, float]:
        """What a question may ask: all plain wordings that have a probability of `at_least`, with it."""

    def recites(self, pairs: Sequence[tuple[str, str | None]]) -> list[bool]:
        """Whether each question is answered from the weights with just this answer; None is not knowing."""
