"""The log, the runs' folder and the published database."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lab.config import ConfigError
from lab.events import to_record
from lab.learning import train
from lab.store import LiveLog, LogWriter, Run, RunStore, connect, publish, query, read_log
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
    assert "run's folder must be whole" in messages[torn.id] and "must have a run.json" in messages[bare.id]
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
