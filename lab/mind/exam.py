"""The exam: what a mind made from a brain can really do, on facts and wordings that no brain was trained on.

Answers from the weights are free-running and greedy, to several readings of a question that vote (Asking), those from a note
the likeliest of its words (Skills.read); right is only what equals the value (case and a first article aside).
Facts come from seeds that training never uses. Each figure has a 95% Wilson interval. Controls stand beside it.
"""

from __future__ import annotations

import json
import math
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.config import MindConfig
from lab.data.curriculum.facts import MadeFact, clash, make_fact
from lab.data.curriculum.lessons import innate_facts
from lab.events import NightEnded
from lab.mind.mind import Mind
from lab.mind.replies import Answer, Taught

FURTHER_NIGHTS, FACTS_A_NIGHT = 5, 20
PLAIN, HELD_OUT = 0, -1  # wordings: the first, and the last, which is never trained on


@dataclass(frozen=True)
class Measure:
    """One line of the exam: `right` of `of`, or with `of` 0 a plain number; `goal` is None for a control."""

    brain: str
    name: str
    right: int
    of: int
    goal: float | None = None
    at_most: bool = False

    @property
    def share(self) -> float:
        return self.right / self.of if self.of else float(self.right)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval; of a plain number only itself."""
        if not self.of:
            return self.share, self.share
        n, p, z = max(1, self.of), self.share, 1.96
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.share <= self.goal if self.at_most else self.share >= self.goal


def facts_for_exam(
    seed: str, count: int, *, unseen: bool | None = None, taught: Sequence[MadeFact] = ()
) -> list[MadeFact]:
    """Make `count` facts that clash neither with each other nor with those `taught`; `unseen` None takes relations of both
    kinds."""
    rng = random.Random(f"exam {seed}")
    found: list[MadeFact] = []
    while len(found) < count:
        fact = make_fact(rng, unseen=rng.random() < 0.15 if unseen is None else unseen)
        if not any(clash(fact, other) or clash(other, fact) for other in (*taught, *found)):
            found.append(fact)
    return found


def right(answer: str | None, value: str) -> bool:
    """Exact match as is usual for answers (SQuAD): small and capital letters, a first article and a last stop aside."""
    return answer is not None and _bare(answer) == _bare(value)


def _bare(text: str) -> str:
    return re.sub(r"^(a|an|the) ", "", text.strip().lower()).rstrip(".")


class Exam:
    """One brain's exam; `run` yields its measures as they are taken."""

    def __init__(self, brain: str, home: Path, config: MindConfig, *, facts: int = 200, seed: str = "1") -> None:
        self.brain, self.home, self.facts, self.seed = brain, home, facts, seed
        self.config = replace(config, auto_sleep=False)

    def run(self, parts: Sequence[str] = ()) -> Iterator[Measure]:
        """Yield all measures, or those of the named parts."""
        for name, part in self.parts().items():
            if not parts or name in parts:
                yield from part()

    def parts(self) -> dict[str, Callable[[], Iterator[Measure]]]:
        return {
            "notes": self.notes, "many": self.many, "night30": lambda: self.night(30, 0.95, 0.80),
            "night200": lambda: self.night(self.facts, 0.90, 0.70), "nights": self.nights, "update": self.update,
            "forget": self.forget, "freeform": self.freeform, "naive": self.naive,
        }  # fmt: skip

    def _mind(self, name: str, config: MindConfig | None = None) -> Mind:
        return Mind.create(f"{name}-{len(list(self.home.glob('*')))}", self.brain, self.home, config or self.config)

    def _measure(self, name: str, hits: Sequence[bool], goal: float | None = None, *, at_most: bool = False) -> Measure:
        return Measure(self.brain, name, sum(hits), len(hits), goal, at_most)

    # ---- parts ------------------------------------------------------------------------------------------------

    def notes(self) -> Iterator[Measure]:
        """A mind with a single note, asked in notes mode; beside it its reader alone, which knows no belief in a note."""
        with self._mind("notes") as mind:
            for unseen, goal, name in ((False, 0.98, "held-out wording"), (True, 0.90, "held-out relation")):
                facts = facts_for_exam(f"{self.seed} one {unseen}", self.facts, unseen=unseen)
                wording = PLAIN if unseen else HELD_OUT
                answers = []
                for fact in facts:
                    mind.teach(fact.say(wording))
                    answers.append(mind.ask(fact.ask(wording), "notes").text)
                    mind.undo()
                replies = mind.skills.answer([f.ask(wording) for f in facts], [[f.say(wording)] for f in facts])
                for title, said, least in (
                    (f"one note, {name}", answers, goal),
                    (f"control: one note, {name}, reader alone", [r.text for r in replies], None),
                ):
                    hits = [right(text, f.value.text) for text, f in zip(said, facts, strict=True)]
                    yield self._measure(title, hits, least)
            replies = mind.skills.answer([f.ask(PLAIN) for f in facts])
            yield self._measure(
                "control: no memory", [right(r.text, f.value.text) for r, f in zip(replies, facts, strict=True)]
            )

    def many(self) -> Iterator[Measure]:
        """Finding and reading among many notes, and saying that one does not know."""
        facts = facts_for_exam(f"{self.seed} many", 2 * self.facts)
        known, untold = facts[: self.facts], facts[self.facts :]
        with self._mind("many") as mind:
            told = [f.say(random.Random(i).randrange(3)) for i, f in enumerate(known)]
            for text in told:
                mind.teach(text)
            answers = [mind.ask(f.ask(HELD_OUT), "notes") for f in known]
            yield self._measure(
                f"{self.facts} traces, held-out wording",
                [right(a.text, f.value.text) for a, f in zip(answers, known, strict=True)],
                0.95,
            )
            plain = [mind.ask(f.ask(PLAIN), "both") for f in known]
            yield self._measure(
                f"{self.facts} traces, plain wording",
                [right(a.text, f.value.text) for a, f in zip(plain, known, strict=True)],
                0.95,
            )
            yield self._measure("abstains on taught", [a.source == "unknown" for a in plain], 0.05, at_most=True)
            asked = [mind.ask(f.ask(PLAIN)) for f in untold]
            yield self._measure("abstains on untaught", [a.source == "unknown" for a in asked], 0.90)
            stated = set(told)
            yield Measure(
                self.brain,
                "stored but not stated",
                sum(t.text not in stated for t in mind.traces(all=True)),
                len(told),
                0.0,
                True,
            )
            found = [[told[i] for i in bm25(told, f.ask(PLAIN), 4)] for f in known]
            replies = mind.skills.answer([f.ask(PLAIN) for f in known], found)
            yield self._measure(
                "control: BM25 over raw turns, same reader",
                [right(r.text, f.value.text) for r, f in zip(replies, known, strict=True)],
            )
            few = known[: max(1, self.facts // 8)]
            replies = mind.skills.write([f.ask(PLAIN) for f in few], [told] * len(few))
            yield self._measure(
                "control: all notes in context",
                [right(r.text, f.value.text) for r, f in zip(replies, few, strict=True)],
            )

    def night(self, count: int, taught: float, other: float) -> Iterator[Measure]:
        """Answers from the weights alone after one night, and what the night cost."""
        facts = facts_for_exam(f"{self.seed} night {count}", count)
        with self._mind(f"night{count}") as mind:
            before = self._knows(mind)
            read_before = self._reads(mind)
            for fact in facts:
                mind.teach(fact.say(PLAIN), question=fact.ask(PLAIN), answer=fact.value.text)
            ended = _sleep(mind)
            yield Measure(
                self.brain,
                f"seconds of a night with {count} facts",
                round(ended.seconds),
                0,
                60 if count <= 30 else None,
                True,
            )
            yield self._weights(mind, facts, PLAIN, f"weights only, {count} facts, as taught", taught)
            yield self._weights(mind, facts, HELD_OUT, f"weights only, {count} facts, other wording", other)
            asked = facts_for_exam(f"{self.seed} untold {count}", 200, taught=facts)
            answers = [mind.ask(f.ask(PLAIN), "weights") for f in asked]
            yield self._measure(
                f"weights only, {count} facts, abstains on untaught", [not a.known for a in answers], 0.90
            )
            yield self._lost(f"innate facts lost by a night of {count}", before, self._knows(mind), 0.02)
            yield self._lost(f"reading lost by a night of {count}", read_before, self._reads(mind), 0.01)

    def nights(self) -> Iterator[Measure]:
        """What many nights cost, and whether the first night's facts outlive them."""
        with self._mind("nights") as mind:
            before, first = self._knows(mind), list[MadeFact]()
            for number in range(1 + FURTHER_NIGHTS):
                facts = facts_for_exam(f"{self.seed} nights {number}", FACTS_A_NIGHT)
                first = first or facts
                for fact in facts:
                    mind.teach(fact.say(PLAIN), question=fact.ask(PLAIN), answer=fact.value.text)
                _sleep(mind)
            yield self._lost("innate facts lost by six nights", before, self._knows(mind), 0.05)
            yield self._weights(mind, first, PLAIN, "first night's facts after six nights, weights only", None)

    def update(self) -> Iterator[Measure]:
        """New answers in the place of old ones, and answers that were called wrong."""
        pairs = [f for f in facts_for_exam(f"{self.seed} update", 120) if not f.relation.many][:60]
        rng = random.Random(f"update {self.seed}")
        changed = [fact.with_value(rng) for fact in pairs]
        with self._mind("update") as mind:
            for fact in pairs:
                mind.teach(fact.say(PLAIN))
            _sleep(mind)
            for fact in changed:
                mind.teach(fact.say(1))
            _sleep(mind)
            for memory in ("both", "weights"):
                answers = [mind.ask(f.ask(PLAIN), memory) for f in changed]
                yield self._measure(
                    f"update, new answer given ({memory})",
                    [right(a.text, f.value.text) for a, f in zip(answers, changed, strict=True)],
                    0.95,
                )
                yield self._measure(
                    f"update, old answer leaks ({memory})",
                    [right(a.text, f.value.text) for a, f in zip(answers, pairs, strict=True)],
                    0.02,
                    at_most=True,
                )

    def forget(self) -> Iterator[Measure]:
        """Facts that were to be forgotten, and answers that were called wrong."""
        facts = facts_for_exam(f"{self.seed} forget", 40)
        gone, wrong = facts[:20], facts[20:]
        with self._mind("forget") as mind:
            made = [mind.teach(fact.say(PLAIN)).traces[0] for fact in facts]
            _sleep(mind)
            for trace in made[:20]:
                mind.forget(trace.id)
            repeats = []
            for fact in wrong:
                answer = mind.ask(fact.ask(PLAIN))
                if answer.known:
                    mind.feedback(answer, "wrong")
                    repeats += [right(mind.ask(fact.ask(wording)).text, answer.text) for wording in (PLAIN, 1)]
            yield self._measure("repeats an answer marked wrong", repeats, 0.05, at_most=True)
            _sleep(mind)
            for memory in ("both", "weights"):
                answers = [mind.ask(f.ask(PLAIN), memory) for f in gone]
                yield self._measure(
                    f"forgotten, no longer answered ({memory})",
                    [not right(a.text, f.value.text) for a, f in zip(answers, gone, strict=True)],
                    0.90,
                )

    def freeform(self) -> Iterator[Measure]:
        """Sentences as people type them: each told, then asked in one mind that remembers all before."""
        path = Path(__file__).resolve().parents[2] / "tests" / "freeform.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        hits, sorted_right = [], []
        with self._mind("freeform") as mind:
            for row in rows:
                heard = mind.say(row["say"])
                sorted_right.append(isinstance(heard, Taught))
                if not isinstance(heard, Taught):
                    mind.teach(row["say"])
                answer = mind.say(row["ask"])
                hits.append(isinstance(answer, Answer) and any(right(answer.text, value) for value in row["answers"]))
        if rows:
            yield self._measure("free-form sentences answered", hits, 0.85)
            yield self._measure("free-form statements taken as told", sorted_right)

    def naive(self) -> Iterator[Measure]:
        """Control: the same night without dreams."""
        facts = facts_for_exam(f"{self.seed} night 30", 30)
        with self._mind("naive", replace(self.config, dreams=0, retention_drop=1.0)) as mind:
            before = self._knows(mind)
            for fact in facts:
                mind.teach(fact.say(PLAIN))
            _sleep(mind)
            yield self._weights(mind, facts, PLAIN, "control: naive finetuning, 30 facts, as taught", None)
            yield self._lost("control: naive finetuning, innate facts lost", before, self._knows(mind), None)

    # ---- yardsticks -------------------------------------------------------------------------------------------

    def _weights(self, mind: Mind, facts: Sequence[MadeFact], wording: int, name: str, goal: float | None) -> Measure:
        answers = [mind.ask(f.ask(wording), "weights") for f in facts]
        return self._measure(name, [right(a.text, f.value.text) for a, f in zip(answers, facts, strict=True)], goal)

    def _knows(self, mind: Mind) -> list[bool]:
        facts = innate_facts()
        replies = mind.skills.answer([f.ask(PLAIN) for f in facts])
        return [right(r.text, f.value.text) for r, f in zip(replies, facts, strict=True)]

    def _reads(self, mind: Mind) -> list[bool]:
        facts = facts_for_exam(f"{self.seed} reading", 400, unseen=False)
        replies = mind.skills.answer([f.ask(1) for f in facts], [[f.say(1)] for f in facts])
        return [right(r.text, f.value.text) for r, f in zip(replies, facts, strict=True)]

    def _lost(self, name: str, before: list[bool], after: list[bool], goal: float | None) -> Measure:
        """The share of all that was known before and is known no more, less what was won: a difference of shares."""
        return Measure(self.brain, name, max(0, sum(before) - sum(after)), len(before), goal, True)


def _sleep(mind: Mind) -> NightEnded:
    *_, ended = mind.sleep()
    assert isinstance(ended, NightEnded)
    return ended


def bm25(texts: Sequence[str], query: str, count: int) -> list[int]:
    """The `count` texts that Okapi BM25 (k1 1.2, b 0.75) ranks highest, in their own order."""
    split = [re.findall(r"\w+", text.lower()) for text in texts]
    mean = sum(map(len, split)) / len(split)
    frequency = Counter(word for words in split for word in set(words))
    scores = []
    for words in split:
        counts, score = Counter(words), 0.0
        for word in re.findall(r"\w+", query.lower()):
            rarity = math.log(1 + (len(split) - frequency[word] + 0.5) / (frequency[word] + 0.5))
            score += rarity * counts[word] * 2.2 / (counts[word] + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores.append(score)
    return sorted(sorted(range(len(texts)), key=lambda i: -scores[i])[:count])


def take_exam(
    brains: Sequence[str], config: MindConfig, *, facts: int = 200, seed: str = "1", parts: Sequence[str] = ()
) -> Iterator[Measure]:
    """Examine each brain in minds of its own, which are thrown away."""
    for brain in brains:
        with tempfile.TemporaryDirectory() as folder:
            yield from Exam(brain, Path(folder) / "minds", config, facts=facts, seed=seed).run(parts)
