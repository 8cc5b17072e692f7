"""Traces on disk, the tiers, and the recall index."""

import random
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.config import MindConfig
from lab.data.curriculum.facts import make_fact
from lab.memory import RecallIndex, Trace, TraceStore, Veto, strength_now
from lab.memory.store import salvage
from lab.memory.tiers import confidence_of, importance_of, overflow, wants_archive, wants_promotion
from lab.memory.traces import ARCHIVE, LTM, STM

CONFIG = MindConfig()
DAY_S = 86400.0


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """Every field of a trace comes back, from a file opened anew."""
    trace = Trace(
        "My name is 아름 🙂.", 1.5, question="q", answer="a", tier=LTM, cues=(("who?", "me"),), forgotten_at=3.0
    )
    store = TraceStore(tmp_path / "m.sqlite")
    (made,) = store.change("teach", 1.5, add=[trace])
    store.close()
    assert TraceStore(tmp_path / "m.sqlite").traces() == [made]
    assert replace(made, id=0) == trace


def test_the_archive_is_compressed_and_still_read(tmp_path: Path) -> None:
    """An archived trace has no plain text on disk, takes fewer bytes, and reads as before."""
    store = TraceStore(tmp_path / "m.sqlite")
    text = "My favourite food is lentil soup with garlic and my sister works as a plumber in the old town."
    (made,) = store.change("teach", 1.0, add=[Trace(text, 1.0)])
    store.change("", 2.0, update=[replace(made, tier=ARCHIVE)])
    assert store.get(made.id).text == text
    with sqlite3.connect(tmp_path / "m.sqlite") as sql:
        plain, packed = sql.execute("SELECT text, packed FROM traces").fetchone()
    assert plain is None
    assert len(packed) < 0.75 * len(text)


def test_undo_takes_back_one_step_after_the_other(tmp_path: Path) -> None:
    """A replaced trace lives again, the new one is gone, and so is the veto."""
    store = TraceStore(tmp_path / "m.sqlite")
    (first,) = store.change("teach", 1.0, add=[Trace("My name is Al.", 1.0)])
    store.change(
        "correct",
        2.0,
        add=[Trace("My name is Bo.", 2.0)],
        update=[replace(first, superseded_by=-1)],
        veto=[Veto("name?", "Al", 2.0)],
    )
    assert store.get(first.id).superseded_by == 2
    assert store.undo() is not None
    assert (store.traces(), store.vetoes()) == ([first], [])
    assert store.undo() is not None
    assert store.traces() == []
    assert store.undo() is None


def test_a_failed_change_changes_nothing(tmp_path: Path) -> None:
    """All of a step or none of it."""
    store = TraceStore(tmp_path / "m.sqlite")
    with pytest.raises(ValueError, match="must exist"):
        store.change("teach", 1.0, add=[Trace("a", 1.0)], update=[Trace("b", 1.0, id=99)])
    assert store.traces() == []


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    """A clear sentence, no byte changed, and the intact part can be saved."""
    path = tmp_path / "memory.sqlite"
    store = TraceStore(path)
    store.change("import", 1.0, add=[Trace(f"Fact number {i} is that {i} is {i}.", 1.0) for i in range(2000)])
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20000] = b"\xff" * 20000
    path.write_bytes(content)
    with pytest.raises(ValueError, match="salvage"):
        TraceStore(path)
    assert path.read_bytes() == content
    assert salvage(path, tmp_path / "saved.jsonl") > 500
    path.write_bytes(b"this is no database at all, only text" * 50)
    with pytest.raises(ValueError, match="must be whole"):
        TraceStore(path)


def test_a_locked_file_is_named(tmp_path: Path) -> None:
    """Another process that writes keeps ours waiting, then a sentence."""
    store = TraceStore(tmp_path / "m.sqlite")
    other = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store._sql.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(ValueError, match="locked by another"):
        store.change("teach", 1.0, add=[Trace("a", 1.0)])
    other.close()


def test_strength_fades_with_disuse_and_grows_with_use() -> None:
    """confidence · decay^age · importance · log uses."""
    trace = Trace("x", created_at=0.0)
    days = [strength_now(trace, CONFIG, day * DAY_S) for day in (0, 10, 20)]
    assert days[0] > days[1] > days[2]
    assert days[1] / days[0] == pytest.approx(CONFIG.memory_decay**10)
    assert strength_now(replace(trace, uses=5), CONFIG, 0) > days[0]
    assert [confidence_of(n) for n in (1, 2, 3, 9)] == [0.6, 0.9, 1.0, 1.0]


def test_traces_move_between_tiers_by_their_rules() -> None:
    """Three uses or repetitions, importance or surprise promote; long disuse archives; what overflows is the weakest."""
    trace = Trace("x", 0.0, importance=0.5)
    assert not wants_promotion(trace, CONFIG)
    for better in ({"uses": 3}, {"repeats": 3}, {"importance": 0.9}, {"surprise": 0.95}):
        assert wants_promotion(replace(trace, **better), CONFIG)
    assert importance_of("Remember: the code is 4411.") > importance_of("I had soup.")
    old = replace(trace, tier=LTM)
    assert not wants_archive(old, CONFIG, 29 * DAY_S)
    assert wants_archive(old, CONFIG, 31 * DAY_S)
    many = [Trace("x", 0.0, id=i, tier=STM, uses=i) for i in range(CONFIG.stm_capacity + 2)]
    assert [t.id for t in overflow(many, STM, CONFIG, 0.0)] == [0, 1]


def test_the_index_finds_what_a_question_is_about() -> None:
    """Among 200 facts, the note that answers is among the four nearest nearly always."""
    rng = random.Random(6)
    facts = [make_fact(rng) for _ in range(200)]
    index = RecallIndex()
    for i, fact in enumerate(facts):
        index.add(i, [fact.say(0)])
    found = [any(facts[key].cue() == fact.cue() for key, _ in index.search(fact.ask(0), 4)) for fact in facts]
    assert np.mean(found) >= 0.97


def test_the_index_forgives_typing() -> None:
    """Case, spelling and a missing letter; names rule."""
    index = RecallIndex()
    for i, text in enumerate(
        ["Anna's favourite colour is red.", "Bruno's favourite colour is blue.", "I live in Oslo."]
    ):
        index.add(i, [text])
    assert index.search("whats annas favorite color", 1)[0][0] == 0
    assert index.search("BRUNO COLOUR", 1)[0][0] == 1
    assert index.search("where do i live", 1)[0][0] == 2
    index.remove(1)
    assert all(key != 1 for key, _ in index.search("BRUNO COLOUR", 3))
    assert RecallIndex().search("anything", 3) == []


def test_how_like_a_note_is_does_not_hang_on_how_many_there_are() -> None:
    """The same text scores 1; what lacks a word less, about the same alone as among others."""
    index = RecallIndex()
    index.add(0, ["The code of my gate is 1188."])
    question, alone = "What is the code of my gate?", []
    for others in (0, 1, 30):
        for number in range(others):
            index.add(len(index), [f"Box {number} stands in room {number * 7}."])
        assert index.search("the code of my gate is 1188", 1)[0] == (0, pytest.approx(1.0, abs=1e-3))
        alone.append(index.search(question, 1)[0][1])
    assert min(alone) > 0.5 and max(alone) - min(alone) < 0.05


def test_a_cue_leads_to_its_trace() -> None:
    """A question that shares no word with the statement finds it by a cue that does."""
    index = RecallIndex()
    index.add(1, ["I am a plumber."])
    index.add(2, ["The moon is far."])
    assert all(key != 1 for key, _ in index.search("Which occupation pays the rent?", 2))
    index.remove(1)
    index.add(1, ["I am a plumber.", "What is my occupation?"])
    assert index.search("Which occupation pays the rent?", 1)[0][0] == 1


def test_writing_a_trace_is_durable_and_quick(tmp_path: Path) -> None:
    """A hundred single steps are on disk when each returns; another connection sees them at once."""
    store = TraceStore(tmp_path / "m.sqlite")
    other = sqlite3.connect(f"file:{tmp_path / 'm.sqlite'}?mode=ro", uri=True)
    for i in range(100):
        store.change("teach", time.time(), add=[Trace(f"fact {i}", 1.0)])
        assert other.execute("SELECT count(*) FROM traces").fetchone()[0] == i + 1
