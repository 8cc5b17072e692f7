"""What a mind gives back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from lab.memory import Trace
from lab.text import I_DO_NOT_KNOW

WEIGHTS, UNKNOWN_SOURCE, TALK = "weights", "unknown", "talk"  # besides the tiers: where an answer came from


class MindError(ValueError):
    """A mind that cannot do what was asked; the message says what to do."""


@dataclass(frozen=True)
class Answer:
    """An answer. `source` is STM, LTM, archive, weights, unknown or talk; `confidence` 0 to 1."""

    text: str
    source: str
    confidence: float
    traces: tuple[Trace, ...] = ()
    question: str = ""
    memory: str = "both"

    @property
    def known(self) -> bool:
        return self.source not in (UNKNOWN_SOURCE, TALK)


def unknown(question: str, memory: str, confidence: float) -> Answer:
    """The answer of a mind that has not learned that yet."""
    return Answer(I_DO_NOT_KNOW, UNKNOWN_SOURCE, confidence, (), question, memory)


@dataclass(frozen=True)
class Taught:
    """What became of something told: the traces made or strengthened, those that they replaced, and those that look alike but may
    be about something else, so that both are kept."""

    traces: tuple[Trace, ...]
    repeated: tuple[Trace, ...] = ()
    replaced: tuple[Trace, ...] = ()
    beside: tuple[Trace, ...] = ()

    @staticmethod
    def of(parts: Iterable[Taught]) -> Taught:
        """What became of several things told."""
        every = [*parts]
        return Taught(*(tuple(t for one in every for t in getattr(one, kind.name)) for kind in fields(Taught)))

    @property
    def text(self) -> str:
        """One sentence that says what was stored, and where."""
        said = [f"Stored in {t.tier}: “{t.text}”" for t in self.traces]
        said += [f"I knew that already; now I am surer: “{t.text}”" for t in self.repeated]
        said += [f"It replaces “{t.text}”" for t in self.replaced]
        said += [f"I keep “{t.text}” as well" for t in self.beside[:1]]
        return " ".join(part if part.endswith(".”") else part + "." for part in said)
