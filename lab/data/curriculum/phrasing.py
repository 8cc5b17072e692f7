"""As people type: facts said and asked with openings, corrections, tails, contractions and careless letters."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from lab.data.curriculum.facts import MadeFact
from lab.data.curriculum.subjects import Subject
from lab.data.curriculum.values import first_name, words

OPENINGS = (
    "Remember that ", "By the way, ", "Please note: ", "FYI, ", "Hey, ", "Just so you know, ", "So, ", "Well, ",
    "Please remember that ", "Note that ", "Remember: ", "I should tell you that ", "You should know that ", "Oh, ",
)  # fmt: skip
CORRECTIONS = ("Actually, ", "Correction: ", "No, ", "Sorry, ", "From now on, ", "I was wrong, ", "Now ", "Update: ")
ASKINGS = (
    "Tell me, ", "Do you know, ", "Remind me, ", "Quick question: ", "Hey, ", "Please tell me, ", "I forgot, ", "Say, ",
    "So, ", "And ", "Can you tell me, ",
)  # fmt: skip
TAILS = (
    ", you know", ", I think", " and I love it", " and that is that", ", to be honest", " because of my job", ", as always",
    " since last year", " these days", " at the moment", ", believe it or not", ", just like last time", ", of course",
    " and nobody minds", ", which is nice", " again", ", if I am not mistaken", " for now", " but not for long", ", by the way",
)  # fmt: skip


def lower_first(text: str) -> str:
    """Make the first letter small where it begins a plain word, not a name."""
    return text[:1].lower() + text[1:] if re.split(r"[ ,']", text.lower())[0] in words()["small_first"] else text


def contract(text: str) -> str:
    """Say "What's" for "What is", "I'm" for "I am"."""
    text = re.sub(r"^(What|Who|Where|When|How) is\b", r"\1's", text)
    text = re.sub(r"\bI am\b", "I'm", text)
    return re.sub(r"\b(does|did|was|is) not\b", r"\1n't", text)


def roughen(text: str, rng: random.Random) -> str:
    """Type `text` as people do: contracted, in small letters, without the last stop."""
    if rng.random() < 0.3:
        text = contract(text)
    if rng.random() < 0.2:
        text = text.rstrip(".?!")
    if rng.random() < 0.2:
        text = text.lower()
        text = text.replace("'s", "s").replace("'m", "m").replace("n't", "nt") if rng.random() < 0.4 else text
    return text


def tell(fact: MadeFact, wording: int, rng: random.Random, *, update: bool = False) -> str:
    """State `fact` as a person would type it."""
    text = fact.say(wording)
    if rng.random() < 0.1:
        text = text.rstrip(".") + rng.choice(TAILS) + "."
    if rng.random() < (0.4 if update else 0.15):
        text = rng.choice(CORRECTIONS if update else OPENINGS) + lower_first(text)
    rough = roughen(text, rng)
    return (
        rough if as_told(fact.value.text, rough).lower() in rough.lower() else text
    )  # "is not known" is not "isn't known"


def ask(fact: MadeFact, wording: int, rng: random.Random) -> str:
    """Ask for `fact` as a person would type it."""
    text = fact.ask(wording)
    if rng.random() < 0.12:
        text = rng.choice(ASKINGS) + lower_first(text)
    return roughen(text, rng)


def introduce(fact: MadeFact, rng: random.Random) -> tuple[MadeFact, MadeFact]:
    """Now and then name a person in passing ("my sister Anna works …"): the fact as said, and as asked."""
    name = fact.subject.name
    if (
        rng.random() > 0.15
        or fact.relation.name == "name"
        or name.split(" ")[-1] not in words()["kin"] + words()["pet"]
    ):
        return fact, fact
    first = first_name(rng)
    said, called = (Subject(n, f"{n}'s", n) for n in (f"{name} {first}", first))
    return replace(fact, subject=said), replace(fact, subject=called) if rng.random() < 0.4 else fact


def as_told(value: str, note: str) -> str:
    """Give `value` as the note spells it: a note in small letters is answered in small letters."""
    if value in note or note != note.lower():
        return value
    small = value.lower()
    return small if small in note else small.replace("'s", "s")
