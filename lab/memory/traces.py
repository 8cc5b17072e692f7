"""A trace: one thing that a person said, and how well it is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field

STM, LTM, ARCHIVE = "STM", "LTM", "archive"
NOTES, FADING, WEIGHTS = "notes", "fading", "weights"  # where a trace's answer can be had, after its audits
TIERS, STAGES = (STM, LTM, ARCHIVE), (NOTES, FADING, WEIGHTS)


class MemoryError(ValueError):
    """A memory that cannot be used as asked; the message says what to do."""


@dataclass(frozen=True)
class Trace:
    """One remembered item. Times are seconds since 1970; `confidence` is 0 to 1; None means absent."""

    text: str
    created_at: float
    id: int = 0
    question: str | None = None  # as taught, where it was taught as a pair
    answer: str | None = None
    tier: str = STM
    stage: str = NOTES
    confidence: float = 0.6
    importance: float = 0.5
    surprise: float = 0.5  # quantile among what was told before
    uses: int = 0
    repeats: int = 1
    used_at: float = 0.0
    passes: int = 0  # audits passed in a row
    due_night: int = 0  # the first night at which it is replayed again
    superseded_by: int | None = None
    forgotten_at: float | None = None
    disputed_at: float | None = None  # an answer from it was called wrong
    cues: tuple[tuple[str, str], ...] = field(default=())  # (question, answer) that the brain asked itself about it
    heard: tuple[tuple[str, str], ...] = field(default=())  # (question, answer) that it answered for a person

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """Questions of people about it, with their answers: the one it was taught with, then those it answered."""
        taught = ((self.question, self.answer),) if self.question and self.answer else ()
        return taught + self.heard

    @property
    def alive(self) -> bool:
        """Whether it may answer."""
        return self.superseded_by is None and self.forgotten_at is None and self.disputed_at is None


@dataclass(frozen=True)
class Veto:
    """An answer that must not be given to a question again: it was called wrong, or its trace was forgotten."""

    question: str
    answer: str
    at: float
    trace: int | None = None
    trained: bool = False  # a night has taken it out of the weights
