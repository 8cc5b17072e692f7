"""The exam: what a mind made from a brain can really do, on facts and wordings that no brain was trained on.

Answers from the weights are free-running and greedy, to several readings of a question that vote (Asking), those from a note
the likeliest of its words (Reader.read); right is only what equals the value (case and a first article aside).
Facts come from seeds that training never uses. Each figure has a 95% Wilson interval. Controls stand beside it.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab.config import ConfigError, MindConfig
from lab.data.curriculum.facts import MadeFact
from lab.data.curriculum.lessons import innate_facts
from lab.events import NightEnded
from lab.exam.measure import HELD_OUT, PLAIN, Measure, all_right, bm25, facts_for_exam, right
from lab.mind import Answer, Mind, Taught
from lab.mind import brains as starters

FACTS = 200  # of each measure, in what is published
FURTHER_NIGHTS, FACTS_A_NIGHT = 5, 20
FREEFORM = Path(__file__).resolve().parents[2] / "tests" / "freeform.jsonl"


class Exam:
    """One brain's exam; `run` yields its measures as they are taken."""

    def __init__(self, brain: str, home: Path, config: MindConfig, *, facts: int = FACTS, seed: str = "1") -> None:
        self.brain, self.home, self.facts, self.seed = brain, home, facts, seed
        self.config = replace(config, auto_sleep=False)

    def run(self, parts: Sequence[str] = ()) -> Iterator[Measure]:
        """Yield all measures, or those of the named parts. Raises ConfigError for an unknown part, and where one lacks its file."""
        for name in check_parts(parts):
            yield from PARTS[name](self)

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
                yield self._measure(f"one note, {name}", all_right(answers, facts), goal)
                hits = _read(mind, facts, wording, [[fact.say(wording)] for fact in facts])
                yield self._measure(f"control: one note, {name}, reader alone", hits)
            yield self._measure("control: no memory", _read(mind, facts, PLAIN))

    def many(self) -> Iterator[Measure]:
        """Finding and reading among many notes, and saying that one does not know."""
        facts = facts_for_exam(f"{self.seed} many", 2 * self.facts)
        known, untold = facts[: self.facts], facts[self.facts :]
        with self._mind("many") as mind:
            notes = [f.say(random.Random(i).randrange(3)) for i, f in enumerate(known)]
            for text in notes:
                mind.teach(text)
            answers = _ask(mind, known, HELD_OUT, "notes")
            yield self._measure(f"{self.facts} traces, held-out wording", _hits(answers, known), 0.95)
            plain = _ask(mind, known, PLAIN)
            yield self._measure(f"{self.facts} traces, plain wording", _hits(plain, known), 0.95)
            yield self._measure("abstains on taught", [a.source == "unknown" for a in plain], 0.05, at_most=True)
            asked = _ask(mind, untold, PLAIN)
            yield self._measure("abstains on untaught", [a.source == "unknown" for a in asked], 0.90)
            stated = set(notes)
            not_stated = sum(trace.text not in stated for trace in mind.traces(all=True))
            yield Measure(self.brain, "stored but not stated", not_stated, len(notes), 0.0, True)
            ranked = bm25(notes, [f.ask(PLAIN) for f in known], 4)
            hits = _read(mind, known, PLAIN, [[notes[i] for i in best] for best in ranked])
            yield self._measure("control: BM25 over raw turns, same reader", hits)
            few = known[: max(1, self.facts // 8)]
            replies = mind.reader.write([f.ask(PLAIN) for f in few], [notes] * len(few))
            yield self._measure("control: all notes in context", all_right([r.text for r in replies], few))

    def night(self, count: int, taught: float, other: float) -> Iterator[Measure]:
        """Answers from the weights alone after one night, and what the night cost."""
        facts = facts_for_exam(f"{self.seed} night {count}", count)
        with self._mind(f"night{count}") as mind:
            before, read_before = self._knows(mind), self._reads(mind)
            _teach(mind, facts)
            seconds, most = round(_sleep(mind).seconds), 60 if count <= 30 else None
            yield Measure(self.brain, f"seconds of a night with {count} facts", seconds, 0, most, True)
            yield self._weights(mind, facts, PLAIN, f"weights only, {count} facts, as taught", taught)
            yield self._weights(mind, facts, HELD_OUT, f"weights only, {count} facts, other wording", other)
            answers = _ask(mind, facts_for_exam(f"{self.seed} untold {count}", 200, taught=facts), PLAIN, "weights")
            name = f"weights only, {count} facts, abstains on untaught"
            yield self._measure(name, [not answer.known for answer in answers], 0.90)
            yield from self._changed(f"innate facts {{}} by a night of {count}", before, self._knows(mind), 0.02)
            yield from self._changed(f"reading {{}} by a night of {count}", read_before, self._reads(mind), 0.01)

    def nights(self) -> Iterator[Measure]:
        """What many nights cost, and whether the first night's facts outlive them."""
        with self._mind("nights") as mind:
            before = self._knows(mind)
            days = [facts_for_exam(f"{self.seed} nights {n}", FACTS_A_NIGHT) for n in range(1 + FURTHER_NIGHTS)]
            for facts in days:
                _teach(mind, facts)
                _sleep(mind)
            yield from self._changed("innate facts {} by six nights", before, self._knows(mind), 0.05)
            yield self._weights(mind, days[0], PLAIN, "first night's facts after six nights, weights only", None)

    def update(self) -> Iterator[Measure]:
        """New answers in the place of old ones, and answers that were called wrong."""
        pairs = [f for f in facts_for_exam(f"{self.seed} update", 120) if not f.relation.many][:60]
        rng = random.Random(f"update {self.seed}")
        changed = [fact.with_value(rng) for fact in pairs]
        with self._mind("update") as mind:
            for wording, facts in ((PLAIN, pairs), (1, changed)):
                for fact in facts:
                    mind.teach(fact.say(wording))
                _sleep(mind)
            for memory in ("both", "weights"):
                answers = _ask(mind, changed, PLAIN, memory)
                yield self._measure(f"update, new answer given ({memory})", _hits(answers, changed), 0.95)
                yield self._measure(f"update, old answer leaks ({memory})", _hits(answers, pairs), 0.02, at_most=True)

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
                hits = _hits(_ask(mind, gone, PLAIN, memory), gone)
                yield self._measure(f"forgotten, no longer answered ({memory})", [not hit for hit in hits], 0.90)

    def freeform(self) -> Iterator[Measure]:
        """Sentences as people type them: each told, then asked in one mind that remembers all before."""
        rows = [json.loads(line) for line in FREEFORM.read_text("utf-8").splitlines()]
        hits, sorted_right = [], []
        with self._mind("freeform") as mind:
            for row in rows:
                heard = mind.say(row["say"])
                sorted_right.append(isinstance(heard, Taught))
                if not isinstance(heard, Taught):
                    mind.teach(row["say"])
                answer = mind.say(row["ask"])
                hits.append(isinstance(answer, Answer) and any(right(answer.text, value) for value in row["answers"]))
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
            yield from self._changed("control: naive finetuning, innate facts {}", before, self._knows(mind), None)

    # ---- yardsticks -------------------------------------------------------------------------------------------

    def _weights(self, mind: Mind, facts: Sequence[MadeFact], wording: int, name: str, goal: float | None) -> Measure:
        return self._measure(name, _hits(_ask(mind, facts, wording, "weights"), facts), goal)

    def _knows(self, mind: Mind) -> list[bool]:
        return _read(mind, innate_facts(), PLAIN)

    def _reads(self, mind: Mind) -> list[bool]:
        facts = facts_for_exam(f"{self.seed} reading", 400, unseen=False)
        return _read(mind, facts, 1, [[fact.say(1)] for fact in facts])

    def _changed(self, name: str, before: list[bool], after: list[bool], goal: float | None) -> Iterator[Measure]:
        """Of all that was asked, what was known before and is not after, as lost, and beside it the reverse, as won."""
        pairs = [*zip(before, after, strict=True)]
        lost = [known and not known_after for known, known_after in pairs]
        yield self._measure(name.format("lost"), lost, goal, at_most=True)
        yield self._measure(name.format("won"), [known_after and not known for known, known_after in pairs])


PARTS: dict[str, Callable[[Exam], Iterator[Measure]]] = {
    "notes": Exam.notes, "many": Exam.many, "night30": lambda exam: exam.night(30, 0.95, 0.80),
    "night200": lambda exam: exam.night(exam.facts, 0.90, 0.70), "nights": Exam.nights, "update": Exam.update,
    "forget": Exam.forget, "freeform": Exam.freeform, "naive": Exam.naive,
}  # fmt: skip


def check_parts(parts: Sequence[str]) -> list[str]:
    """The parts named, all where none is. Raises ConfigError for an unknown one, and where freeform lacks its sentences."""
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"parts must be some of {', '.join(PARTS)}; got {part!r}.", "parts")
    chosen = [name for name in PARTS if not parts or name in parts]
    if "freeform" in chosen and not (FREEFORM.is_file() and FREEFORM.stat().st_size):
        rule = f"the part freeform must have its sentences in {FREEFORM}; there are none"
        raise ConfigError(f"{rule}. Put it back, or name other parts with --parts.", "parts")
    return chosen


def check_whole(brains: Sequence[str], parts: Sequence[str], facts: int) -> None:
    """Raises ConfigError unless an exam is all that is published: its table replaces the one that stands there."""
    if {*check_parts(parts)} == {*PARTS} and {*brains} == {*starters()} and facts == FACTS:
        return
    rule = f"results must be of all parts, all starters ({', '.join(starters())}) and {FACTS} facts, since they replace those published"
    got = f"{', '.join(parts) or 'all parts'} of {', '.join(brains)} with {facts} facts"
    raise ConfigError(f"{rule}; got {got}. Leave out --parts, --brains and --facts, or leave out --results.", "results")


def _teach(mind: Mind, facts: Sequence[MadeFact]) -> None:
    for fact in facts:
        mind.teach(fact.say(PLAIN), question=fact.ask(PLAIN), answer=fact.value.text)


def _sleep(mind: Mind) -> NightEnded:
    *_, ended = mind.sleep()
    assert isinstance(ended, NightEnded)
    return ended


def _ask(mind: Mind, facts: Sequence[MadeFact], wording: int, memory: str = "both") -> list[Answer]:
    return [mind.ask(fact.ask(wording), memory) for fact in facts]


def _hits(answers: Sequence[Answer], facts: Sequence[MadeFact]) -> list[bool]:
    return all_right([answer.text for answer in answers], facts)


def _read(
    mind: Mind, facts: Sequence[MadeFact], wording: int, notes: Sequence[Sequence[str]] | None = None
) -> list[bool]:
    """Whether the reader alone answers rightly, from notes that are laid before it or from its weights."""
    replies = mind.reader.answer([fact.ask(wording) for fact in facts], notes)
    return all_right([reply.text for reply in replies], facts)


def take_exam(
    brains: Sequence[str], config: MindConfig, *, facts: int = FACTS, seed: str = "1", parts: Sequence[str] = ()
) -> Iterator[Measure]:
    """Examine each brain in minds of its own, which are thrown away."""
    for brain in brains:
        with tempfile.TemporaryDirectory() as folder:
            yield from Exam(brain, Path(folder) / "minds", config, facts=facts, seed=seed).run(parts)
