"""Made-up subjects, and the words of a sentence that agree with them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from lab.data.curriculum.values import company, first_name, full_name, made_word, make_text, title, words

AGREEMENT = {
    "first": {"is": "am", "was": "was", "has": "have", "does": "do", "s": "", "es": "", "ies": "y"},
    "second": {"is": "are", "was": "were", "has": "have", "does": "do", "s": "", "es": "", "ies": "y"},
    "third": {"is": "is", "was": "was", "has": "has", "does": "does", "s": "s", "es": "es", "ies": "ies"},
}


@dataclass(frozen=True)
class Subject:
    """Whom or what a relation is about, in the forms a sentence needs."""

    name: str
    possessive: str
    objective: str
    person: str = "third"

    def forms(self) -> dict[str, str]:
        """Give what fills the braces of a wording, but for the value."""
        return {"S": self.name, "P": self.possessive, "O": self.objective, **AGREEMENT[self.person]}


I = Subject("I", "my", "me", "first")  # noqa: E741 - the word is what it says
YOU = Subject("you", "your", "you", "second")


def _third(name: str) -> Subject:
    return Subject(name, f"{name}'s", name)


def _pick(rng: random.Random, kind: str) -> str:
    return rng.choice(words()[kind])


def _whose(rng: random.Random) -> str:
    return rng.choice(("my", "my", "my", f"{first_name(rng)}'s", "our", f"my {_pick(rng, 'kin')}'s"))


def make_subject(kind: str, rng: random.Random) -> Subject:
    """Make a subject of `kind`, the `about` of a relation."""
    if kind == "person" and rng.random() < 0.42:
        return I
    if kind in ("person", "someone") and rng.random() < 0.1:
        return YOU
    if kind == "person" and rng.random() < 0.6:
        return _third(rng.choice((first_name, full_name))(rng))
    if kind == "someone" and rng.random() < 0.35:
        return I
    return _third(_name(kind, rng))


def _name(kind: str, rng: random.Random) -> str:
    if kind in ("person", "someone"):
        return rng.choice(
            (f"my {_pick(rng, 'kin')}", f"my {_pick(rng, 'kin')}", f"{_whose(rng)} {_pick(rng, 'role')}",
             f"{first_name(rng)}'s {_pick(rng, 'kin')}", f"the {_pick(rng, 'the_role')}")
        )  # fmt: skip
    if kind == "pet":
        return f"{_whose(rng)} {_pick(rng, 'pet')}"
    if kind in ("thing", "container", "locked", "account"):
        noun = _pick(rng, "thing_noun" if kind == "thing" else kind)
        adjective = f"{_pick(rng, 'adjective')} " if rng.random() < 0.3 else ""
        return f"{rng.choice(('the', _whose(rng), 'the'))} {adjective}{noun}"
    if kind == "gadget":
        return f"a {rng.choice((_pick(rng, 'gadget'), made_word(rng)))}"
    if kind == "creature":
        return f"{rng.choice(('a', 'the'))} {made_word(rng)}"
    if kind == "land":
        return rng.choice(
            (
                f"{made_word(rng).capitalize()}{rng.choice(('', 'ia', 'land'))}",
                f"the island of {made_word(rng).capitalize()}",
            )
        )
    if kind == "organisation":
        return rng.choice((company(rng), _pick(rng, "organisation")))
    if kind == "shop":
        return rng.choice(
            (_pick(rng, "shop"), _pick(rng, "shop"), f"{make_text('surname', rng)}'s {_pick(rng, 'shop')[4:]}")
        )
    if kind == "transport":
        return rng.choice(
            (
                _pick(rng, "transport"),
                f"flight {make_text('seat', rng)}",
                f"bus {make_text('bus', rng)}",
                f"train {make_text('number', rng)}",
            )
        )
    if kind in ("event", "contest", "task"):
        other = _pick(rng, kind)
        return rng.choice((other, other, f"{first_name(rng)}'s {other[4:]}", f"my {other[4:]}"))
    if kind == "work":
        return rng.choice((title(rng), f"the book {title(rng)}", f"the film {title(rng)}", f"the song {title(rng)}"))
    if kind == "word_in":
        language = rng.choice(
            (f"{made_word(rng).capitalize()}ish", made_word(rng).capitalize(), _pick(rng, "language"))
        )
        return rng.choice(
            (f"{_pick(rng, 'plain_word')} in {language}", f"the {language} word for {_pick(rng, 'plain_word')}")
        )
    if kind == "acronym":
        return "".join(rng.choice("ABCDEFGHIKLMNOPRSTVWX") for _ in range(rng.randint(2, 4)))
    if kind == "made_noun":
        return made_word(rng)
    if kind == "none":
        return ""
    return _pick(rng, kind)
