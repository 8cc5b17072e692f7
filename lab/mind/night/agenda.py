"""What a night is about, as it lies on disk for whoever sleeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.mind.reader import Pair


@dataclass(frozen=True)
class Due:
    """A trace to be learnt by heart; `asked` are questions and answers that a person taught or asked about it."""

    trace: int
    text: str
    asked: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class Agenda:
    """Traces to learn, and (question, wrong answer) pairs to unlearn."""

    due: tuple[Due, ...]
    unlearn: tuple[Pair, ...] = ()
    kept: tuple[Pair, ...] = ()  # questions and answers of earlier nights
    by_heart: tuple[Pair, ...] = ()  # what was known before anything was taught
    gone: tuple[Pair, ...] = ()  # what was taught once, and was replaced, disputed or forgotten

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Agenda:
        read = json.loads(path.read_text(encoding="utf-8"))
        due = (Due(row["trace"], row["text"], tuple((q, a) for q, a in row["asked"])) for row in read["due"])
        pairs = ("unlearn", "kept", "by_heart", "gone")
        return Agenda(tuple(due), *(tuple((q, a) for q, a in read.get(name, ())) for name in pairs))
