"""Made-up facts: a relation, a subject and a value, said and asked in the wordings of relations.toml.

The last wording of every list is held out, and so is every relation marked `unseen`: never trained on, for scoring.
"""

from __future__ import annotations

import functools
import random
import re
import tomllib
from dataclasses import dataclass, replace

from lab.data.curriculum.subjects import Subject, make_subject
from lab.data.curriculum.values import FOLDER, Value, make_value

CLASHES = (  # relations of one subject whose questions could be answered by each other's statements
    {"name", "nickname"}, {"birthplace", "country", "home", "street"}, {"event_day", "event_weekday", "event_time"},
    {"shop_where", "near", "distance"}, {"kept", "hidden"}, {"price", "paid"}, {"platform", "destination"},
    {"gift", "bought", "lost", "action", "have_count", "holiday"}, {"hobby", "sport", "instrument", "collects"},
    {"kind", "meaning"}, {"birthday", "birth_year", "age"}, {"seller", "maker"}, {"job", "employer", "shift"},
    {"colour", "attribute_thing", "attribute_nonsense"}, {"phone", "email"}, {"departs", "platform", "arrives"},
    {"contents", "count_in"}, {"language", "learning_language"}, {"taste", "ingredient"}, {"event_place", "host"},
    {"likes", "hobby", "sport", "favourite_food", "favourite_drink", "favourite_thing"}, {"job", "first_job"},
    {"holiday", "next_trip"}, {"host", "event_speaker", "event_photos"}, {"event_day", "event_reply"},
    {"spouse", "first_love", "friend"}, {"favourite_food", "lunch", "dinner"}, {"name", "named_after"}, {"event_food", "bring"},
    {"price", "paid", "insured_for"}, {"maker", "seller", "repaired_by"}, {"contents", "packed_by"}, {"eats", "predator"},
    {"kept", "contents"}, {"bank", "employer"}, {"doctor", "checkup"}, {"gadget_inventor", "purpose"},
)  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """One thing that can be said and asked; see relations.toml."""

    name: str
    about: str
    value: str
    say: tuple[str, ...]
    ask: tuple[str, ...]
    unseen: bool = False
    many: bool = False  # may hold several values at once
    paired: bool = False  # statement i answers question i only


@functools.cache
def load_relations() -> dict[str, Relation]:
    """Give every relation by name."""
    table = tomllib.loads((FOLDER / "relations.toml").read_text(encoding="utf-8"))
    return {
        name: Relation(
            name, row["about"], row["value"], tuple(row["say"]), tuple(row["ask"]), row.get("unseen", False),
            row.get("many", False), row.get("paired", False),
        )
        for name, row in table.items()
    }  # fmt: skip


@functools.cache
def relation_names(*, unseen: bool) -> tuple[str, ...]:
    """Give the names of the relations for training, or those that are held out."""
    return tuple(name for name, relation in load_relations().items() if relation.unseen == unseen)


@dataclass(frozen=True)
class MadeFact:
    """A fact that nobody knows yet."""

    relation: Relation
    subject: Subject
    value: Value

    def cue(self) -> tuple[str, str, str]:
        """What it is about: facts with one cue and different values contradict each other."""
        return self.relation.name, self.subject.name.lower(), self.value.key

    def with_value(self, rng: random.Random) -> MadeFact:
        """The same cue with another value."""
        for _ in range(50):
            value = make_value(self.relation.value, rng)
            if value.text.lower() != self.value.text.lower():
                return replace(self, value=replace(value, key=self.value.key, key_plain=self.value.key_plain))
        raise AssertionError(f"{self.relation.name} has one value only")

    def say(self, wording: int) -> str:
        return self._fill(self.relation.say[wording])

    def ask(self, wording: int) -> str:
        return self._fill(self.relation.ask[wording])

    def _fill(self, wording: str) -> str:
        value = self.value
        article = "an " if value.text[:1].lower() in "aeiou" else "a "
        if re.match(r"(pair|box|the|an|a|some) ", value.text) and not value.text.startswith(("pair ", "box ")):
            article = ""
        forms = {
            **self.subject.forms(),
            "v": value.text,
            "a v": article + value.text,
            "k": value.key,
            "k0": value.key_plain,
        }
        text = re.sub(r"\{([^}]*)\}", lambda match: forms[match[1]], wording)
        text = re.sub(r"\bthe the\b", "the", text)
        return text[:1].upper() + text[1:]


def make_fact(rng: random.Random, relation: str | None = None, *, unseen: bool = False) -> MadeFact:
    """Make a fact of `relation`, or of one drawn from those for training (or from those held out)."""
    found = load_relations()[relation or rng.choice(relation_names(unseen=unseen))]
    return MadeFact(found, make_subject(found.about, rng), make_value(found.value, rng))


def clash(one: MadeFact, other: MadeFact) -> bool:
    """Say whether a note of one fact could be taken for an answer to a question about the other."""
    if one.cue() == other.cue():
        return True
    if one.subject.name.lower() != other.subject.name.lower():
        return False
    names = {one.relation.name, other.relation.name}
    if len(names) == 1:
        return one.relation.paired or one.value.key == other.value.key
    return any(names <= group for group in CLASHES)
