"""What sleep does to a brain, phase by phase: on a dictionary, and one short night of a tiny brain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.config import FAMILIES, MindConfig
from lab.events import ByHeart, Dreamt, NightEnded, NightEvent, NightStep, Phase, Quizzed, TraceAudited
from lab.learning import Dream, Progress, alter
from lab.mind import Mind
from lab.mind.night import Agenda, BrainLearner, Due, make_lessons, sleep
from lab.mind.night.retention import hold_to
from lab.mind.night.sleep import OLD_LESSONS, _divide, _newest
from lab.mind.reader import MarksReader, Pair, Reply
from lab.models import add_memory, build
from lab.models.checkpoint import load_brain
from lab.text import LAB, Exchange
from tests.conftest import tiny_mind
from tests.dictionary import Dictionary, DictionaryLearner
from tests.test_text import Table

CONFIG = MindConfig(night_steps=24, quizzes=2)
KNOWN = {f"What is thing {number}?": f"value {number}" for number in range(12)}
DUE = (
    Due(1, "My name is Alice."),
    Due(2, "My home is Oslo.", (("Where do I live?", "Oslo"),)),
    Due(3, "Nothing at all"),
)


def night(learner: DictionaryLearner, agenda: Agenda, config: MindConfig = CONFIG) -> list[NightEvent]:
    return list(sleep(learner, agenda, config, seed=1))


def the(kind: type, events: Sequence[NightEvent]) -> NightEvent:
    (one,) = (event for event in events if isinstance(event, kind))
    return one


def test_a_night_goes_through_its_phases_and_tells_each() -> None:
    """Questions, dreams, lessons, rehearsal, audits; every trace due is quizzed, and each that has a question is asked."""
    learner = DictionaryLearner(KNOWN)
    events = night(learner, Agenda(DUE, by_heart=tuple(KNOWN.items())))
    phases = [event.doing for event in events if isinstance(event, Phase)]
    assert phases == ["asking itself", "dreaming", "learning by heart", "rehearsing dreams"]
    quizzed = {event.trace: event.pairs for event in events if isinstance(event, Quizzed)}
    assert quizzed[1] == [["What is my name?", "Alice"]] and quizzed[2][0] == ["Where do I live?", "Oslo"]
    assert quizzed[3] == []
    audits = [event for event in events if isinstance(event, TraceAudited)]
    assert [(one.trace, one.passed, one.passed_before) for one in audits] == [(1, True, False), (2, True, False)]
    ended = events[-1]
    assert isinstance(ended, NightEnded) and ended.kept and not ended.cancelled
    assert (ended.recall_before, ended.recall_after, ended.retained) == (0.0, 1.0, 1.0)
    assert learner.after.learnt.items() >= {**KNOWN, "What is my name?": "Alice", "Where do I live?": "Oslo"}.items()
    assert learner.before.learnt == KNOWN, "it is read as it was all night"
    seconds = [event.seconds for event in events if isinstance(event, Phase | NightStep | Dreamt | NightEnded)]
    assert seconds == sorted(seconds)


def test_a_lesson_is_what_the_note_itself_answers() -> None:
    """What was taught is learnt as it stands; of the brain's own questions those that it answers alike from the note without doubt."""
    reader, draws = Dictionary(), torch.Generator()
    drawn: list[Pair] = [("What is my name?", "Alice"), ("Who is it?", ""), ("What is my name now?", "Bob")]
    reader.quiz = lambda notes, count, draws: [[*drawn]]  # type: ignore[method-assign]
    (due, *_) = DUE
    assert make_lessons(reader, [due], CONFIG, draws) == {1: [("What is my name?", "Alice")]}
    doubtful = [Reply("Alice", 1.0, 0.31)]
    reader.answer = lambda questions, notes=None: doubtful * len(questions)  # type: ignore[method-assign]
    assert make_lessons(reader, [due], CONFIG, draws) == {1: []}
    taught = replace(due, asked=(("Who am I?", "somebody"),))
    assert make_lessons(reader, [taught], CONFIG, draws)[1][0] == ("Who am I?", "somebody")


def test_what_two_traces_answer_is_learnt_from_the_later() -> None:
    """Two answers to one question are never learnt in one night."""
    found = _newest({2: [("where is it?", "there"), ("Who?", "Ida")], 1: [("Where is it?", "here"), ("When?", "now")]})
    assert found == {2: [("where is it?", "there"), ("Who?", "Ida")], 1: [("When?", "now")]}


def test_an_audit_asks_in_words_that_were_not_trained_where_there_are_enough() -> None:
    """Of three questions or more one is kept back; of fewer all are learnt."""
    three, two = [("a", "1"), ("b", "1"), ("c", "1")], [("d", "2"), ("e", "2")]
    taught, audits = _divide({1: three, 2: two, 3: []}, DUE)
    assert taught == {1: three[:2], 2: two} and audits == {1: three[2], 2: two[1]}


def test_a_night_learns_what_earlier_nights_taught_and_unlearns_what_is_wrong() -> None:
    """Kept lessons are rehearsed unless tonight says otherwise, at most so many; what is unlearnt is not known after."""
    learner = DictionaryLearner({"Who is boss?": "Max", "What is my name?": "Ann"})
    kept = (
        ("What is my dog?", "Rex"),
        ("what is my NAME?", "Ann"),
        *((f"Old {n}?", "x") for n in range(OLD_LESSONS - 1)),
    )
    events = night(learner, Agenda(DUE[:1], unlearn=(("Who is boss?", "Max"),), kept=kept))
    assert (
        learner.after.recites([("Who is boss?", None), ("What is my name?", "Alice"), ("What is my dog?", "Rex")])
        == [True] * 3
    )
    ended = the(NightEnded, events)
    assert isinstance(ended, NightEnded) and ended.replayed == 1 + 2 + OLD_LESSONS


def test_a_night_that_loses_too_much_is_taken_back() -> None:
    """Every round of rehearsal fails, so the brain is what it was; where less is lost than may be it is kept."""
    agenda = Agenda(DUE, by_heart=tuple(KNOWN.items()))
    learner = DictionaryLearner(KNOWN, loses=[*KNOWN])
    ended = night(learner, agenda)[-1]
    assert isinstance(ended, NightEnded) and not ended.kept and not ended.cancelled and ended.retained == 0
    assert learner.after.learnt == KNOWN and ended.recall_after == ended.recall_before == 0.0
    ended = night(DictionaryLearner(KNOWN, loses=[*KNOWN]), agenda, replace(CONFIG, retention_drop=1.0))[-1]
    assert isinstance(ended, NightEnded) and ended.kept


def test_what_slipped_is_brought_back_by_rehearsal() -> None:
    """A learner that forgets once, and relearns in the small steps of REM, ends with all that it knew."""

    class Once(DictionaryLearner):
        def learn(
            self, pairs: Sequence[tuple[str, str | None]], config: MindConfig, *, steps: int, seed: int,
            stop: Callable[[], bool],
        ) -> Iterator[Progress]:  # fmt: skip
            yield from super().learn(pairs, config, steps=steps, seed=seed, stop=stop)
            self.loses = ()

    rehearsed = night(DictionaryLearner(KNOWN), Agenda(DUE, by_heart=tuple(KNOWN.items())))
    held = hold_to(Dictionary(KNOWN), [], tuple(KNOWN.items()), [], seed=1).rehearsed
    learner = Once(KNOWN, loses=[question for question, _ in held])
    events = night(learner, Agenda(DUE, by_heart=tuple(KNOWN.items())))
    assert sum(isinstance(event, NightStep) for event in events) > sum(
        isinstance(event, NightStep) for event in rehearsed
    )
    ended = events[-1]
    assert isinstance(ended, NightEnded) and ended.kept and learner.after.learnt.items() >= KNOWN.items()


@pytest.mark.parametrize("after", range(8))
def test_a_night_cancelled_anywhere_changes_nothing(after: int) -> None:
    """It ends with NightEnded, whatever phase it was in."""
    learner, seen = DictionaryLearner(KNOWN), list[NightEvent]()
    agenda = Agenda(DUE, by_heart=tuple(KNOWN.items()))
    for event in sleep(learner, agenda, CONFIG, seed=1, stop=lambda: len(seen) >= after):
        seen.append(event)
    ended = seen[-1]
    assert isinstance(ended, NightEnded) and ended.cancelled and not ended.kept
    assert learner.after.learnt == learner.before.learnt == KNOWN


def test_a_night_about_nothing_is_kept_and_learns_nothing() -> None:
    learner = DictionaryLearner(KNOWN)
    events = night(learner, Agenda(()))
    ended, held = events[-1], the(ByHeart, events)
    assert isinstance(ended, NightEnded) and ended.kept and ended.recall_after is None and ended.retained is None
    assert isinstance(held, ByHeart) and held.pairs == [] and learner.after.learnt == KNOWN


def test_a_night_holds_what_was_known_and_not_what_is_taught() -> None:
    """What earlier nights found known is rehearsed or checked, what slipped is learnt anew, what teaching touches is let go."""
    france, peru = ("What is the capital of France?", "Paris"), ("What is the capital of Peru?", "Lima")
    slipped, touched = ("What is the capital of Spain?", "Oslo"), ("What is the capital of Italy?", "Rome")
    reader = Dictionary(dict([france, peru, ("What is the capital of Spain?", "Madrid"), touched]))
    home, work = (_dreamt(question, "Bonn") for question in ("Where do I live?", "Where is my office?"))
    tonight, gone = (
        [("Where do I live?", "Ulm"), ("What is the capital of Italy?", "Pisa")],
        [("Where was it?", "bonn")],
    )
    held = hold_to(reader, [home, work, _dreamt("Where is a cat?", None)], [france, slipped, touched], tonight, gone)
    assert held.slipped == [slipped] and held.by_heart == [france, slipped] and held.rehearsed == [france]
    assert [one.exchange and one.exchange.question for one in held.dreams] == ["Where is a cat?"]
    assert held.slips(reader) == [] and held.slips(Dictionary()) == [france]
    first = hold_to(reader, [_dreamt(*peru)], [], tonight)
    assert first.by_heart == [peru] and first.checks == [peru] and first.retained(reader) == 1.0
    assert first.retained(Dictionary()) == 0.0
    assert hold_to(reader, [], [], []).retained(reader) is None
    none = hold_to(reader, [], [france, peru], [], most=0)
    assert none.by_heart == [france, peru] and not none.dreams and not none.checks, (
        "a night without dreams holds nothing"
    )


def _dreamt(question: str, answer: str | None) -> Dream:
    exchange = Exchange(question, answer)
    return Dream(LAB.lesson(exchange).tokens, exchange)


def test_an_agenda_survives_the_disk(tmp_path: Path) -> None:
    agenda = Agenda((Due(1, "a", (("q", "b"),)),), (("q", "w"),), (("k", "v"),), (("h", "x"),), (("g", "y"),))
    agenda.save(tmp_path / "a.json")
    assert Agenda.load(tmp_path / "a.json") == agenda


def test_a_question_is_altered_in_one_word() -> None:
    """Another word is dreamt in the place that is named, and nothing else changes."""
    questions, draws = ["What is my cat's name?", "Where do I live?"] * 16, torch.Generator().manual_seed(0)
    altered = alter(Table(), questions, [3, 3] * 16, draws)
    assert sum(one != question for one, question in zip(altered, questions, strict=True)) >= len(questions) / 4
    for one, question in zip(altered, questions, strict=True):
        words, before = one.split(" "), question.split(" ")
        assert words[:3] + words[4:] == before[:3] + before[4:]


def _learner(config: MindConfig, model: str = "baseline") -> BrainLearner:
    more: dict[str, Any] = {"baseline": {"conv_kernel": 4}}.get(model, {})
    return BrainLearner(
        model, build(model, FAMILIES[model].config(width=32, layers=1, heads=4, **more), seed=3), config
    )


@pytest.mark.parametrize("model", FAMILIES)
def test_a_brain_learns_in_its_sleep_what_it_was_taught(model: str) -> None:
    """It dreams, the loss falls, the taught answer is recited after, and the brain beside it is what it was, to the last bit."""
    config = MindConfig(night_steps=60, night_lr=0.02, dreams=8, dream_weight=0.1, quizzes=1, retention_drop=1.0)
    learner = _learner(config, model)
    before = {name: weight.clone() for name, weight in learner._was.state_dict().items()}
    asked = (("Who am I?", "Al"), ("Where is it?", "Rome"))
    events = list(sleep(learner, Agenda((Due(1, "x", asked[:1]), Due(2, "y", asked[1:]))), config, seed=1))
    assert any(event.dreams > 0 for event in events if isinstance(event, Dreamt))
    losses = [event.loss for event in events if isinstance(event, NightStep)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    ended = events[-1]
    assert isinstance(ended, NightEnded) and ended.kept
    assert learner.after.recites(asked) == [True, True] and learner.before.recites(asked) == [False, False]
    assert all(torch.equal(before[name], weight) for name, weight in learner._was.state_dict().items())


def test_a_brain_is_taken_back_to_the_last_bit() -> None:
    """After a night that was cancelled in the midst of learning, all weights are those of before."""
    learner, seen = _learner(config := MindConfig(night_steps=8, dreams=8, quizzes=1)), list[NightEvent]()
    before = {name: weight.clone() for name, weight in learner.brain.state_dict().items()}
    agenda, steps = Agenda((Due(1, "x", (("Who am I?", "Al"),)),)), list[bool]()
    for event in sleep(learner, agenda, config, seed=1, stop=lambda: sum(isinstance(e, NightStep) for e in seen) > 3):
        seen.append(event)
        steps.append(any(not torch.equal(before[n], weight) for n, weight in learner.brain.state_dict().items()))
    ended = seen[-1]
    assert isinstance(ended, NightEnded) and ended.cancelled and any(steps) and not steps[-1]


@pytest.mark.parametrize("model", FAMILIES)
def test_a_brain_that_forgot_too_much_is_taken_back_to_the_last_bit(model: str) -> None:
    """One night taught it answers that the next, in steps far too large, destroys: that one is refused, and all weights are those
    before it."""
    config = MindConfig(night_steps=60, night_lr=0.02, dreams=0, quizzes=1)
    learner = _learner(config, model)
    known = (("Who am I?", "Al"), ("Where is it?", "Rome"), ("What is old?", "Bo"))
    list(sleep(learner, Agenda(tuple(Due(i, "x", (pair,)) for i, pair in enumerate(known))), config, seed=1))
    assert learner.after.recites(known) == [True] * 3
    before = {name: weight.clone() for name, weight in learner.brain.state_dict().items()}
    rough = replace(config, night_steps=6, night_lr=0.1, dreams=8, retention_drop=0.0)
    learner = BrainLearner(model, learner.brain, rough)
    agenda, moved = Agenda((Due(9, "y", (("When was that thing?", "May"),)),), by_heart=known), list[bool]()
    seen = list[NightEvent]()
    for event in sleep(learner, agenda, rough, seed=1):
        seen.append(event)
        moved.append(any(not torch.equal(before[n], weight) for n, weight in learner.brain.state_dict().items()))
    ended = seen[-1]
    assert isinstance(ended, NightEnded) and not ended.kept and not ended.cancelled
    assert ended.retained is not None and ended.retained < 1 and ended.recall_after == ended.recall_before
    assert any(moved) and not moved[-1] and learner.after.recites(known) == [True] * 3


@pytest.mark.parametrize("strategy", ["slots", "sparse"])
def test_a_night_can_write_into_a_memory_layer_alone(strategy: str, tmp_path: Path) -> None:
    """The brain gets one; nothing else of it moves, and it is there when the mind is opened again."""
    options: dict[str, Any] = {
        "memory_slots": 64,
        "night_steps": 4,
        "dreams": 16,
        "retention_drop": 1.0,
    }  # without dreams nothing is to be kept
    with tiny_mind(tmp_path / "minds", strategy=strategy, **options) as mind:
        mind.teach("It is Al.", question="Who am I?", answer="Al")
        mind.notes.mark_compared(1)
        *_, ended = mind.sleep()
        assert isinstance(ended, NightEnded) and ended.kept
    with Mind.open(mind.folder) as mind:
        assert isinstance(mind.reader, MarksReader) and mind.reader.brain.config.memory_slots == 64
        _, first = load_brain(mind.folder / "brain-0")
        before, after = add_memory("baseline", first, 64).state_dict(), mind.reader.brain.state_dict()
        moved = {name for name, w in before.items() if not torch.equal(w, after[name])}
        assert moved and not moved & set(first.state_dict())
