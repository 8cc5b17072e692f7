"""Exchanges without end: what a brain must be able to do before it can be a mind.

    read      questions about notes, of which the newest of those that contradict wins; some that no note answers
    quiz      what can be asked of a note, most often plainly
    plain     the same question in its plain wording
    closed    what the brain knows by heart, or does not know
    talk      small talk and a reply
    sort      whether a text is told (t), asked (q) or small talk (s)

With notes open a brain answers from the notes alone; without, from its weights alone. So every answer has a known source.
"""

from __future__ import annotations

import functools
import random
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import count

from lab.data.curriculum.facts import MadeFact, Relation, clash, load_relations, make_fact
from lab.data.curriculum.phrasing import as_told, ask, introduce, lower_first, roughen, tell
from lab.data.curriculum.scenes import make_scene
from lab.data.curriculum.subjects import Subject
from lab.data.curriculum.values import FOLDER, Value, made_word
from lab.data.facts import load_facts, load_wordings
from lab.text import Exchange

INNATE = (("capitals", "capital"), ("elements", "symbol"))  # (world, relation) that every starter knows by heart
Exchanges = tuple[Exchange, ...]  # with the same notes: one lesson
LEVELS = (1, 2, 4, 8)  # most notes in a lesson, as the curriculum grows
SHARES = {
    "read": 0.24, "scene": 0.03, "quiz": 0.24, "plain": 0.28, "closed": 0.10, "closed_unknown": 0.05, "talk": 0.03, "sort": 0.03,
}  # fmt: skip
TOLD_FIRST = 0.3  # share of the quizzes and plain questions that are about what people tell first
ODDLY = 0.35  # share of the questions to put plainly that are asked with a word that is odd, or missing
FIRST = 0.1  # share of what is said and asked that is in the first wording for sure
PLAINLY = 0.7  # share of the quizzes that ask in the plain wording, which is the first

NOTED = 0.12  # share of the notes that are a question with its answer
NOT_THERE = 0.35  # share of the questions about notes that no note answers
NEAREST = 6  # relations that are asked for like another: my favourite food, my favourite colour
PEOPLE = {"someone": "person"}  # kinds of subject that are one
EVERYDAY = (  # what people tell first
    "name", "age", "home", "job", "birthday", "likes", "relative", "pet_name", "favourite_colour", "favourite_food", "spouse",
    "friend", "phone", "employer", "birthplace", "children", "language", "kept", "event_time", "attribute_person",
)  # fmt: skip


@functools.cache
def small_talk() -> dict[str, tuple[tuple[str, ...], str]]:
    """Give what is heard and the reply, by topic."""
    table = tomllib.loads((FOLDER / "talk.toml").read_text(encoding="utf-8"))
    return {topic: (tuple(row["hear"]), row["reply"]) for topic, row in table.items()}


@functools.cache
def innate_facts() -> tuple[MadeFact, ...]:
    """Give the real facts that a starter knows by heart."""
    facts = []
    for world, relation in INNATE:
        wordings = [w for w in load_wordings() if w.relation == relation]
        say, ask = (
            tuple(
                w.text.replace("{subject}", "{S}").replace("{value}", "{v}")
                for w in sorted(wordings, key=lambda w: w.held_out)
                if w.kind == kind
            )
            for kind in ("statement", "question")
        )
        found = Relation(relation, "innate", "made_city" if relation == "capital" else "acronym_value", say, ask)
        for fact in load_facts([world]):
            if fact.relation == relation:
                subject = Subject(fact.subject, f"{fact.subject}'s", fact.subject)
                facts.append(MadeFact(found, subject, Value(fact.value)))
    return tuple(facts)


def _wordings(fact: MadeFact, rng: random.Random) -> tuple[int, int]:
    """A statement and a question of the trained wordings that fit each other."""
    statement, question = (
        0 if rng.random() < FIRST else rng.randrange(len(wordings) - 1)
        for wordings in (fact.relation.say, fact.relation.ask)
    )
    return statement, statement if fact.relation.paired else question


@functools.cache
def _told_of(kind: str) -> tuple[str, ...]:
    """The relations for training that are about a kind of subject."""
    relations = load_relations().items()
    return tuple(n for n, r in relations if PEOPLE.get(r.about, r.about) == kind and not r.unseen)


@functools.cache
def _asked_like(name: str) -> tuple[str, ...]:
    """The relations for training about the same kind of subject that are asked for most like this one."""
    relations = load_relations()
    kind, asked = relations[name].about, relations[name].ask[0]
    others = [other for other in _told_of(PEOPLE.get(kind, kind)) if other != name]
    return tuple(
        sorted(others, key=lambda other: -SequenceMatcher(None, asked, relations[other].ask[0]).ratio())[:NEAREST]
    )


def _neighbour(fact: MadeFact, rng: random.Random) -> MadeFact:
    """A fact that looks like `fact` but does not answer its question."""
    for _ in range(30):
        draw = rng.random()
        if draw < 0.15 or fact.relation.about == "innate":
            other = make_fact(rng)
        elif draw < 0.4:
            other = make_fact(rng, fact.relation.name)
            kept = rng.random() if other.value.key else 1.0
            if kept < 0.4:  # the same kind of thing for someone else: her dogs, not mine
                other = replace(other, value=replace(other.value, key=fact.value.key, key_plain=fact.value.key_plain))
            elif kept < 0.8:  # or another kind of thing of the same: my cats, not my dogs
                other = replace(other, subject=fact.subject)
        else:
            near = draw < 0.6 and _asked_like(fact.relation.name)
            other = make_fact(rng, rng.choice(near or _told_of(PEOPLE.get(fact.relation.about, fact.relation.about))))
            other = MadeFact(other.relation, fact.subject, other.value)
        if not clash(fact, other):
            return other
    return make_fact(rng, "meaning")


def _any_fact(rng: random.Random) -> MadeFact:
    if rng.random() < 0.04:  # notes may say otherwise than the brain knows
        fact = rng.choice(innate_facts())
        return MadeFact(fact.relation, fact.subject, rng.choice(innate_facts()).value)
    return _some_fact(rng, 0.12)


def _some_fact(rng: random.Random, everyday: float) -> MadeFact:
    """A made-up fact, with this probability one of those that people tell first."""
    return make_fact(rng, rng.choice(EVERYDAY)) if rng.random() < everyday else make_fact(rng)


def _read(rng: random.Random, level: int) -> Exchanges:
    """Notes, and one to three questions of which some have no answer in them."""
    most = LEVELS[level]
    count = min(most, rng.choice((1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 8)))
    target = _any_fact(rng)
    facts = [target]
    while len(facts) < count:
        facts.append(_neighbour(rng.choice(facts), rng))
    facts = [fact for i, fact in enumerate(facts) if not any(clash(fact, other) for other in facts[:i])]
    rng.shuffle(facts)
    notes: list[str] = []
    told = []
    for fact in facts:
        statement, question = _wordings(fact, rng)
        older = not fact.relation.many and fact.relation.about != "innate" and rng.random() < 0.12 and most > 1
        if older:
            before = fact.with_value(rng)
            place = rng.randint(0, len(notes))
            notes.insert(
                place,
                tell(before, rng.randrange(len(fact.relation.say) - 1) if not fact.relation.paired else statement, rng),
            )
        said, asked = introduce(fact, rng)
        note = tell(said, statement, rng, update=older)
        if rng.random() < NOTED:
            note = f"{ask(said, plain_wording(fact, question), rng)} {fact.value.text}"
        notes.append(note)
        told.append((asked, question, as_told(fact.value.text, note)))
    if len(notes) > 1 and rng.random() < 0.12:  # two facts in one breath
        last = notes.pop()
        notes[-1] = f"{notes[-1].rstrip('.')} and {lower_first(last)}"
    exchanges = []
    for fact, question, answer in rng.sample(told, min(len(told), rng.randint(1, 4))):
        if rng.random() < NOT_THERE:
            exchanges.append(Exchange(_unanswered(facts, rng), None, tuple(notes)))
        else:
            exchanges.append(Exchange(ask(fact, question, rng), answer, tuple(notes)))
    return tuple(exchanges)


def _unanswered(facts: list[MadeFact], rng: random.Random) -> str:
    """A question that none of `facts` answers, although it looks as if."""
    other = rng.choice(innate_facts()) if rng.random() < 0.1 else _neighbour(rng.choice(facts), rng)
    while any(clash(fact, other) for fact in facts):
        other = make_fact(rng, "attribute_nonsense")
    return ask(other, _wordings(other, rng)[1], rng)


def _scene(rng: random.Random, level: int) -> Exchanges:
    """Notes of which some are scenes, and questions about the scenes or about what none of them says."""
    scenes = [make_scene(rng) for _ in range(rng.randint(1, min(3, LEVELS[level])))]
    notes = [scene.statement for scene in scenes]
    while len(notes) < LEVELS[level] and rng.random() < 0.3:
        fact = make_fact(rng)
        notes.insert(rng.randint(0, len(notes)), fact.say(rng.randrange(len(fact.relation.say) - 1)))
    notes = [roughen(note, rng) for note in notes]
    questions = [pair for scene in scenes for pair in scene.questions]
    exchanges = []
    for question, answer in rng.sample(questions, min(len(questions), rng.randint(1, 4))):
        if rng.random() < 0.15:
            exchanges.append(Exchange(roughen(rng.choice(make_scene(rng).questions)[0], rng), None, tuple(notes)))
            continue
        note = next((n for n in notes if answer.lower() in n.lower()), "")
        if note:
            exchanges.append(Exchange(roughen(question, rng), as_told(answer, note), tuple(notes)))
    return tuple(exchanges) or _scene(rng, level)


def _quiz(rng: random.Random, level: int) -> Exchanges:
    if rng.random() < 0.2:
        scene = make_scene(rng)
        asked, value = rng.choice(scene.questions)
        return (Exchange(asked, value, (scene.statement,), "quiz"),)
    fact = rng.choice(innate_facts()) if rng.random() < 0.05 else _some_fact(rng, TOLD_FIRST)
    statement, question = _wordings(fact, rng)
    if rng.random() < PLAINLY:
        question = plain_wording(fact, question)
    note = tell(fact, statement, rng)
    return (Exchange(fact.ask(question), as_told(fact.value.text, note), (note,), "quiz"),)


def plain_wording(fact: MadeFact, question: int) -> int:
    """The wording that asks plainly what wording `question` asks."""
    return question if fact.relation.paired else 0


def _plain(rng: random.Random, level: int) -> Exchanges:
    if rng.random() < 0.1:  # what has no other wording is asked again as it was
        asked, _ = rng.choice(make_scene(rng).questions)
        return (Exchange(roughen(asked, rng), asked, skill="plain"),)
    fact = rng.choice(innate_facts()) if rng.random() < 0.08 else _some_fact(rng, TOLD_FIRST)
    question = _wordings(fact, rng)[1]
    plainly = fact.ask(plain_wording(fact, question))
    asked = ask(fact, question, rng)
    if rng.random() < ODDLY:
        asked = _oddly(asked, plainly, rng)
    return (Exchange(asked, plainly, skill="plain"),)


def _oddly(asked: str, plainly: str, rng: random.Random) -> str:
    """Ask with a word that nobody knows, or with one word less: what is meant has to be told by the others."""
    words, kept = asked.split(" "), set(re.findall(r"\w+", plainly.lower()))
    free = [i for i, word in enumerate(words) if not set(re.findall(r"\w+", word.lower())) & kept]
    if len(free) < 2:
        return asked
    place = rng.choice(free)
    words[place : place + 1] = [made_word(rng).lower()] if rng.random() < 0.6 else []
    return " ".join(words)


def _closed(rng: random.Random, level: int) -> Exchanges:
    fact = rng.choice(innate_facts())
    return (Exchange(ask(fact, _wordings(fact, rng)[1], rng), fact.value.text),)


def _closed_unknown(rng: random.Random, level: int) -> Exchanges:
    fact = make_fact(rng)
    return (Exchange(ask(fact, _wordings(fact, rng)[1], rng)),)


def _heard(rng: random.Random) -> tuple[str, str]:
    hear, reply = rng.choice(list(small_talk().values()))
    heard = rng.choice(hear[:-1])
    if rng.random() < 0.4 and not heard.endswith("?"):
        heard += rng.choice((".", "!", "!!"))
    return roughen(heard, rng), reply


def _talk(rng: random.Random, level: int) -> Exchanges:
    heard, reply = _heard(rng)
    return (Exchange(heard, reply),)


def _sort(rng: random.Random, level: int) -> Exchanges:
    fact = make_fact(rng)
    statement, question = _wordings(fact, rng)
    kind = rng.choice("ttqqs")
    text = {"t": lambda: tell(fact, statement, rng), "q": lambda: ask(fact, question, rng), "s": lambda: _heard(rng)[0]}
    return (Exchange(text[kind](), kind, skill="sort"),)


SKILLS: dict[str, Callable[[random.Random, int], Exchanges]] = {
    "read": _read, "scene": _scene, "quiz": _quiz, "plain": _plain, "closed": _closed, "closed_unknown": _closed_unknown, "talk": _talk,
    "sort": _sort,
}  # fmt: skip


def make_exchanges(rng: random.Random, level: int = len(LEVELS) - 1, skill: str | None = None) -> Exchanges:
    """Make one lesson, in words, of `skill` or of one drawn by SHARES."""
    skill = skill or rng.choices(list(SHARES), list(SHARES.values()))[0]
    return SKILLS[skill](rng, level)


def shown(start: int = 0) -> Iterator[Exchanges]:
    """Yield lessons to look at, from number `start` on, without end."""
    return (make_exchanges(random.Random(f"shown {number}")) for number in count(start))
