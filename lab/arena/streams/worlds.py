"""Streams of real facts, asked in words. Of a fact's eight wordings six are learnt, one is for tuning, and one only scores.

Which is which turns from fact to fact: a brain that begins with nothing cannot understand a wording that it never met, but
it can have understood one that it met with other facts. So a score tells knowing a fact from reciting a sentence.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import replace

from lab.arena.streams.tasks import Example, Task
from lab.data.facts import Fact, Wording, load_facts, load_wordings

SHARED = "arithmetic"  # a world of which a quarter of the subjects is for tuning
LEARNT, TUNED, SCORED = slice(0, 6), slice(6, 7), slice(7, 8)  # of a fact's wordings, in its own order


def _questions() -> dict[str, list[Wording]]:
    found: dict[str, list[Wording]] = {}
    for wording in load_wordings():
        if wording.kind == "question":
            found.setdefault(wording.relation, []).append(wording)
    return found


def task_of(name: str, facts: Sequence[Fact], stale: Sequence[Fact] = ()) -> Task:
    """Make a task of facts; `stale` are facts that are no longer so."""
    questions = _questions()

    def asked(some: Sequence[Fact], which: slice) -> tuple[Example, ...]:
        examples = []
        for i, fact in enumerate(some):
            wordings = questions[fact.relation]
            turned = [*wordings[i % len(wordings) :], *wordings[: i % len(wordings)]]
            examples += [Example(wording.render(fact), fact.value) for wording in turned[which]]
        return tuple(examples)

    return Task(name, asked(facts, LEARNT), asked(facts, TUNED), asked(facts, SCORED), asked(stale, SCORED))


def _some(rng: random.Random, world: str, count: int, *relations: str, tuned: bool = False) -> list[Fact]:
    facts = [fact for fact in load_facts([world]) if not relations or fact.relation in relations]
    if world == SHARED:
        facts = [fact for fact in facts if (zlib.crc32(fact.subject.encode()) % 4 == 0) == tuned]
    return rng.sample(facts, min(count, len(facts)))


def mind_test(count: int, seed: int) -> list[Task]:
    """Animals, then arithmetic: the two subjects of the project's first promise."""
    rng = random.Random(f"mind-test {seed}")
    return [task_of(world, _some(rng, world, count)) for world in ("animals", "arithmetic")]


def worlds_5(count: int, seed: int) -> list[Task]:
    """Five domains with nothing in common."""
    rng = random.Random(f"worlds-5 {seed}")
    return [
        task_of("animals", _some(rng, "animals", count)), task_of("arithmetic", _some(rng, "arithmetic", count)),
        task_of("capitals", _some(rng, "capitals", count)), task_of("elements", _some(rng, "elements", count, "symbol")),
        task_of("words", _some(rng, "words", count)),
    ]  # fmt: skip


def same_subjects(count: int, seed: int) -> list[Task]:
    """The symbols of some elements, then the atomic numbers of the same ones: cues that overlap."""
    rng = random.Random(f"same-subjects {seed}")
    symbols = _some(rng, "elements", count, "symbol")
    chosen = {fact.subject for fact in symbols}
    numbers = [f for f in load_facts(["elements"]) if f.relation == "atomic_number" and f.subject in chosen]
    return [task_of("symbols", symbols), task_of("numbers", numbers)]


def updates(count: int, seed: int) -> list[Task]:
    """The same cues with new values: capitals, and then every one of them moves to another city."""
    rng = random.Random(f"updates {seed}")
    before = _some(rng, "capitals", count)
    turn = rng.randrange(1, len(before))
    after = [replace(fact, value=before[(i + turn) % len(before)].value) for i, fact in enumerate(before)]
    return [task_of("first capitals", before), task_of("new capitals", after, stale=before)]


def tuning(count: int, seed: int) -> list[Task]:
    """Facts that no other stream has: for settings, never for a verdict."""
    rng = random.Random(f"tuning {seed}")
    return [task_of("states", _some(rng, "states", count)), task_of(SHARED, _some(rng, SHARED, count, tuned=True))]
