"""Scenes: somebody did something, with parts that questions can ask for. A grammar instead of a list, so that a brain
learns to find the part that a question leaves open, whatever the words: half of the verbs exist nowhere else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from lab.data.curriculum.values import made_word, make_text

Role = tuple[str, str]  # what stands before the part, and the part


@dataclass(frozen=True)
class Scene:
    """A statement, and the questions that it answers."""

    statement: str
    questions: tuple[tuple[str, str], ...]  # (question, answer)


def _pick(rng: random.Random, *kinds: str) -> str:
    return make_text(rng.choice(kinds), rng)


def _agent(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.2:
        return "I"
    if draw < 0.6:
        return _pick(rng, "first_name", "full_name")
    whose = rng.choice(("my", "my", "our", f"{_pick(rng, 'first_name')}'s"))
    return rng.choice((f"{whose} {_pick(rng, 'kin', 'role', 'pet')}", f"the {_pick(rng, 'the_role', 'job', 'animal')}"))


def _object(rng: random.Random) -> str:
    noun = rng.choice((_pick(rng, "thing_noun", "container", "gadget"), made_word(rng)))
    adjective = rng.choice(("", "", f"{_pick(rng, 'adjective', 'colour')} "))
    article = rng.choice(("the", "a", "my", "two", "three", f"{_pick(rng, 'first_name')}'s"))
    if article in ("two", "three"):
        noun += "s"
    if article == "a" and (adjective or noun)[0] in "aeiou":
        article = "an"
    return rng.choice((f"{article} {adjective}{noun}", _pick(rng, "things", "food"), f"{article} {adjective}{noun}"))


def _verb(rng: random.Random) -> tuple[str, str]:
    """A verb's past and plain form; half of them are made up."""
    if rng.random() < 0.5:
        plain = made_word(rng)
        return plain + ("d" if plain.endswith("e") else "ed"), plain
    past, plain = _pick(rng, "verb", "verb", "giving").split("/")
    return past, plain


PARTS: dict[str, Callable[[random.Random], Role]] = {
    "recipient": lambda rng: ("to", _agent(rng).replace("I", "me") if rng.random() < 0.1 else _pick(rng, "full_name", "first_name")),
    "place": lambda rng: rng.choice((("in", _pick(rng, "city", "country")), ("at", _pick(rng, "place", "shop")))),
    "time": lambda rng: rng.choice((("on", _pick(rng, "day", "weekday")), ("at", _pick(rng, "time")), ("in", _pick(rng, "year", "month")))),
    "price": lambda rng: ("for", _pick(rng, "price")),
    "reason": lambda rng: ("because of", _pick(rng, "cause", "trouble")),
    "tool": lambda rng: ("with", _object(rng)),
    "company": lambda rng: ("together with", _pick(rng, "full_name", "first_name")),
}  # fmt: skip
ASKED: dict[str, tuple[str, ...]] = {
    "recipient": ("Who did {a} {v} {o} to?", "To whom did {a} {v} {o}?"),
    "place": ("Where did {a} {v} {o}?", "Where was it that {a} {p} {o}?"),
    "time": ("When did {a} {v} {o}?", "When was it that {a} {p} {o}?"),
    "price": ("For how much did {a} {v} {o}?", "How much was it when {a} {p} {o}?"),
    "reason": ("Why did {a} {v} {o}?", "What was the reason that {a} {p} {o}?"),
    "tool": ("With what did {a} {v} {o}?", "What did {a} use to {v} {o}?"),
    "company": ("Together with whom did {a} {v} {o}?", "Who was there too when {a} {p} {o}?"),
    "agent": ("Who {p} {o}?", "Who was it that {p} {o}?"),
    "object": ("What did {a} {v}?", "What was it that {a} {p}?"),
}


def make_scene(rng: random.Random) -> Scene:
    """Make a scene of one to three parts beside agent and object."""
    if rng.random() < 0.15:
        return _there_is(rng)
    agent, thing, (past, plain) = _agent(rng), _object(rng), _verb(rng)
    parts = {name: PARTS[name](rng) for name in rng.sample(list(PARTS), rng.choice((0, 1, 1, 2, 2, 3)))}
    said = [" ".join(part) for part in parts.values()]
    front = said.pop() + ", " if said and rng.random() < 0.25 else ""
    statement = f"{front}{agent} {past} {thing} {' '.join(said)}".rstrip() + "."
    forms = {"a": agent, "v": plain, "p": past, "o": thing}
    open_parts = {name: part for name, (_, part) in parts.items()} | {"agent": agent, "object": thing}
    if agent == "I":
        del open_parts["agent"]
    questions = []
    for name, answer in open_parts.items():
        question = rng.choice(ASKED[name]).format(**forms)
        others = [" ".join(part) for other, part in parts.items() if other != name]
        if others and rng.random() < 0.25:
            question = question.rstrip("?") + f" {rng.choice(others)}?"
        questions.append((_upper(question), answer))
    return Scene(_upper(statement), tuple(questions))


def _there_is(rng: random.Random) -> Scene:
    """Something is somewhere."""
    noun = rng.choice((_pick(rng, "thing_noun", "container"), made_word(rng)))
    adjective, spot = rng.choice(("", f"{_pick(rng, 'adjective')} ")), _pick(rng, "spot")
    article = "an" if (adjective or noun)[0] in "aeiou" else "a"
    statement = rng.choice(
        (
            f"There is {article} {adjective}{noun} {spot}.",
            f"The {adjective}{noun} stands {spot}.",
            f"Look {spot} for the {adjective}{noun}.",
        )
    )
    questions = [
        (
            rng.choice(
                (f"Where is the {noun}?", f"Where is the {adjective}{noun}?", f"Where should I look for the {noun}?")
            ),
            spot,
        )
    ]
    if statement.startswith("There"):
        questions.append((rng.choice((f"What is {spot}?", f"What is there {spot}?")), f"{article} {adjective}{noun}"))
    return Scene(statement, tuple(questions))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
