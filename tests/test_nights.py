"""Nights of a mind: slept by one, settled once, and true only with a whole brain."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from lab import jobs
from lab.events import NightEnded
from lab.jobs.nights import work_night
from lab.memory import MemoryError
from lab.mind import Mind, MindError
from lab.store import RunStore, publish
from lab.ui.night import mind_card
from tests.conftest import tiny_mind, wait_until
from tests.dictionary import DictionaryWeights, make_mind

KILLS = int(os.environ.get("KILLS", "0"))  # 0 is as many as there is time for whenever tests run


@pytest.fixture
def mind(tmp_path: Path) -> Iterator[Mind]:
    """A mind with something to sleep on."""
    with tiny_mind(tmp_path / "minds") as made:
        made.notes.mark_compared(10_000)  # what fresh weights make of a note takes long and says nothing
        _tell(made, 0)
        yield made


def _tell(mind: Mind, number: int) -> None:
    mind.teach(f"Box {number} holds coin {number}.", question=f"What does box {number} hold?", answer=f"coin {number}")


def _night(mind: Mind) -> int:
    """Sleep a night as a worker does; it is not settled."""
    night, _, folder = mind.begin_night()
    work_night(folder)
    return night


def _kept(mind: Mind) -> list[int]:
    """The nights that its history says were kept, one for each night's first phase."""
    rows = mind.memory.rows("nights")
    return [row["night"] for row in rows if '"kept": true' in row["detail"] and "asking itself" in row["detail"]]


def test_a_night_that_many_pages_settle_becomes_true_once(mind: Mind) -> None:
    """One of them does it; the brain, the history and what is due next are those of one night."""
    _night(mind)
    settled: list[bool] = []
    pages = [threading.Thread(target=lambda: settled.append(mind.settle())) for _ in range(8)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert sorted(settled) == [False] * 7 + [True] and not mind.settle()
    assert mind.night == 1 and _kept(mind) == [1]
    assert mind.traces()[0].due_night in (2, 3)
    assert jobs.night_state(mind)["message"] is None


def test_whoever_looks_at_a_night_changes_nothing(mind: Mind) -> None:
    """A night that is over waits for its owner, also for the next one that opens the mind."""
    _night(mind)
    for _ in range(3):
        state = jobs.night_state(mind)
        assert (state["asleep"], state["night"], state["records"][-1]["kind"]) == (False, 1, "nightended")
    assert mind.night == 0 and _kept(mind) == []
    mind.close()
    with Mind.open(mind.folder) as again:
        assert again.night == 1 and _kept(again) == [1]


def test_a_night_that_was_taken_back_is_told_once(mind: Mind) -> None:
    """Its number comes again, so the number alone does not say that it was settled."""
    for times in (1, 2):
        _, _, folder = mind.begin_night()
        (folder / "stop").touch()
        work_night(folder)
        assert mind.settle() and not mind.settle() and not mind.settle()
        told = [row for row in mind.memory.rows("nights") if "asking itself" in row["detail"]]
        assert mind.night == 0 and len(told) == times
    mind.close()
    with Mind.open(mind.folder) as again:
        assert len([row for row in again.memory.rows("nights") if "asking itself" in row["detail"]]) == 2


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_night_whose_brain_is_not_whole_is_taken_back(mind: Mind, damage: str) -> None:
    """Nothing says that it counts; the mind goes on from the brain before, opens again, and says so."""
    _night(mind)
    _damage(mind.folder / "brain-1", damage)
    assert mind.settle() and mind.night == 0 and _kept(mind) == []
    assert "night 1 is not whole" in mind.notice and "taken back" in mind.notice
    mind.close()
    with Mind.open(mind.folder) as again:
        assert again.night == 0 and again.notice == ""
        assert [*again.sleep()] and again.night == 1


def _damage(brain: Path, how: str) -> None:
    if how == "gone":
        shutil.rmtree(brain)
    else:
        weights = brain / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_mind_whose_newest_brain_is_lost_goes_on_from_the_one_before(mind: Mind, damage: str) -> None:
    """It says so, what was learnt since is due again, and the next night mends it."""
    assert [*mind.sleep()]
    _tell(mind, 1)
    assert [*mind.sleep()] and mind.night == 2
    mind.close()
    _damage(mind.folder / "brain-2", damage)
    with Mind.open(mind.folder) as again:
        assert again.night == 1 and "brain of night 2 is lost" in again.notice
        assert again.stats()["notice"] == again.notice and "night 2 is lost" in mind_card(again.stats())
        assert [t.text for t in again.traces()] == ["Box 0 holds coin 0.", "Box 1 holds coin 1."]
        assert again.traces()[1].due_night == 0
        assert [*again.sleep()] and (again.night, again.notice) == (2, "")
    with Mind.open(mind.folder) as again:
        assert (again.night, again.notice) == (2, "")
    shutil.rmtree(mind.folder / "brain-1")
    _damage(mind.folder / "brain-2", damage)
    with pytest.raises(MindError, match="salvage"):
        Mind.open(mind.folder)


def test_only_one_sleeper_sleeps_a_night(mind: Mind) -> None:
    """While one sleeps here, no other begins, here or in a process of its own."""
    night = mind.sleep()
    next(night)
    assert mind.asleep and jobs.night_state(mind)["asleep"]
    for other in (mind.begin_night, lambda: jobs.start_night(mind), lambda: next(mind.sleep())):
        with pytest.raises(MindError, match="sleeps already"):
            other()
    assert isinstance([*night][-1], NightEnded) and mind.night == 1 and not mind.asleep


def test_a_button_and_a_full_memory_start_one_night(mind: Mind) -> None:
    """Of two that start a night at once one is refused; the worker's night becomes true once, whoever asks."""
    results: list[object] = []

    def start() -> None:
        try:
            results.append(jobs.start_night(mind))
        except MindError as error:
            results.append(str(error))

    starts = [threading.Thread(target=start) for _ in range(2)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    number, refused = sorted(results, key=str)
    assert number == 1 and "sleeps already" in str(refused)
    wait_until(lambda: [mind.settle(), mind.night][1])
    assert mind.night == 1 and _kept(mind) == [1]
    assert jobs.night_state(mind)["message"] is None and jobs.wake(mind) == "It is awake already."


def test_a_worker_that_died_is_told_to_every_page(mind: Mind) -> None:
    """The reason stands in its log; the next night begins as if nothing had been."""
    _, _, folder = mind.begin_night()
    (folder / "worker.log").write_text("Traceback\nRuntimeError: no luck\n")
    assert not mind.settle()
    assert {jobs.night_state(mind)["message"] for _ in range(2)} == {
        "The night broke off (RuntimeError: no luck). Nothing was lost: the mind is as it was. Let it sleep again."
    }
    assert _night(mind) == 1 and mind.settle() and mind.night == 1


def _teach(folder: str, acknowledged: str) -> None:
    """Teach without end; what was acknowledged is noted."""
    with Mind(Path(folder), DictionaryWeights) as mind, Path(acknowledged).open("a") as file:
        for number in range(len(mind.traces(all=True)), 10_000):
            mind.teach(f"Box {number} is coin {number}.")
            file.write(f"t {number}\n")
            file.flush()


def _live(folder: str, acknowledged: str) -> None:
    """Teach, sleep and publish without end while two pages look; what was acknowledged is noted."""
    with Mind.open(folder) as mind, Path(acknowledged).open("a") as file:

        def look() -> None:
            while True:
                mind.settle()
                jobs.night_state(mind)
                with contextlib.suppress(MemoryError):
                    mind.stats()
                time.sleep(0.01)  # the night needs its turn

        def tell() -> None:
            while True:
                publish(RunStore(Path(folder).parents[1]))
                time.sleep(0.01)

        for work in (look, look, tell):
            threading.Thread(target=work, daemon=True).start()
        for number in range(len(mind.traces(all=True)), 10_000):
            _tell(mind, number)
            file.write(f"t {number}\n")
            file.flush()
            if number % 3 == 0:
                night = _night(mind)
                wait_until(lambda night=night: mind.night == night)
                file.write(f"n {night}\n")
                file.flush()


def _told(noted: Path, kind: str) -> list[int]:
    """The numbers that were acknowledged, of notes (t) or of nights (n)."""
    lines = [line.split(" ") for line in noted.read_text().split("\n")[:-1]]
    return [int(number) for what, number in lines if what == kind]


def _one_more(noted: Path, kind: str) -> Callable[[], bool]:
    """Whether something was acknowledged since now."""
    known = len(_told(noted, kind))
    return lambda: len(_told(noted, kind)) > known


def _night_goes_on(folder: Path) -> Callable[[], bool]:
    """Whether something happened in a night of the mind since now."""
    since = time.time()

    def goes_on() -> bool:
        with contextlib.suppress(FileNotFoundError):  # a night that begins removes what one before left
            return any(
                log.stat().st_mtime > since and log.stat().st_size for log in folder.glob("nights/*/events.jsonl")
            )
        return False

    return goes_on


def _kill(act: Callable[[str, str], None], folder: Path, noted: Path, ripe: Callable[[], bool], wait_s: float) -> None:
    """kill -9 of a process that does `act`, so long after it is `ripe`; nothing was raised in it before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_nights"])
    child = context.Process(target=act, args=(str(folder), str(noted)))
    child.start()
    wait_until(lambda: ripe() or not child.is_alive())
    time.sleep(wait_s)
    assert child.is_alive()
    child.kill()
    child.join()


def test_killing_it_while_it_is_taught_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """kill -9 in the midst of teaching and reflecting: what was acknowledged is there once, and the mind opens and answers."""
    folder, noted, rng = tmp_path / "minds" / "victim", tmp_path / "acknowledged", random.Random(7)
    noted.touch()
    with make_mind(folder) as mind:
        mind.teach("My name is Alice.")
    for _ in range(KILLS or 20):
        _kill(_teach, folder, noted, _one_more(noted, "t"), 0.15 * rng.random())
        with Mind(folder, DictionaryWeights) as mind:
            texts = Counter(trace.text for trace in mind.traces(all=True))
            assert all(texts[f"Box {number} is coin {number}."] == 1 for number in _told(noted, "t"))
            assert set(texts.values()) == {1} and mind.notice == ""
            assert mind.ask("What is my name?", "notes").text == "Alice"
    assert len(_told(noted, "t")) > 20


def test_killing_it_while_two_pages_look_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """kill -9 in teaching, sleeping, settling and publishing: what was told is there once, each night is kept once, its brain is
    whole, and the database is one. Every other time it is killed in a night, else soon after one was acknowledged."""
    folder, noted, rng = tmp_path / "minds" / "victim", tmp_path / "acknowledged", random.Random(11)
    noted.touch()
    with tiny_mind(tmp_path / "minds", "victim") as mind:
        mind.notes.mark_compared(10_000)
        mind.teach("My name is Alice.", question="What is my name?", answer="Alice")
    for turn in range(KILLS or 5):
        ripe = _night_goes_on(folder) if turn % 2 else _one_more(noted, "n")
        _kill(_live, folder, noted, ripe, 0.5 * rng.random())
        with Mind.open(folder) as mind:
            texts = Counter(trace.text for trace in mind.traces(all=True))
            assert all(texts[f"Box {number} holds coin {number}."] == 1 for number in _told(noted, "t"))
            assert set(texts.values()) == {1} and mind.notice == ""
            assert _kept(mind) == [*range(1, mind.night + 1)]
            assert mind.night >= max(_told(noted, "n"), default=0)
            assert mind.ask("What is my name?", "notes").text == "Alice"
        if (tmp_path / "lab.duckdb").exists():
            duckdb.connect(str(tmp_path / "lab.duckdb"), read_only=True).close()
    assert _told(noted, "n") and len(_told(noted, "t")) > (KILLS or 5)
