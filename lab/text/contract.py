"""What every tokenizer and every template promises, and the two kinds of thing that pass between words and tokens.

An exchange is words: a question, its answer, and the notes that are open. A lesson is the same as tokens, each with its weight
as a target. Only a template knows how the one is spelt as the other, so a brain may speak any alphabet.
Letters: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
I_DO_NOT_KNOW = "I have not learned that yet."


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, None for not knowing, with the notes that are open, oldest first.

    `skill` is what is asked for: "answer"; "quiz", a question that the notes answer, with its answer; "plain", the same question
    put plainly; "sort", whether a text is told, asked or talk.
    """

    question: str
    answer: str | None = None
    notes: tuple[str, ...] = ()
    skill: str = "answer"

    @property
    def reply(self) -> str:
        """What is said aloud."""
        return I_DO_NOT_KNOW if self.answer is None else self.answer


@dataclass(frozen=True)
class Lesson:
    """Tokens (T,), and the weight of each as a target (T,): 1 in answers, less elsewhere; the first is never a target."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Opening:
    """How some dreams begin."""

    prompt: tuple[int, ...]
    share: float = 1.0  # of all dreams
    longest: int = 96  # tokens
    never: tuple[int, ...] = ()  # tokens that do not come in them


class Tokenizer(Protocol):
    """Text as numbers. Marks are tokens that text can never become, by name."""

    name: ClassVar[str]
    size: int
    marks: Mapping[str, int]

    @property
    def bytes_of(self) -> NDArray[np.int32]:
        """The bytes that each token stands for, (V,); 0 for a mark. So bits per byte compare everywhere."""

    def encode(self, text: str) -> list[int]:
        """Give the tokens of any text, (T,)."""

    def pack(self, raw: bytes) -> Tokens:
        """Give the tokens of UTF-8 text, (T,) int64."""

    def decode(self, tokens: Sequence[int], marks: Mapping[int, str] = ...) -> str:
        """Give the text of tokens, marks as `marks` says or not at all; what is not text shows as �."""

    def save(self, folder: Path) -> None:
        """Write what `open_template` needs into a brain's folder."""


class Template(Protocol):
    """How exchanges are spelt as tokens, for one tokenizer."""

    name: ClassVar[str]
    tokenizer: Tokenizer
    stop: int  # the token that ends what is written

    def prompt(self, exchange: Exchange) -> list[int]:
        """Give all that stands before what the brain is to write."""

    def lesson(self, *exchanges: Exchange) -> Lesson:
        """Give one exchange as a lesson, or several that share their notes."""

    def restore(self, tokens: Sequence[int]) -> Lesson:
        """Give the lesson whose tokens these are."""

    def parse(self, tokens: Sequence[int]) -> Exchange | None:
        """Give the exchange that tokens spell, the first of several; None where they spell none."""

    def document(self, text: bytes) -> Tokens:
        """Give a text as a document of its own, (T,) int64."""

    def begin(self, text: str) -> list[int]:
        """Give the prompt that goes on from `text`."""

    def head(self, tokens: Sequence[int], longest: int) -> list[int]:
        """Give what a lesson or document begins with: all up to where an answer is due, or at most `longest` tokens of a text."""

    def asks(self, prompt: Sequence[int]) -> bool:
        """Say whether an answer is due after this prompt."""

    def show(self, tokens: Sequence[int]) -> str:
        """Draw tokens for people to look at, marks as signs."""

    def openings(self) -> tuple[Opening, ...]:
        """Give how dreams begin that are to show all that a brain can do; the first are questions that it answers."""

    def closed(self) -> Opening:
        """Give how dreams begin that ask the weights alone."""

    def closes(self, token: int) -> bool:
        """Say whether a question is over with this token."""

    def doubt(self, log_probabilities: Any) -> Any:
        """log-probabilities (…, V) of an answer's first token → the probability of not knowing, (…)."""
