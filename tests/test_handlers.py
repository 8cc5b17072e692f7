"""What the tabs do when something is pressed, without a browser: values in, updates out."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lab import jobs
from lab.config import build_arena
from lab.mind import Minds, minds_home
from lab.store import ARENA, ArenaLog, Run, RunStore
from lab.store.live import KEPT_RUNS
from lab.ui.arena import SIZES, ArenaHandlers, ArenaLayout, keep_together
from lab.ui.chat import ChatLayout
from lab.ui.chat_handlers import NOBODY, ChatHandlers
from lab.ui.control import notice
from lab.ui.memory import MemoryHandlers, MemoryLayout
from lab.ui.runs import RunsHandlers
from lab.ui.train import TrainHandlers, TrainLayout
from tests.conftest import tiny, train_here


@pytest.fixture(scope="module")
def layouts() -> dict[str, Any]:
    """The components of the tabs, by the tab's name."""
    with gr.Blocks():
        return {"arena": ArenaLayout(), "chat": ChatLayout(), "memory": MemoryLayout(), "train": TrainLayout()}


@pytest.fixture
def arena(store: RunStore, layouts: dict[str, Any]) -> ArenaHandlers:
    return ArenaHandlers(store, layouts["arena"].fields)


@pytest.fixture
def train(store: RunStore, layouts: dict[str, Any]) -> TrainHandlers:
    return TrainHandlers(store, layouts["train"].form)


@pytest.fixture
def minds(store: RunStore) -> Minds:
    return Minds(minds_home(store.home))


def filled(fields: list[Any], **options: Any) -> list[Any]:
    """The values of a form as it stands, but for these options."""
    return [options.get(field.name, field.component.value) for field in fields]


def marked(fields: list[Any], updates: list[Any]) -> dict[str, str]:
    """What the last updates put at the fields, by their names."""
    marks = zip(fields, updates[-len(fields) :], strict=True)
    return {field.name: update["info"] for field, update in marks if "info" in update}


def changed(updates: list[Any]) -> list[int]:
    """The places of the updates that change anything."""
    return [i for i, update in enumerate(updates) if update != gr.skip()]


def test_a_bad_option_of_the_arena_is_told_at_its_field_and_freed_again(arena: ArenaHandlers) -> None:
    """The rule stands below the form and at the field, Start waits; when it is mended the help is back."""
    message, size, _, start, bad, *_ = updates = arena.check(None, *filled(arena.fields, seeds=0))
    assert "seeds must be from 1" in message and size == "" and start["interactive"] is False and bad == "seeds"
    assert marked(arena.fields, updates)["seeds"].startswith("⚠ seeds must be from 1")
    message, size, command, start, bad, *_ = updates = arena.check("seeds", *filled(arena.fields))
    assert message == "" and "animals → arithmetic" in size and command.startswith("python -m lab arena")
    assert start["interactive"] is True and bad is None
    help = {field.name: field.help for field in arena.fields}
    assert marked(arena.fields, updates) == {"seeds": help["seeds"]}


def test_an_empty_field_and_an_unknown_contestant_are_told(arena: ArenaHandlers) -> None:
    """A number that was deleted is no number, and nobody competes who does not exist."""
    assert arena.check(None, *filled(arena.fields, steps=None))[4] == "steps"
    assert "nosuch" in arena.check(None, *filled(arena.fields, contestants=["nosuch", "baseline"]))[0]


def test_each_size_of_the_arena_is_a_comparison_that_can_start(arena: ArenaHandlers) -> None:
    """The buttons fill in what the form accepts, in the form's own order."""
    for name, options in SIZES.items():
        config = arena.read(tuple(arena.size(name)))
        assert config == build_arena(options), name


def test_a_mark_of_one_brain_stands_at_that_brains_field(train: TrainHandlers) -> None:
    """Several brains have heads; the chosen one is marked."""
    fields = train.form.fields
    updates = train.check(None, *filled(fields, model="baseline", heads=3))
    assert updates[4] == "heads"
    at = [field.model for field, update in zip(fields, updates[5:], strict=True) if "info" in update]
    assert at == ["baseline"]


def test_what_cannot_be_trained_starts_nothing(train: TrainHandlers, arena: ArenaHandlers, store: RunStore) -> None:
    """The sentence stands at the message and no run is made."""
    for runs, fields, options in (
        (train.runs, train.form.fields, {"data": "nowhere.txt"}),
        (arena.runs, arena.fields, {"facts": 0}),
    ):
        message, watched, _ = runs.launch(*filled(fields, **options))
        assert "must" in message and watched == gr.skip()
    assert store.list() == []


def test_a_run_whose_log_is_damaged_is_still_shown(
    train: TrainHandlers, store: RunStore, layouts: dict[str, Any]
) -> None:
    """Garbage in the log, a torn last line, and a run.json that is none: the page says what can be said."""
    run = train_here(store, tiny(steps=4))
    whole = train.watch(run.id, "step", 0.6, "")
    assert len(whole) == len(layouts["train"].shown) and "finished" in whole[0]
    with run.events.open("ab") as log:
        log.write(b'\xff\xfe{]\nnull\n[1]\n"step"\n{"kind": "step", "st')
    damaged = TrainHandlers(store, layouts["train"].form).watch(run.id, "step", 0.6, "")
    assert len(damaged) == len(layouts["train"].shown) and "finished" in damaged[0]
    (run.folder / "run.json").write_text("[]")
    updates = train.watch(run.id, "step", 0.6, "")
    assert len(updates) == len(layouts["train"].shown) and "lab-error" in updates[0] and changed(updates) == [0]


def test_nothing_moves_where_nothing_is_new(train: TrainHandlers, store: RunStore) -> None:
    """The stamp of the last look comes back, and everything is left as it is; another axis is something new."""
    run = train_here(store, tiny(steps=4))
    *_, stamp = train.watch(run.id, "step", 0.6, "")
    assert train.watch(run.id, "step", 0.6, stamp) == gr.skip()
    assert train.watch(run.id, "time", 0.6, stamp) != gr.skip()
    assert train.watch(None, "step", 0.6, "") == gr.skip()


def test_a_comparison_that_has_just_begun_can_be_looked_at(
    arena: ArenaHandlers, store: RunStore, layouts: dict[str, Any]
) -> None:
    """No log, no task, no score: every component gets something; a run that is gone is told at the card."""
    run = store.create(build_arena({"seeds": 1}))
    updates = arena.watch(run.id, None, None, None, None, None, None, "")
    assert len(updates) == len(layouts["arena"].shown) and run.id in updates[0]
    picked = [update["value"] for update in updates[-3:-1]]
    assert picked == build_arena({}).names()  # the maps are of two different contestants
    again = arena.watch(run.id, None, None, None, None, None, None, updates[-1])
    assert again == gr.skip()
    gone = arena.watch("gone", None, None, None, None, None, None, "")
    assert len(gone) == len(layouts["arena"].shown) and changed(gone) == [0]


def test_many_pages_share_the_log_of_a_comparison(arena: ArenaHandlers, store: RunStore) -> None:
    """However many look at once, a run's log is read once; only those looked at last are kept."""
    runs = [store.create(build_arena({"seeds": 1})) for _ in range(KEPT_RUNS + 1)]
    logs: set[ArenaLog] = set()

    def look(shift: int) -> None:
        for i in range(300):
            logs.add(arena._logs.of(runs[(i + shift) % KEPT_RUNS]))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pages:
            list(pages.map(look, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert len(logs) == KEPT_RUNS
    oldest = next(iter(arena._logs._logs))
    arena._logs.of(runs[-1])
    assert oldest not in arena._logs._logs and len(arena._logs._logs) == KEPT_RUNS


def test_files_uploaded_together_stay_together(store: RunStore, tmp_path: Path) -> None:
    """Tasks are their folder, a file of labels is the file; both outlive the browser's temporary ones."""
    texts = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    labels = [tmp_path / name for name in ("x_domains.json", "x.json")]
    for path in (*texts, *labels):
        path.write_text(path.name)
    tasks, table = (keep_together(store, [str(path) for path in paths]) for paths in (texts, labels))
    for path in (*texts, *labels):
        path.unlink()
    assert tasks.is_dir() and [path.read_text() for path in sorted(tasks.iterdir())] == ["a.jsonl", "b.jsonl"]
    assert table.name == "x.json" and (table.parent / "x_domains.json").exists() and table.parent != tasks


def test_an_upload_goes_to_the_field_that_reads_it(train: TrainHandlers, store: RunStore, tmp_path: Path) -> None:
    """Its new place, or nothing where nothing was chosen or it is gone."""
    book = tmp_path / "book.txt"
    book.write_text("hello")
    assert Path(train.runs.take_upload(str(book))).read_text() == "hello"
    assert train.runs.take_upload(None) == gr.skip()
    with pytest.warns(UserWarning, match="No such file"):
        assert train.runs.take_upload(str(tmp_path / "gone.txt")) == gr.skip()


def test_a_tab_attaches_to_the_newest_live_run_else_to_the_newest(
    train: TrainHandlers, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked at stays, while it is there."""
    for _ in range(2):
        train_here(store, tiny(steps=2))
    second, first = store.list()  # newest first
    assert train.runs.attach(None)["value"] == second.id
    assert train.runs.attach(first.id)["value"] == first.id
    live = Run(first.id, first.folder, {**first.record, "status": "running"})
    monkeypatch.setattr(jobs, "refresh_all", lambda store, kind: [second, live])
    assert train.runs.attach("gone")["value"] == first.id


def test_the_table_of_runs_says_what_to_press_and_keeps_the_choice(store: RunStore) -> None:
    """Empty: a sentence. Full: a row a run; a choice that is still there is not set again."""
    assert "press Start" in RunsHandlers(RunStore(store.home / "empty")).refresh([])[0][0][0]
    runs = RunsHandlers(store)
    for steps in (4, 6):
        train_here(store, tiny(steps=steps))
    made = [run.id for run in store.list()]
    rows, choice = runs.enter([])
    assert [row[0] for row in rows] == made and choice["value"] == made
    assert "value" not in runs.refresh(made)[1] and runs.refresh([made[0], "gone"])[1]["value"] == [made[0]]
    figure, diff = runs.draw(made, "loss", "step", 0.6)
    assert len(figure["data"]) == 2 and "steps" in diff["option"].tolist()
    file, note = runs.export(made, "csv")
    assert Path(file["value"]).exists() and "--format csv" in note
    assert "Choose at least one run" in runs.export([], "csv")[1]


def test_a_comparison_that_does_not_exist_is_not_exported(arena: ArenaHandlers) -> None:
    """What was asked stands in the note; no file appears."""
    assert "Choose a comparison" in arena.export(None, "csv")[1]
    assert changed(arena.export("gone", "csv")) == [1] and "there is none called" in arena.export("gone", "csv")[1]
    assert arena.runs.kind == ARENA


def test_without_a_mind_the_tabs_say_what_to_do(minds: Minds, layouts: dict[str, Any]) -> None:
    """Memory and Chat on an empty folder: a sentence in its place, everything else as it was."""
    memory, chat = MemoryHandlers(minds), ChatHandlers(minds)
    shown, spoken, watched = (len(layouts[tab].shown) for tab in ("memory", "chat", "chat"))
    assert spoken == watched
    for updates in (memory.show(None, "", False), memory.show("gone", "", False)):
        assert len(updates) == shown and changed(updates) == [shown - 1]
    assert "Open the Chat tab" in memory.show(None, "", False)[-1]
    assert chat.watch("gone", "") == gr.skip()
    (blank,) = chat.speak("  ", None, NOBODY, "auto", "both")
    assert len(blank) == len(layouts["chat"].spoken) and changed(blank) == [2] and "must say something" in blank[2]
    (nobody,) = chat.again("gone", "auto", "both", None, None)
    assert changed(nobody) == [2] and "lab-error" in nobody[2]
    assert changed(chat.make("a/b", "qor", None)) == [2]
    assert changed(chat.with_mind(jobs.wake)("gone")) == [1]
    assert len(chat.enter("gone", NOBODY)) == len(layouts["chat"].entered)


def test_a_notice_changes_one_component() -> None:
    """The others stay as they are."""
    assert changed(notice("So it is.", 1, 3)) == [1] and "So it is." in notice("So it is.", 1, 3)[1]
