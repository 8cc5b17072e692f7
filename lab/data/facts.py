"""Worlds of real facts, one small CSV each (subject, relation, value), and the wordings that say and ask them.

Every relation has several wordings of each kind, one of them held out: never trained on, so that a score on it tells
knowing from reciting.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.config import ConfigError
from lab.text import Exchange

FOLDER = Path(__file__).parent / "worlds"
WORLDS = ("animals", "arithmetic", "capitals", "continents", "elements", "states", "words")


@dataclass(frozen=True)
class Fact:
    """One thing that is so, and has exactly one right answer."""

    world: str
    subject: str
    relation: str
    value: str


@dataclass(frozen=True)
class Wording:
    """One way to say ("statement") or to ask ("question") the facts of a relation."""

    relation: str
    kind: str
    held_out: bool
    text: str

    def render(self, fact: Fact) -> str:
        text = self.text.format(subject=fact.subject, value=fact.value)
        return text[0].upper() + text[1:]


def _read(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load_facts(worlds: Iterable[str] = WORLDS) -> list[Fact]:
    """Give the facts of the named worlds, in their order; raises ConfigError for an unknown one."""
    facts = []
    for world in worlds:
        if world not in WORLDS:
            raise ConfigError(f"a facts world must be one of {', '.join(WORLDS)}; got {world!r}.", "data")
        facts += [Fact(world, row["subject"], row["relation"], row["value"]) for row in _read(world)]
    return facts


def load_wordings() -> list[Wording]:
    """Give every wording of every relation."""
    return [
        Wording(row["relation"], row["kind"], row["held_out"] == "yes", row["wording"]) for row in _read("wordings")
    ]


def render_facts(facts: Iterable[Fact]) -> Iterator[tuple[bytes | tuple[Exchange], bool]]:
    """Yield each fact in each of its wordings, a statement as text and a question as an exchange, and whether that wording is held
    out."""
    wordings: dict[str, list[Wording]] = {}
    for wording in load_wordings():
        wordings.setdefault(wording.relation, []).append(wording)
    for fact in facts:
        for wording in wordings[fact.relation]:
            text = wording.render(fact)
            asks = wording.kind == "question"
            yield ((Exchange(text, fact.value),) if asks else text.encode()), wording.held_out
