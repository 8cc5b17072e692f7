"""Many at once on one mind: threads that teach, ask, search, look, undo and settle, and files from a careless world."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lab import jobs
from lab.jobs.nights import work_night
from lab.memory import MemoryError, RecallIndex, Trace, TraceStore
from lab.mind import Mind, MindError, Minds
from lab.mind import mind as mind_module
from lab.mind.home import find_brain, salvage_mind
from lab.mind.night.settling import plan_night
from lab.ui.memory import figures, trace_table
from lab.ui.night import night_card
from tests.conftest import tiny_mind
from tests.dictionary import make_mind


@pytest.fixture
def mind(tmp_path: Path) -> Iterator[Mind]:
    with tiny_mind(tmp_path / "minds", stm_capacity=8) as made:
        made.notes.mark_compared(10_000)  # what fresh weights make of a note takes long and says nothing
        yield made


def _together(works: Sequence[Callable[[int], object]], seconds: float) -> list[BaseException]:
    """Do all of `works`, each again and again in a thread of its own; gives what they raised."""
    raised: list[BaseException] = []
    until = time.monotonic() + seconds

    def repeat(work: Callable[[int], object]) -> None:
        number = 0
        while time.monotonic() < until and not raised:
            try:
                work(number)
            except BaseException as error:
                raised.append(error)
            number += 1

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_an_index_is_searched_while_it_grows() -> None:
    """Neither waits in vain nor raises, and what was added is found."""
    index, added = RecallIndex({-1: ["Box 7 holds coins."]}), list[int]()

    def add(number: int) -> None:
        index.add(number, [f"Box {number} holds {number * 7} coins."])
        added.append(number)

    def search(number: int) -> None:
        index.search(f"What does box {number} hold?", 4)
        index.remove(-1 - number)

    assert _together([add, search, search], 1.0) == []
    assert all(index.search(f"Box {number} holds {number * 7} coins.", 1)[0][0] == number for number in added[::50])


def test_an_index_that_begins_with_texts_finds_what_one_that_grew_finds() -> None:
    """The same keys with the same scores, also for what is no word."""
    texts = [f"Box {number} holds {'red' if number % 3 else 'old'} coins, Ida's." for number in range(300)] + [
        "🙂🙂",
        "Straße İ",
    ]
    grown, begun = RecallIndex(), RecallIndex(dict(enumerate([text] for text in texts)))
    for key, text in enumerate(texts):
        grown.add(key, [text])
    for query in ("What does box 17 hold?", "idas old coins", "strasse", "🙂", "nothing alike"):
        some, others = grown.search(query, 5), begun.search(query, 5)
        assert [key for key, _ in some] == [key for key, _ in others]
        assert [score for _, score in some] == pytest.approx([score for _, score in others], abs=1e-5)


def test_many_at_once_lose_and_double_nothing(mind: Mind) -> None:
    """Teach, ask of notes and weights, search, look at the page, judge, sleep and settle: nothing is raised, and all that was told is
    there once, on disk too."""
    told: list[str] = []

    def teach(number: int) -> None:
        text = f"{threading.get_ident()} box {number} holds coins."
        mind.teach(text, question=f"What does box {number} hold?", answer="coins")
        told.append(text)

    def look(number: int) -> None:
        mind.settle()
        state = jobs.night_state(mind)
        assert night_card(mind, state) and mind.stats()["name"] == "m"
        trace_table(mind, "box 1", all=bool(number % 2))
        mind.messages()
        figures(mind)

    def sleep(number: int) -> None:
        _, _, folder = mind.begin_night()
        work_night(folder)

    asked = iter(range(1_000_000))
    works = [
        teach, teach, look, look, sleep, lambda number: mind.index.search("box", 5),
        lambda number: mind.ask(f"What does box {next(asked)} hold?", ("both", "notes", "weights")[number % 3]),
        lambda number: mind.feedback(mind.ask("What does box 1 hold?"), "right"),
        lambda number: mind.say("Where is it?", "ask"),
    ]  # fmt: skip
    raised = _together(works, 8.0)
    assert raised == [], raised
    mind.settle()
    assert len(told) > 20 and mind.night > 0
    for traces in (mind.traces(all=True), TraceStore(mind.folder / "memory.sqlite").traces()):
        assert Counter(trace.text for trace in traces) == Counter(told)


def test_undo_beside_teaching_takes_back_whole_steps(mind: Mind) -> None:
    """What is in memory is what is on disk, whoever came first."""
    raised = _together(
        [lambda n: mind.teach(f"Cup {n} is full."), lambda n: mind.teach(f"Mug {n} is full."), lambda n: mind.undo()],
        2.0,
    )
    assert raised == []
    assert mind.traces() == [trace for trace in mind.traces(all=True) if trace.alive]


def test_the_readings_of_a_question_are_never_those_of_another(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the last question is kept with its readings, and threads ask different ones."""
    monkeypatch.setattr(mind.reader, "readings", lambda question, least: {question: 1.0})
    draws = random.Random(3)

    def ask(number: int) -> None:
        question = f"Q{draws.randrange(3)}?"
        assert [*mind._asking._readings(question)] == [question]

    assert _together([ask] * 4, 0.5) == []


@pytest.mark.parametrize("damage", ["gone", "empty", "another"])
def test_a_mind_without_its_memory_does_not_open(mind: Mind, damage: str) -> None:
    """It would open as new and not know what its weights learnt; nothing is written, and put back it is as before."""
    mind.teach("I live in Oslo.")
    mind.close()
    path = mind.folder / "memory.sqlite"
    whole = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    if damage == "another":
        with sqlite3.connect(path) as sql:
            sql.execute("CREATE TABLE other (x)")
        sql.close()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(MemoryError, match="gone or empty"):
        Mind.open(mind.folder)
    assert (path.read_bytes() if path.exists() else None) == before
    path.write_bytes(whole)
    with Mind.open(mind.folder) as again:
        assert [trace.text for trace in again.traces()] == ["I live in Oslo."]


ODD = [
    "cues = 'no json'", "cues = '[1]'", "cues = NULL", "cues = '{\"a\": 1}'", "cues = '[[1, 2]]'", "heard = '[[\"a\"]]'",
    "text = NULL", "text = x'ff00'", "text = CAST(x'ff41' AS TEXT), tier = 7", "packed = x'00ff00'", "packed = 'text'",
    "tier = 'moon'", "stage = 'late'", "confidence = 'high'", "uses = 'many'", "created_at = NULL", "question = x'ff'",
    "superseded_by = 'x'",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_a_row_that_cannot_be_read_takes_nothing_else_with_it(mind: Mind, tmp_path: Path, odd: str) -> None:
    """The mind opens, answers from the other notes and names the row; what can be read of it is saved."""
    for text in ("I live in Oslo.", "The cup is red."):
        mind.teach(text, question=f"{text}?", answer="yes")
    mind.close()
    with sqlite3.connect(mind.folder / "memory.sqlite") as sql:
        sql.execute(f"UPDATE traces SET {odd} WHERE id = 1")
    sql.close()
    with Mind.open(mind.folder) as again:
        assert [trace.id for trace in again.traces(all=True)] == [2]
        assert again.ask("The cup is red.?").text == "yes"
        assert (
            "1 of its notes cannot be read" in again.notice and "number 1" in again.notice and "salvage" in again.notice
        )
        for act in (again.forget, lambda number: again.edit(number, "x"), again.memory.get):
            with pytest.raises(MemoryError, match="must be whole; that with number 1"):
                act(1)
        assert again.teach("I am here.").traces and again.undo() == "teach"
        assert again.export_traces(tmp_path / "out.jsonl") == 1
    saved = salvage_mind(mind.folder.parent, "m", tmp_path / "saved.jsonl")
    assert saved == (1 if odd.startswith(("text = NULL", "text = x", "packed")) else 2)


def test_odd_rows_of_the_other_tables_are_passed_over(mind: Mind) -> None:
    """Vetoes, messages, nights, usage, the journal and settings: none takes the mind, its pages or its next night down."""
    mind.teach("The cup is red.", question="What is the cup?", answer="red")
    mind.feedback(mind.ask("What is the cup?"), "right")
    mind.close()
    with sqlite3.connect(mind.folder / "memory.sqlite") as sql:
        sql.execute("INSERT INTO vetoes (question, answer) VALUES (NULL, 5)")
        for role, text, about in (
            ("user", None, "{}"),
            ("god", "x", "{}"),
            ("user", "x", "no"),
            ("user", "x", '{"confidence": "a"}'),
        ):
            sql.execute("INSERT INTO messages (role, text, about) VALUES (?, ?, ?)", (role, text, about))
        for detail in ("no json", "5", "{}", None):
            sql.execute("INSERT INTO nights (night, phase, detail) VALUES (1, 'REM', ?)", (detail,))
        sql.execute("INSERT INTO usage (at, stm) VALUES ('x', NULL)")
        sql.execute("UPDATE journal SET before = 'no json'")
        for name in ("by_heart", "surprises", "compared", "begun", "night"):
            sql.execute("INSERT OR REPLACE INTO settings VALUES (?, 'odd')", (name,))
    sql.close()
    with Mind.open(mind.folder) as again:
        assert (
            again.messages() == [] and again.memory.rows("nights") == [] and again.ask("What is the cup?").text == "red"
        )
        assert night_card(again, jobs.night_state(again)) and figures(again)
        with pytest.raises(MemoryError, match="must be whole to be taken back"):
            again.undo()
        assert [*again.sleep()] and again.night == 1


def test_a_closed_mind_says_so(mind: Mind) -> None:
    mind.close()
    for act in (mind.memory.vetoes, lambda: mind.teach("I am here."), lambda: mind.memory.get(1)):
        with pytest.raises(MemoryError, match="must be open"):
            act()


@pytest.mark.parametrize(
    "line",
    ['{"text": 5}', '{"text": ""}', '{"text": null}', '{"text": "a", "question": 5}', '{"text": "a", "answer": ["b"]}', '{"text": "a"',
     '{"text": "a\\u0000b"}', '{"text": "\\ud800"}', '{"question": "a"}', "{" * 5000, '{"text": {}, "superseded_by": 1}', "\x1b[0m"],
)  # fmt: skip
def test_a_line_that_cannot_be_imported_is_named(mind: Mind, tmp_path: Path, line: str) -> None:
    """One sentence with its number, and nothing of the file is taken up."""
    path = tmp_path / "in.jsonl"
    path.write_text(f'I live in Oslo.\n\n{line}\n{{"text": "The cup is red."}}\n', encoding="utf-8")
    with pytest.raises(MindError, match=r"line 3 of in.jsonl is not \(.*\)\. Mend it\.$"):
        mind.import_traces(path)
    assert mind.traces(all=True) == [] and mind.ask("Where do I live?").text


def test_only_a_line_break_ends_a_line(mind: Mind, tmp_path: Path) -> None:
    """Other signs that look so stand in texts; Windows ends its lines with two, and some begin a file with a mark."""
    texts = ["one\u2028two", "one\x85two", "one\u2029two"]
    rows = [json.dumps({"text": text, "question": "q?", "answer": "a"}, ensure_ascii=False) for text in texts]
    gone = json.dumps({"text": "gone", "forgotten_at": 1.0})
    (tmp_path / "in.jsonl").write_bytes(("\ufeff" + "\r\n".join([*rows, gone, "three\u2028four", ""])).encode())
    assert mind.import_traces(tmp_path / "in.jsonl") == 2  # of three that read the same one is enough
    assert [trace.text for trace in mind.traces()] == ["one two", "three four"]


def _sleep_apart(mind: Mind) -> Path:
    """Sleep a night as a worker does; it is not settled."""
    _, _, folder = mind.begin_night()
    work_night(folder)
    return folder


def test_a_page_that_settles_late_leaves_a_night_that_was_begun_anew(
    mind: Mind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number comes again after a night that was taken back: what the page has read is of the night before."""
    mind.teach("Box 1 holds coins.", question="What does box 1 hold?", answer="coins")
    _, _, folder = mind.begin_night()
    (folder / "stop").touch()
    work_night(folder)
    plain = mind_module.read_night

    def slowly(found: Path) -> object:
        monkeypatch.setattr(mind_module, "read_night", plain)
        over = plain(found)
        _sleep_apart(mind)  # settles the night that was taken back, and sleeps the next one
        return over

    monkeypatch.setattr(mind_module, "read_night", slowly)
    mind.settle()
    mind.settle()
    kept = [
        row
        for row in mind.memory.rows("nights")
        if "asking itself" in row["detail"] and '"kept": true' in row["detail"]
    ]
    assert mind.night == 1 and len(kept) == 1


def test_a_night_that_ends_while_the_next_is_begun_is_not_lost(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody sleeps is asked before what was slept is settled."""
    mind.teach("Box 1 holds coins.", question="What does box 1 hold?", answer="coins")
    _, _, folder = mind.begin_night()
    plain = Mind.asleep.fget
    assert plain is not None

    def ends_just_before(self: Mind) -> bool:
        monkeypatch.setattr(Mind, "asleep", property(plain))
        work_night(folder)
        return bool(plain(self))

    monkeypatch.setattr(Mind, "asleep", property(ends_just_before))
    mind.begin_night()
    assert mind.night == 1


@pytest.mark.parametrize("gone", ["undone", "forgotten", "replaced"])
def test_what_is_taken_back_while_it_sleeps_is_unlearnt_in_the_next_night(tmp_path: Path, gone: str) -> None:
    """The weights have learnt it; no answer is given from there, and it goes out of them."""
    with make_mind(tmp_path / "m") as mind:
        mind.teach("The code is one.", question="What is the code?", answer="one")
        night = mind.sleep()
        next(night)
        if gone == "undone":
            assert mind.undo()
        elif gone == "forgotten":
            mind.forget(1)
        else:
            mind.edit(1, "The gate is open.")
        assert [*night] and mind.night == 1
        assert mind.ask("What is the code?", "weights").text != "one"
        assert ("What is the code?", "one") in plan_night(mind.notes, 2).unlearn


def test_what_a_living_note_says_too_is_not_unlearnt(tmp_path: Path) -> None:
    """The note was only said otherwise while it was learnt."""
    with make_mind(tmp_path / "m") as mind:
        mind.teach("The code is one.", question="What is the code?", answer="one")
        night = mind.sleep()
        next(night)
        mind.edit(1, "The code is one, they say.")
        assert [*night] and mind.night == 1 and not plan_night(mind.notes, 2).unlearn


def test_a_mind_that_fell_back_stays_there_until_a_night_mends_it(mind: Mind) -> None:
    """Also when it is opened twice; what the lost weights had unlearnt is unlearnt anew."""
    mind.teach("Box 1 holds coins.", question="What does box 1 hold?", answer="coins")
    assert [*mind.sleep()]
    mind.forget(1)
    mind.teach("Box 2 holds stones.", question="What does box 2 hold?", answer="stones")
    assert [*mind.sleep()] and mind.night == 2 and all(veto.trained for veto in mind.notes.vetoes)
    mind.close()
    weights = (mind.folder / "brain-2" / "model.safetensors").read_bytes()
    (mind.folder / "brain-2" / "model.safetensors").write_bytes(b"")
    with Mind.open(mind.folder) as again:
        assert again.night == 1 and again.notes.vetoes and not any(veto.trained for veto in again.notes.vetoes)
    (mind.folder / "brain-2" / "model.safetensors").write_bytes(weights)
    with Mind.open(mind.folder) as again:
        assert again.night == 1 and "night 2 is lost" in again.notice
        assert [*again.sleep()] and (again.night, again.notice) == (2, "")


@pytest.mark.parametrize("damage", ["", "[]", '{"answers": 5}', '{"answers": []}'])
def test_a_brain_whose_judgement_is_damaged_is_not_whole(mind: Mind, damage: str) -> None:
    """The mind goes on from the brain before."""
    mind.teach("Box 1 holds coins.", question="What does box 1 hold?", answer="coins")
    assert [*mind.sleep()] and mind.night == 1
    mind.close()
    (mind.folder / "brain-1" / "judgement.json").write_text(damage)
    with Mind.open(mind.folder) as again:
        assert again.night == 0 and "judgement.json must hold" in again.notice


def test_an_import_hides_nothing_that_was_told_before(tmp_path: Path) -> None:
    """What was told is reflected on first: of two codes the later counts."""
    notes = tmp_path / "notes.txt"
    notes.write_text("The sky is blue.\n")
    with make_mind(tmp_path / "m") as mind:
        for code in ("one", "two"):
            mind.teach(f"The code is {code}.", question="What is the code?", answer=code)
            if code == "one":
                mind.reflect()
        mind.import_traces(notes)
        assert [trace.text for trace in mind.traces()] == ["The code is two.", "The sky is blue."]


@pytest.mark.parametrize("name", ["bad\udcff", "-x", "a" * 41])
def test_a_folder_with_a_name_that_no_mind_has_hides_no_mind(tmp_path: Path, name: str) -> None:
    for folder in (name, "alice"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mind.json").touch()
    assert Minds(tmp_path).names() == ["alice"]


@pytest.mark.parametrize("name", ["x" * 300, "~nosuchuser/x", "a\0b", "none"])
def test_a_brain_that_cannot_be_there_is_told_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(MindError, match="a brain must be a starter"):
        find_brain(name, tmp_path / "minds")


def test_what_stands_only_in_the_log_of_a_memory_is_salvaged(tmp_path: Path) -> None:
    """After kill -9 the last changes are in SQLite's write-ahead log."""
    store = TraceStore(tmp_path / "memory.sqlite")
    store.change("teach", 0.0, add=[Trace("Box 1 holds coins.", 0.0)])
    (tmp_path / "m").mkdir()
    for path in tmp_path.glob("memory.sqlite*"):  # as whoever is killed leaves them
        shutil.copyfile(path, tmp_path / "m" / path.name)
    store.close()
    assert salvage_mind(tmp_path, "m", tmp_path / "saved.jsonl") == 1
    assert sorted(path.name for path in tmp_path.glob("saved*")) == ["saved.jsonl"]
