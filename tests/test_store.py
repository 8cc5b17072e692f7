"""The log, the runs' folder and the published database."""

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lab import jobs
from lab.cli import main
from lab.config import STARTERS, ConfigError, MindConfig, build_arena
from lab.events import to_record
from lab.learning import train
from lab.memory.tiers import strength_now
from lab.memory.traces import Trace
from lab.store import (
    ArenaLog,
    LiveLog,
    LiveLogs,
    LogWriter,
    Run,
    RunStore,
    connect,
    publish,
    query,
    read_log,
    summaries,
)
from lab.store.runs import now
from lab.views import arena as views
from tests.conftest import tiny

ROOT = Path(__file__).parents[1]


def trained(store: RunStore, **options: Any) -> Run:
    """A finished run with its log, without a worker."""
    config = tiny(**options)
    run = store.create(config)
    with LogWriter(run.events) as log:
        for event in train(config, run.folder):
            log.append(to_record(event))
    return store.update(run, status="finished", started_at=run.record["created_at"], parameters=7, device="cpu")


def test_the_tables_hold_what_the_log_says(store: RunStore) -> None:
    """Steps, bands, evaluations and samples of a real run, by SQL, with the design's columns."""
    run = trained(store, cms_med_freq=4, cms_slow_freq=8)
    with connect(store.home) as db:
        steps = db.execute("SELECT * FROM steps ORDER BY step").df()
        assert list(steps.columns[:9]) == [
            "run",
            "step",
            "tokens",
            "loss",
            "surprise",
            "lr",
            "tokens_s",
            "elapsed_s",
            "grad_norm",
        ]
        assert list(steps["step"]) == list(range(1, 41)) and set(steps["run"]) == {run.id}
        medium = db.execute("SELECT step FROM bands WHERE band = 'medium' AND updated ORDER BY step").fetchall()
        assert [row[0] for row in medium] == list(range(4, 41, 4))
        assert db.execute("SELECT count(*) FROM bands").fetchall() == [(120,)]
        assert len(db.execute("SELECT * FROM evals").fetchall()) == 2
        assert len(db.execute("SELECT * FROM samples").fetchall()) == 2
        row = db.execute("SELECT run, kind, model, config->>'seq_len', status, parameters, device FROM runs").fetchall()
        assert row == [(run.id, "train", "qor", "32", "finished", 7, "cpu")]
        share = dict(db.execute("SELECT band, share FROM band_activity").fetchall())
        assert share == {"fast": 1.0, "medium": 0.25, "deep": 0.125}
        assert db.execute("SELECT value FROM options WHERE option = 'seq_len'").fetchall() == [("32",)]
        assert db.execute("SELECT model, seed FROM curves LIMIT 1").fetchall() == [("qor", 0)]


def test_steps_written_twice_count_once(store: RunStore) -> None:
    """A run that resumed from step 2, and one that fell back to it: the later lines count, the notice stays."""
    for back in (
        {"kind": "started", "step": 2},
        {"kind": "rolledback", "from_step": 4, "to_step": 2, "loss": 9.0, "lr_scale": 0.5},
    ):
        run = store.create(tiny())
        with LogWriter(run.events) as log:
            log.append({"kind": "started", "step": 0})
            for step, loss in ((1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)):
                log.append({"kind": "step", "step": step, "loss": loss, "bands": {"fast": True}})
            log.append({"kind": "evaluated", "step": 4, "split": "validation", "bpb": 1.0})
            log.append(back)
            log.append({"kind": "step", "step": 3, "loss": 33.0, "bands": {"fast": True}})
        found = query("SELECT step, loss FROM steps WHERE run = ? ORDER BY step", [run.id], store=store)
        publish(store)
        found = query("SELECT step, loss FROM steps WHERE run = ? ORDER BY step", [run.id], store=store)
        assert found.values.tolist() == [[1, 1.0], [2, 2.0], [3, 33.0]]
        assert query("SELECT * FROM evals WHERE run = ?", [run.id], store=store).empty
        live = LiveLog(run)
        live.read()
        assert live.steps()["loss"].tolist() == [1.0, 2.0, 33.0] and live.evals().empty
    assert "went back to step 2 with 50.0%" in query("SELECT text FROM notices", store=store)["text"][0]


@pytest.mark.parametrize("damage", ["removed", "garbage", "empty", "another"])
def test_a_lost_database_is_made_again(store: RunStore, damage: str) -> None:
    """Removed, overwritten with garbage, emptied, or another DuckDB file: the next question rebuilds it."""
    trained(store)
    publish(store)
    path = store.home / "lab.duckdb"
    path.unlink()
    if damage == "garbage":
        path.write_bytes(os.urandom(50_000))
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "another":
        duckdb.connect(str(path)).execute("CREATE TABLE mine (x INT)").close()
    assert query("SELECT count(*) AS n FROM steps", store=store)["n"][0] == 40
    with connect(store.home) as db:
        assert db.execute("SELECT count(*) FROM steps").fetchall() == [(40,)]


def test_a_forgotten_notebook_blocks_nothing(store: RunStore) -> None:
    """While another process holds the database open, a new run is published and seen by everyone who opens it."""
    trained(store)
    publish(store)
    code = "import duckdb, sys, time; d = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True); time.sleep(60)"
    words = [sys.executable, "-c", code, str(store.home / "lab.duckdb")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        trained(store, seed=1)
        assert publish(store)
        assert query("SELECT count(*) AS n FROM runs", store=store)["n"][0] == 2
        holder.kill()


def test_publishing_reads_only_changed_runs_and_says_when_there_are_none(store: RunStore) -> None:
    """A second time there is nothing to do; a removed run disappears."""
    first, second = trained(store), trained(store, seed=1)
    assert publish(store) and not publish(store)
    store.update(second, status="stopped")
    assert publish(store)
    assert query("SELECT status FROM runs WHERE run = ?", [second.id], store=store)["status"][0] == "stopped"
    assert query("SELECT count(*) AS n FROM steps", store=store)["n"][0] == 80
    (first.folder / "run.json").unlink()
    first.events.unlink()
    assert publish(store)
    assert query("SELECT count(*) AS n FROM steps", store=store)["n"][0] == 40


def test_a_live_log_is_a_table_at_every_moment(store: RunStore) -> None:
    """Read after every line, from none to all: the tables always have their columns, and end as the database's."""
    run = trained(store)
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"")
    live = LiveLog(run)
    for line in [b"", *lines]:
        with run.events.open("ab") as file:
            file.write(line)
        live.read()
        assert list(live.evals().columns) == ["step", "bpb", "tokens", "elapsed_s"]
        assert list(live.bands().columns) == ["step", "tokens", "elapsed_s", "band", "updated"]
        live.steps()
    assert live.evals()["tokens"].tolist() == [20 * 4 * 32, 40 * 4 * 32] and len(live.bands()) == 120
    publish(store)
    same = query("SELECT loss FROM steps ORDER BY step", store=store)["loss"]
    assert live.steps()["loss"].tolist() == same.tolist()


def test_a_run_folder_half_deleted_hides_no_other(store: RunStore) -> None:
    """Without run.json, with a torn one, without a log: each is listed, says what is wrong, and publishes."""
    whole, torn, bare, silent = (trained(store, seed=seed) for seed in range(4))
    (torn.folder / "run.json").write_text('{"run": "x", "st')
    (bare.folder / "run.json").unlink()
    silent.events.unlink()
    status = {run.id: run.status for run in store.list()}
    assert status == {whole.id: "finished", torn.id: "unreadable", bare.id: "unreadable", silent.id: "finished"}
    publish(store)
    messages = dict(query("SELECT run, message FROM runs", store=store).values.tolist())
    assert "run's folder must be whole" in messages[torn.id] and "run.json" in messages[bare.id]
    assert query("SELECT count(*) AS n FROM steps WHERE run = ?", [silent.id], store=store)["n"][0] == 0
    with pytest.raises(ConfigError, match="must be whole"):
        store.get(torn.id).config()


def test_a_run_is_found_by_a_part_of_its_name(store: RunStore) -> None:
    """Beginning, end, or last; several or none is refused in a sentence."""
    with pytest.raises(ConfigError, match="none called 'last'"):
        store.get("last")
    first = store.create(tiny())
    assert store.get("last").id == store.get(first.id[-8:]).id == store.get(first.id).id == first.id
    store.create(tiny())
    with pytest.raises(ConfigError, match="'20' fits 2"):
        store.get("20")
    for name in ("nope", "", "..", "../runs"):
        with pytest.raises(ConfigError):
            store.get(name)


def test_a_torn_last_line_is_cut_and_writing_goes_on(tmp_path: Path) -> None:
    """What a crash leaves of a line is no line; numbers go on."""
    path = tmp_path / "events.jsonl"
    with LogWriter(path) as log:
        log.append({"kind": "a"})
        log.append({"kind": "b"})
    with path.open("ab") as file:
        file.write(b'{"n": 2, "kind": "to')
    assert [record["kind"] for record in read_log(path)[0]] == ["a", "b"]
    with LogWriter(path) as log:
        log.append({"kind": "c"})
    assert [(record["n"], record["kind"]) for record in read_log(path)[0]] == [(0, "a"), (1, "b"), (2, "c")]


def test_a_reader_sees_only_whole_lines_and_reads_on(tmp_path: Path) -> None:
    """The offset is after the last whole line."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n": 0}\n{"n": 1}\n{"n"')
    records, offset = read_log(path)
    assert len(records) == 2 and offset == 18
    path.write_bytes(path.read_bytes() + b": 2}\n")
    assert read_log(path, offset)[0] == [{"n": 2}]
    assert read_log(tmp_path / "none")[0] == []


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes 5 bytes of a line, then none: the log is as it was, and the error says so."""
    path, write = tmp_path / "events.jsonl", os.write
    with LogWriter(path) as log:
        log.append({"kind": "kept"})
        size = path.stat().st_size
        left = [5]

        def full(file: int, content: bytes) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = write(file, content[: left[0]])
            left[0] -= count
            return count

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            log.append({"kind": "lost"})
        monkeypatch.undo()
        assert path.stat().st_size == size
        log.append({"kind": "later"})
    assert [record["n"] for record in read_log(path)[0]] == [0, 1]


def test_a_log_is_numbered_and_json(tmp_path: Path) -> None:
    """Every line an object with its number; odd texts survive."""
    with LogWriter(tmp_path / "e") as log:
        log.append({"kind": "x", "text": "a\nb \ud800 한"})
    (line,) = (tmp_path / "e").read_text().splitlines()
    assert json.loads(line)["n"] == 0


def test_killing_a_publisher_at_random_points_leaves_a_whole_database(store: RunStore) -> None:
    """kill -9 in the middle of publishing, eight times: the database answers, and no draft is left behind."""
    for seed in range(3):
        trained(store, seed=seed)
    publish(store)
    code = "from lab.store import publish\nprint(1, flush=True)\nwhile True: publish(whole=True)"
    draws = random.Random(3)
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as publisher:
            assert publisher.stdout is not None
            publisher.stdout.readline()
            time.sleep(0.1 + draws.random() * 0.3)
            publisher.kill()
        assert query("SELECT count(*) AS n FROM steps WHERE run LIKE '2%'", store=store)["n"][0] == 120  # no starters
    trained(store, seed=9)
    publish(store)
    assert not list(store.home.glob("*.tmp*"))


def test_a_young_database_is_left_alone_when_asked(store: RunStore) -> None:
    """Live pages publish at most every so often."""
    trained(store)
    publish(store)
    time.sleep(0.01)
    trained(store, seed=1)
    assert not publish(store, max_age_s=60)
    assert publish(store)


def written(store: RunStore, name: str = "", steps: int = 2) -> Run:
    """A finished run whose log was not learnt but written; under another name where one is given."""
    run = store.create(tiny())
    lines = [{"n": i, "kind": "step", "step": i, "loss": 1.0, "bands": {"fast": True}} for i in range(1, steps + 1)]
    run.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store.update(run, status="finished")
    return store.read(run.folder.rename(run.folder.with_name(name)) if name else run.folder)


def record(**fields: Any) -> Callable[[Path], Any]:
    """Change fields of a run.json."""

    def change(folder: Path) -> None:
        path = folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Put something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


ODD = {
    "a list": instead("run.json", lambda path: path.write_text("[1]")),
    "a text": instead("run.json", lambda path: path.write_text('"status model config"')),
    "deep": instead("run.json", lambda path: path.write_text("[" * 100_000)),
    "a long number": instead("run.json", lambda path: path.write_text("9" * 5000)),
    "a huge record": instead("run.json", huge),
    "a pipe for a record": instead("run.json", os.mkfifo),
    "a folder for a record": instead("run.json", Path.mkdir),
    "a device for a record": instead("run.json", lambda path: path.symlink_to("/dev/zero")),
    "a loop for a record": instead("run.json", lambda path: path.symlink_to(path)),
    "a pipe for a log": instead("events.jsonl", os.mkfifo),
    "a device for a log": instead("events.jsonl", lambda path: path.symlink_to("/dev/zero")),
    "a folder for a log": instead("events.jsonl", Path.mkdir),
    "started at a number": record(started_at=5),
    "started some day": record(started_at="some day"),
    "no config": record(config=None),
    "config a list": record(config=[1]),
    "status a number": record(status=1),
    "status null": record(status=None),
    "parameters many": record(parameters="many"),
    "an unknown kind": record(kind="dance"),
}


@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_run_folder_is_called_unreadable_and_hides_no_other(
    store: RunStore, oddity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the list, the table, the database, the shell and the live log; and nothing hangs."""
    good, odd = written(store), written(store, "odd")
    ODD[oddity](odd.folder)
    assert {run.id: run.status for run in jobs.refresh_all(store)} == {good.id: "finished", "odd": "unreadable"}
    run = store.get("odd")
    assert str(run.damage).startswith("a run's folder must be whole; odd is not: ")
    with pytest.raises(ConfigError, match="must be whole"):
        run.config()
    live = LiveLog(run)
    live.read()
    live.steps()
    publish(store)
    assert query("SELECT count(*) AS n FROM steps WHERE run = ?", [good.id], store=store)["n"][0] == 2
    message = query("SELECT status, message FROM runs WHERE run = 'odd'", store=store).values.tolist()
    assert message == [["unreadable", run.damage]] and summaries(store)[good.id]["step"] == 2
    assert main(["runs"]) == main(["show", "odd"]) == main(["show", good.id, "--json"]) == 0
    assert "unreadable" in capsys.readouterr().out


def test_a_folder_without_permission_is_unreadable(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may not be looked into; the reason is told."""
    good, odd = written(store), written(store, "odd")
    real = os.stat

    def refuse(path: Any, *args: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(f"{odd.folder}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(os, "stat", refuse)
    assert {run.id: run.status for run in store.list()} == {good.id: "finished", "odd": "unreadable"}
    assert "Permission denied" in str(store.get("odd").damage)
    publish(store)
    assert set(summaries(store)) == {good.id, "odd"}


@pytest.mark.parametrize(
    "name", ["**", "*", "a[b]c", "x?y", "[", 'it\'s "so"', "new\nline", "run=5", "back\\slash", "한글", "%41#?"]
)
def test_a_run_may_have_any_name(store: RunStore, name: str) -> None:
    """Signs that stand for other names elsewhere stand for themselves."""
    for i, other in enumerate(("abc", name), 1):
        written(store, other, steps=i)
    found = query("SELECT run, count(*) AS n FROM steps GROUP BY run", store=store)
    assert dict(found.values.tolist()) == {"abc": 1, name: 2}
    assert store.get(name).status == "finished"


def test_a_name_that_is_no_text_is_told(store: RunStore) -> None:
    """A folder whose name is not UTF-8 has a name that can be written, and can be found by it."""
    good, odd = written(store), written(store, os.fsdecode(b"odd-\xff"))
    assert odd.id == "odd-\\xff" and store.get(odd.id).status == "unreadable" and "UTF-8" in str(odd.damage)
    assert dict(query("SELECT run, step FROM run_summary", store=store).dropna().values.tolist()) == {good.id: 2}
    assert set(summaries(store)) == {good.id, odd.id}


def test_runs_in_runs_are_no_runs(store: RunStore) -> None:
    """What a folder of a run holds is its own matter; a name leads nowhere else."""
    outer = written(store)
    inner = written(store)
    inner.folder.rename(outer.folder / "inner")
    assert [run.id for run in store.list()] == [outer.id]
    for name in (f"{outer.id}/inner", "..", ".", "\0", "x" * 5000):
        with pytest.raises(ConfigError):
            store.get(name)


def test_an_endless_log_takes_no_others_along(store: RunStore) -> None:
    """A terabyte of nothing after two lines: the live page shows both, the database has the others and says so."""
    good, odd = written(store), written(store, "odd")
    with odd.events.open("r+b") as file:
        file.truncate(2**40)
    live = LiveLog(odd)
    assert live.read() and not live.read() and live.steps()["step"].tolist() == [1, 2]
    assert dict(query("SELECT run, count(*) FROM steps GROUP BY run", store=store).values.tolist())[good.id] == 2
    assert "cannot be read" in query("SELECT text FROM notices WHERE run = 'odd'", store=store)["text"][0]


@pytest.mark.parametrize("hours", [-1, 1, 100_000])
def test_a_clock_that_was_set_stops_no_publishing(store: RunStore, hours: int) -> None:
    """A database from the future, or one from long ago, is brought up to date like any other."""
    written(store)
    publish(store)
    written(store, "later")
    when = time.time() + 3600 * hours
    os.utime(store.home / "lab.duckdb", (when, when))
    assert query("SELECT count(*) AS n FROM runs", store=store)["n"][0] == 2


def test_a_launch_from_the_future_is_dead_in_time(store: RunStore) -> None:
    """A run that says it starts, without a process, in a year that has not come: it has crashed."""
    run = store.update(store.create(tiny()), launched_at="2999-01-01T00:00:00+00:00")
    assert jobs.refresh(store, run).status == "crashed"


def test_an_odd_mind_hides_no_other(store: RunStore) -> None:
    """Pipes, garbage, rows of the wrong kind: the whole minds' traces are there, as strong as memory says."""
    columns = "id, text, tier, stage, confidence, importance, uses, repeats, created_at, used_at, superseded_by, forgotten_at, disputed_at"
    now = time.time()
    for name in ("alice", "b#?%20b", os.fsdecode(b"c\xff"), "pipe", "garbage", "listed"):
        folder = store.home / "minds" / name
        folder.mkdir(parents=True)
        (folder / "mind.json").write_text("[]" if name == "listed" else '{"config": {"memory_decay": 0.5}}')
        if name == "pipe":
            os.mkfifo(folder / "memory.sqlite")
            continue
        with sqlite3.connect(folder / "memory.sqlite") as sql:
            sql.execute(f"CREATE TABLE traces ({columns})")
            sql.execute(
                "CREATE TABLE nights (night, phase, started_at, seconds, replayed, promoted, recall_before, recall_after, detail)"
            )
            sql.execute("CREATE TABLE messages (at, role, text, about)")
            rows = [
                (1, "Cats purr.", "LTM", "notes", 0.9, 0.7, 3, 2, now - 86400, now - 86400, None, None, None),
                (2, "odd", "LTM", "notes", "sure", None, "x", 1, "then", [], None, None, None),
                (3, b"\xff\x00", 5, None, 0.5, 0.5, 1, 1, 1e300, 0, None, None, None),
            ]
            sql.executemany(
                f"INSERT INTO traces VALUES ({', '.join('?' * 13)})",
                [[str(v) if v == [] else v for v in row] for row in rows],
            )
            sql.execute("INSERT INTO nights (night, detail) VALUES (1, '[]')")
            sql.execute("INSERT INTO messages VALUES (1, 'mind', 'x', ?)", ['"answer"'])
        if name == "garbage":
            (folder / "memory.sqlite").write_bytes(b"x" * 5000)
    found = query("SELECT mind, text, strength FROM traces WHERE trace = 1 ORDER BY mind", store=store)
    assert found["mind"].tolist() == ["alice", "b#?%20b", "c\\xff"]
    trace = Trace("Cats purr.", now - 86400, confidence=0.9, importance=0.7, uses=3, used_at=now - 86400)
    wanted = strength_now(trace, MindConfig(memory_decay=0.5), now)
    assert found["strength"].tolist() == pytest.approx([wanted] * 3, rel=1e-3) and abs(wanted - 0.9) > 0.04


def test_a_starter_is_found_wherever_the_runs_are(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They come with the code; a run of the same name goes before them."""
    monkeypatch.setattr("lab.store.runs.STARTERS", STARTERS)
    assert main(["show", "qor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "qor"
    assert (
        query("SELECT count(*) AS n FROM measures WHERE run = 'qor' AND name = 'fire_rate'", store=store)["n"][0] > 100
    )
    own = written(store, "qor")
    assert [run.folder for run in store.list() if run.id == "qor"] == [own.folder] and store.get(
        "qor"
    ).folder == own.folder


def test_a_run_is_read_again_only_when_it_changed(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing changed no file is opened; what changed, and only that, is."""
    runs = [written(store) for _ in range(4)]
    publish(store)
    assert not publish(store)
    before = summaries(store)
    opened: list[Path] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args, **more: opened.append(self) or real(self, *args, **more))
    monkeypatch.setattr(duckdb, "connect", lambda *args, **more: pytest.fail("no database need be opened"))
    assert len(jobs.refresh_all(store)) == 4 and not publish(store) and summaries(store) == before
    assert opened == []
    monkeypatch.undo()
    store.update(runs[2], status="stopped")
    assert publish(store) and summaries(store)[runs[2].id]["status"] == "stopped"


def test_what_others_need_not_read_is_for_its_owner_alone(store: RunStore) -> None:
    """A run's folder, its log and the database, whatever the umask."""
    before = os.umask(0)
    try:
        run = store.create(tiny())
        LogWriter(run.events).append({"kind": "notice", "step": 0, "text": "x"})
        publish(store)
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (run.folder, run.events, store.home / "lab.duckdb")
    }
    assert modes == {run.id: 0o700, "events.jsonl": 0o600, "lab.duckdb": 0o600}


def test_threads_that_look_at_one_log_count_every_step_once(store: RunStore) -> None:
    """Eight of them, while it grows."""
    run, logs = written(store, steps=0), LiveLogs(LiveLog)
    lengths: list[int] = []

    def look() -> None:
        for _ in range(20):
            lengths.append(len(logs.of(run).steps()))

    watchers = [threading.Thread(target=look) for _ in range(8)]
    for watcher in watchers:
        watcher.start()
    with LogWriter(run.events) as log:
        for step in range(1, 2001):
            log.append({"kind": "step", "step": step, "loss": 1.0, "bands": {"fast": True}})
    for watcher in watchers:
        watcher.join()
    assert len(lengths) == 160 and logs.of(run).steps()["step"].tolist() == list(range(1, 2001))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), duckdb.IOException("IO Error: No space left on device")]
)
def test_a_full_disk_is_told_in_the_labs_sentence(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """While the database is made, whoever raises it; the shell and the page say the same."""
    import gradio as gr

    from lab.ui.runs import _ask

    run = written(store)

    def full(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(duckdb, "connect", full)
    for words in (["runs"], ["show", run.id], ["rebuild-db"], ["export", run.id, "--no-brain"]):
        assert main(words) == 2 and "the disk must have room" in capsys.readouterr().err
    with pytest.raises(gr.Error, match="the disk must have room"):
        _ask(lambda: summaries(store), store)
    assert not list(store.home.glob("*.tmp"))


CELL = {"contestant": "qor", "seed": 1, "order": "forward"}
SCORE = {
    "kind": "scored",
    **CELL,
    "after_task": 1,
    "on_task": 1,
    "split": "test",
    "recall": 0.5,
    "loss_nats": 1.0,
    "n": 4,
}
ANSWER = {
    "kind": "answered",
    **CELL,
    "after_task": 1,
    "on_task": 1,
    "prompt": "a",
    "expected": "b",
    "given": "b",
    "correct": True,
}
COST = {
    "kind": "taskended",
    **CELL,
    "task": 1,
    "seconds": 1.0,
    "steps": 2,
    "tokens": 3,
    "stored_bytes": 4,
    "peak_bytes": 5,
    "coverage": None,
}
PROBE = {"kind": "probed", **CELL, "moment": 1.0, "on_task": 1, "recall": 0.5}
STEP = {"kind": "practised", **CELL, "task": 1, "step": 1, "of": 0, "loss": 1.0, "penalty": 0.0, "seconds": 1.0}
ODD_CELLS = [
    *({name: value for name, value in line.items() if name != left} for line in (SCORE, ANSWER, COST, PROBE, STEP) for left in line),
    *({**line, name: wrong} for line in (SCORE, ANSWER, COST, PROBE, STEP) for name in line for wrong in (None, [1], "x", -7, 10**30)),
    {"kind": "begun"}, {"kind": "begun", **CELL, "done": "x"}, {"kind": "started", "step": 1}, {"kind": "notice"}, STEP,
]  # fmt: skip


def test_a_damaged_line_of_a_cell_hides_nothing_else_of_an_arena(store: RunStore) -> None:
    """Fields missing, null, of a wrong type or about tasks that there are not: every figure, table and card is made."""
    from lab.report import export_arena, report
    from lab.ui.verdict import arena_card, verdict_card

    config = build_arena({"contestants": "qor,baseline"})
    run = store.update(store.create(config), status="running", launched_at=now())
    contested = {
        "kind": "contested",
        "stream": "x",
        "tasks": {"forward": ["a", "b"]},
        "parameters": {"qor": 5},
        "cells": 2,
        "done": 0.0,
    }
    lines = [
        {"kind": "contested"},
        {**contested, "tasks": [1]},
        contested,
        {**contested, "parameters": "x"},
        {"kind": "notice"},
    ]
    run.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    cells = [
        run.folder / "cells" / name / "events.jsonl" for name in ("good", "pipe", *map(str, range(len(ODD_CELLS))))
    ]
    for path in cells:
        path.parent.mkdir(parents=True)
    os.mkfifo(cells[1])
    for path, line in zip(cells, [None, None, *ODD_CELLS], strict=True):
        if path is not cells[1]:
            path.write_text("".join(json.dumps(one) + "\n" for one in (SCORE, line, ANSWER, COST, PROBE)))
    log = ArenaLog(run)
    assert log.read() and len(log.table("scores")) >= len(cells) - 1 <= len(log.table("answers"))
    told = report(config, log)
    assert arena_card(run, config, log, told) and verdict_card(told, config, run)
    scores, probes, tasks = (log.table(name) for name in ("scores", "probes", "tasks"))
    assert len(views.figures(scores, probes, told.seeds, tasks, config.names())) == 8
    for kind in ("csv", "json", "html"):
        assert export_arena(run, store.home / kind, kind)
    found = query("SELECT count(*) AS n FROM scores WHERE run = ?", [run.id], store=store)
    assert found["n"][0] == len(scores)


def test_a_folder_in_the_place_of_the_database_is_told_in_a_sentence(store: RunStore) -> None:
    (store.home / "lab.duckdb").mkdir(parents=True)
    for ask in (lambda: publish(store), lambda: query("SELECT 1", store=store)):
        with pytest.raises(ConfigError, match=r"lab.duckdb must be a file; .* Move it away"):
            ask()
