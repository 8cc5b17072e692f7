"""What must be so whatever comes: files, undo, a brain's state, stretches of time, and how exchanges are spelt."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lab.arena.streams.tasks import Example, Task, segments
from lab.config import FAMILIES, ConfigError
from lab.data.files import read_texts
from lab.mind import Answer, Mind
from lab.models import build
from lab.models.contract import Brain
from lab.text import LAB, Exchange
from tests.dictionary import DictionaryWeights, make_mind

few = settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
more = settings(few, max_examples=50)

ODD = st.sampled_from(
    ['"', "'", ",", "\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "🙂", "é", "\\", "{", "\ufeff", "\t", " ", "\n\n"]
)
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.lists(ODD | st.text(LETTERS, max_size=8), max_size=12).map("".join)
SAID = TEXT.filter(lambda text: bool(text.strip()))


# ---- files ------------------------------------------------------------------------------------------------------


def _jsonl(path: Path, texts: list[str]) -> None:
    path.write_bytes("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode())


def _csv(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerows([["number", "text"], *([number, text] for number, text in enumerate(texts))])


def _parquet(path: Path, texts: list[str]) -> None:
    pd.DataFrame({"text": texts}).to_parquet(path)


@pytest.mark.parametrize(("ending", "write"), [(".jsonl", _jsonl), (".csv", _csv), (".parquet", _parquet)])
@more
@given(st.lists(TEXT, min_size=1, max_size=6), st.integers(0, 6))
def test_any_text_is_read_as_it_was_written(
    ending: str, write: Callable[[Path, list[str]], None], texts: list[str], start: int
) -> None:
    """Quotes, commas, every kind of line break, emoji: a text for each that was written, from any number on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"texts{ending}"
        write(path, texts)
        read = read_texts(path, "text")
        assert [raw.decode() for raw in read(0)] == texts
        assert [*read(start)] == [*read(0)][start:]


@more
@given(SAID.map(lambda text: text.removeprefix("\ufeff")).filter(str.strip), st.integers(1, 40))
def test_nothing_of_a_text_file_is_lost(text: str, times: int) -> None:
    """Its pieces are the file, in order, each of them text."""
    assume(not text.startswith("\ufeff"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_bytes((text * times).encode())
        pieces = [raw.decode() for raw in read_texts(path, "text")(0)]
        assert "".join(pieces).rstrip() == (text * times).rstrip()


@few
@given(
    st.lists(
        SAID.filter(lambda text: "\x0b" not in text and all(c >= " " or c in "\t\n\r" for c in text)),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_exported_is_imported_as_it_was(texts: list[str]) -> None:
    """The living notes of one mind become those of another; once more, nothing is new."""
    with (
        tempfile.TemporaryDirectory() as folder,
        make_mind(Path(folder) / "one") as one,
        make_mind(Path(folder) / "two") as two,
    ):
        for text in texts:
            one.teach(text, question=f"Q{len(text)}?", answer="a")
        one.forget(one.traces()[0].id)
        one.export_traces(Path(folder) / "out.jsonl")
        two.import_traces(Path(folder) / "out.jsonl")
        pairs = [[(t.text, t.question, t.answer) for t in mind.traces()] for mind in (one, two)]
        assert pairs[0] == pairs[1] and two.import_traces(Path(folder) / "out.jsonl") == 0


# ---- undo -------------------------------------------------------------------------------------------------------

THINGS, VALUES = st.sampled_from(["name", "home", "job"]), st.sampled_from(["Ann", "Bo", "Cy"])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("teach"), THINGS, VALUES), st.tuples(st.just("pair"), THINGS, VALUES),
        st.tuples(st.sampled_from(["forget", "edit"]), st.integers(0, 5), VALUES),
        st.tuples(st.sampled_from(["right", "wrong", "correct"]), THINGS, VALUES), st.just(("reflect", 0, "")), st.just(("undo", 0, "")),
    ), max_size=12,
)  # fmt: skip


def _act(mind: Mind, what: str, which: Any, value: str) -> None:
    if what == "teach":
        mind.teach(f"My {which} is {value}.")
    elif what == "pair":
        mind.teach(question=f"What is my {which}?", answer=value)
    elif what in ("forget", "edit") and mind.traces():
        number = mind.traces()[which % len(mind.traces())].id
        _ = mind.forget(number) if what == "forget" else mind.edit(number, f"My pet is {value}.")
    elif what in ("right", "wrong", "correct"):
        answer = Answer(value, "STM", 1.0, tuple(mind.traces()[:1]), f"What is my {which}?")
        mind.feedback(answer, "right" if what == "right" else "wrong", "Dee" if what == "correct" else None)
    elif what == "reflect":
        mind.reflect()
    elif what == "undo":
        mind.undo()


def _state(mind: Mind) -> Any:
    """What counts of a mind: its traces, but for what it found out by itself, and its vetoes."""
    traces = [replace(trace, cues=(), surprise=0.0) for trace in mind.traces(all=True)]
    return traces, sorted((veto.question, veto.answer) for veto in mind.notes.vetoes)


def _whole(mind: Mind) -> None:
    """Memory, index and disk say the same."""
    alive = [trace for trace in mind.traces(all=True) if trace.alive]
    assert mind.traces() == alive and len(mind.index) == len(alive)
    for trace in alive:
        assert trace.id in [found.id for found, _ in mind.notes.find(trace.text, len(alive))]
    assert mind.notes.vetoes == mind.memory.vetoes()


@few
@given(ACTS, ACTS)
def test_undoing_all_gives_the_state_before(before: list[Any], acts: list[Any]) -> None:
    """Whatever was taught, repeated, edited, forgotten and judged; index and disk agree all the while, and a restart changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        with make_mind(Path(folder) / "m") as mind:
            for act in before:
                _act(mind, *act)
            mind.reflect()
            mind.memory.seal()
            was = _state(mind)
            for act in acts:
                _act(mind, *act)
                _whole(mind)
            open_now = _state(mind), [trace.text for trace in mind.traces()], [t.id for t in mind.notes.fresh()]
        with Mind(Path(folder) / "m", DictionaryWeights) as mind:
            assert open_now == (
                _state(mind),
                [trace.text for trace in mind.traces()],
                [t.id for t in mind.notes.fresh()],
            )
            while mind.undo():
                _whole(mind)
            assert _state(mind) == was


# ---- a brain's state ---------------------------------------------------------------------------------------------


def _brain(family: str) -> Brain:
    """A tiny brain in fp64 whose every weight is at work."""
    brain = build(family, FAMILIES[family].config(width=16, layers=2, heads=2)).double()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
    return brain


BRAINS = {family: _brain(family) for family in FAMILIES}
STEPS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(["go on", "go back", "choose"]), st.integers(0, 2**30)), max_size=6
)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(STEPS)
@example([(32, "go on", 0), (1, "choose", 5), (31, "go back", 0), (33, "choose", 3)])
@torch.no_grad()
def test_any_pieces_with_rows_chosen_and_gone_back_to_are_the_whole(
    family: str, steps: list[tuple[int, str, int]]
) -> None:
    """What a state carries is all that was read by its rows, however they were cut, chosen, doubled or rewound."""
    brain, draws = BRAINS[family], torch.Generator().manual_seed(4)
    read, state = torch.zeros((2, 0), dtype=torch.long), None
    for length, then, seed in steps:
        piece = torch.randint(0, 256, (len(read), length), generator=draws)
        logits, after = brain(piece, state)
        whole = brain(torch.cat((read, piece), 1))[0][:, -length:]
        torch.testing.assert_close(logits, whole, rtol=0, atol=1e-10)
        if then != "go back":  # else the next piece goes on from before this one
            read, state = torch.cat((read, piece), 1), after
        if then == "choose":
            rows = [(seed >> place) % len(read) for place in range(0, 2 * (1 + seed % 3), 2)]
            read, state = read[rows], after.rows(rows)


# ---- stretches of time --------------------------------------------------------------------------------------------

TASKS = st.lists(st.integers(1, 9), min_size=2, max_size=5)


@pytest.mark.parametrize("mode", ["hard", "blurry", "task-free"])
@more
@given(TASKS, st.floats(0, 1), st.integers(0, 99))
def test_stretches_lose_and_double_no_lesson(mode: str, sizes: list[int], blur: float, seed: int) -> None:
    """Whatever the edges, every lesson is learnt once, in one stretch a task, and the same seed gives the same."""
    tasks = [
        Task(f"t{i}", tuple(Example(f"{i} {n}?", f"{n}") for n in range(size)), (), ()) for i, size in enumerate(sizes)
    ]
    try:
        found = segments(tasks, mode, blur, seed)
    except ConfigError:
        assert mode == "blurry", "only then a stretch may stay empty"
        return
    lessons = [one.exchange for task in tasks for one in task.train]
    assert Counter(lesson for stretch in found for lesson in stretch) == Counter(lessons)
    assert len(found) == len(tasks) and found == segments(tasks, mode, blur, seed)
    if mode == "hard":
        assert [lesson for stretch in found for lesson in stretch] == lessons
    if mode == "task-free":
        assert max(map(len, found)) - min(map(len, found)) <= 1


# ---- templates ----------------------------------------------------------------------------------------------------

MARKS = sorted(LAB.tokenizer.marks.values())
TOKENS = st.lists(st.integers(0, LAB.tokenizer.size - 1) | st.sampled_from(MARKS), max_size=40)


@more
@given(TOKENS)
def test_any_tokens_can_be_read(tokens: list[int]) -> None:
    """What a brain writes is an exchange or none, a lesson that has those tokens, and something to show; it raises nothing."""
    exchange, lesson = LAB.parse(tokens), LAB.restore(tokens)
    assert exchange is None or exchange.skill in ("answer", "quiz", "plain", "sort")
    assert lesson.tokens == tuple(tokens) and len(lesson.weights) == len(tokens) and set(lesson.weights) <= {0.1, 1.0}
    assert isinstance(LAB.show(tokens), str) and isinstance(LAB.tokenizer.decode(tokens), str)
    assert tokens[: len(head := LAB.head(tokens, 8))] == head
    if exchange is not None:
        again = LAB.parse(LAB.lesson(exchange).tokens)
        assert again is None or again.notes == exchange.notes


@more
@given(st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=4), st.lists(TEXT, max_size=3))
def test_several_exchanges_share_their_notes(asked: list[tuple[str, str | None]], notes: list[str]) -> None:
    """A lesson of several is the first with its notes, and then each other as if it had none; nothing typed becomes a mark."""
    exchanges = [Exchange(question, answer, tuple(notes)) for question, answer in asked]
    lesson = LAB.lesson(*exchanges)
    alone = [LAB.lesson(exchanges[0]), *(LAB.lesson(replace(one, notes=())) for one in exchanges[1:])]
    assert lesson.tokens == tuple(token for one in alone for token in one.tokens)
    assert LAB.restore(lesson.tokens) == lesson and LAB.parse(lesson.tokens) == exchanges[0]
    marks = [token for token in lesson.tokens if token in MARKS]
    unknown = sum(answer is None for _, answer in asked)
    assert len(marks) == len(notes) + 3 * len(asked) + unknown
    assert math.isclose(
        sum(w == 1.0 for w in lesson.weights), sum(len((a or "").encode()) + 1 + (a is None) for _, a in asked)
    )


@more
@given(TEXT, st.lists(TEXT, max_size=3), st.sampled_from(["answer", "quiz", "plain", "sort"]))
def test_a_prompt_is_where_its_lesson_begins(question: str, notes: list[str], skill: str) -> None:
    """What a brain is asked is what it learnt to go on from, and an answer is due where there is one."""
    exchange = Exchange(question, "x", () if skill in ("plain", "sort") else tuple(notes), skill)
    prompt, lesson = LAB.prompt(exchange), LAB.lesson(exchange)
    assert tuple(prompt) == lesson.tokens[: len(prompt)] and LAB.asks(prompt) == (skill in ("answer", "sort"))
    assert LAB.parse(lesson.tokens) == exchange
