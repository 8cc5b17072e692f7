"""Workers: launched, stopped, resumed, killed. These start real processes."""

from __future__ import annotations

import ast
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from lab import jobs
from lab.cli import main
from lab.config import ConfigError, build_arena
from lab.learning import load_trained
from lab.store import Run, RunStore, publish, query, read_log
from tests.conftest import tiny, train_here, wait_until

ROOT = Path(__file__).parents[1]


def ended(store: RunStore, run: Run, limit_s: float = 90.0) -> Run:
    return wait_until(lambda: (now := jobs.refresh(store, run)) and not now.live and now, limit_s)


def steps(run: Run) -> list[int]:
    return [record["step"] for record in read_log(run.events)[0] if record["kind"] == "step"]


def kill(run: Run) -> None:
    os.kill(int((run.folder / "pid").read_text().split()[0]), signal.SIGKILL)


def test_two_runs_at_once_then_stop_and_resume(store: RunStore) -> None:
    """Both learn at the same time; one is stopped gracefully and resumed to its end; all of it is in DuckDB."""
    long = jobs.launch(tiny(steps=5000, eval_every=5000, sample_every=5000), store)
    short = jobs.launch(tiny(model="baseline", steps=60), store)
    wait_until(lambda: len(steps(long)) > 5)
    jobs.stop(store, long)
    stopped = ended(store, long)
    assert stopped.status == "stopped" and stopped.record["parameters"] > 0
    assert ended(store, short).status == "finished"
    done = steps(stopped)[-1]
    with pytest.raises(ConfigError, match="must be live to be stopped"):
        jobs.stop(store, stopped)
    with pytest.raises(ConfigError, match="is finished"):
        jobs.resume(store, store.get(short.id))
    jobs.resume(store, stopped)
    wait_until(lambda: steps(long)[-1] > done)
    with pytest.raises(ConfigError, match="must have ended to be resumed"):
        jobs.resume(store, long)
    jobs.stop(store, long)
    assert ended(store, long).status == "stopped"
    publish(store)
    found = query("SELECT run, count(*) AS n, max(step) AS top FROM steps GROUP BY run", store=store).set_index("run")
    assert found.loc[short.id, "n"] == 60
    assert found.loc[long.id, "n"] == found.loc[long.id, "top"] == steps(long)[-1]


def test_killing_a_worker_at_random_points_loses_nothing(store: RunStore) -> None:
    """kill -9, four times, at random moments: no line it wrote is lost, and the end is that of an undisturbed run."""
    config = tiny(steps=400, checkpoint_every=25, eval_every=50, sample_every=100, cms_med_freq=4, cms_slow_freq=16)
    draws = random.Random(7)
    run = jobs.launch(config, store)
    for _ in range(4):
        before = len(read_log(run.events)[0])
        more = draws.randrange(5, 60)
        wait_until(
            lambda run=run, enough=before + more: (
                len(read_log(run.events)[0]) > enough or not jobs.refresh(store, run).live
            )
        )
        time.sleep(draws.random() * 0.05)
        if not jobs.refresh(store, run).live:
            break
        acknowledged = run.events.read_bytes()
        acknowledged = acknowledged[: acknowledged.rfind(b"\n") + 1]
        kill(run)
        crashed = ended(store, run)
        assert crashed.status == "crashed" and "killed" in crashed.record["message"]
        assert run.events.read_bytes().startswith(acknowledged)
        publish(store)
        run = jobs.resume(store, crashed)
    assert ended(store, run).status == "finished"
    publish(store)
    found = query("SELECT count(*) AS n, max(step) AS top FROM steps WHERE run = ?", [run.id], store=store)
    assert found.values.tolist() == [[400, 400]]

    undisturbed = store.create(config)
    from lab.learning import train

    list(train(config, undisturbed.folder))
    left, right = (load_trained(config, r.folder)[0].state_dict() for r in (run, undisturbed))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_crash_is_shown_with_its_traceback(store: RunStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker in which torch is broken ends as crashed, with the traceback in its record."""
    (tmp_path / "safetensors.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = ended(store, jobs.launch(tiny(), store))
    assert run.status == "crashed" and "broken on purpose" in run.record["traceback"]


def test_a_mistake_found_by_the_worker_is_a_sentence(store: RunStore) -> None:
    """A wrong column in line 20 is seen only when it is read: the run failed, and says where."""
    path = store.home.parent / "late.jsonl"
    path.write_text('{"text": "some words here"}\n' * 19 + '{"body": 1}\n')
    run = ended(store, jobs.launch(tiny(data=str(path)), store))
    assert run.status == "failed" and "line 20 of late.jsonl has 'body'" in run.record["message"]


def test_data_that_cannot_be_read_makes_no_run(store: RunStore) -> None:
    """The mistake is said before anything is started."""
    with pytest.raises(ConfigError, match="must name a file that exists"):
        jobs.launch(tiny(data="nowhere.txt"), store)
    assert store.list() == []


def test_only_one_worker_works_on_a_run(store: RunStore) -> None:
    """A second one is turned away and changes nothing."""
    run = jobs.launch(tiny(steps=5000), store)
    wait_until(lambda: len(steps(run)) > 3)
    again = subprocess.run(
        [sys.executable, "-m", "lab", "worker", run.id], capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 2 and "must have one worker" in again.stdout
    jobs.stop(store, run)
    assert ended(store, run).status == "stopped"


def test_a_full_disk_ends_a_run_with_a_sentence_and_it_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real file system of 24 MiB: the run fails cleanly, keeps its last checkpoint, and resumes once there is room."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        monkeypatch.setenv("QOR_LAB_RUNS", str(disk / "runs"))
        store = RunStore(disk / "runs")
        run = jobs.launch(tiny(steps=400, width=64), store)
        wait_until(lambda: len(list((run.folder / "checkpoints").glob("*.safetensors"))) == 2)
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        failed = ended(store, run)
        assert failed.status == "failed", failed.record
        assert "the disk must have room" in failed.record["message"]
        seen = steps(failed)
        filler.unlink()
        resumed = ended(store, jobs.resume(store, failed))
        assert (
            resumed.status == "finished"
            and set(range(1, 401)) <= set(steps(resumed))
            and steps(resumed)[: len(seen)] == seen
        )
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_exports_hold_the_runs_numbers(store: RunStore, tmp_path: Path) -> None:
    """CSV and Parquet have the same rows; the brain folder can be loaded; an unknown format is refused."""
    import pandas as pd

    run = train_here(store, tiny())
    publish(store)
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        jobs.export_tables(store, [run], tmp_path / kind, kind)
        frame: Any = read(tmp_path / kind / f"steps.{kind}")
        assert frame["step"].tolist() == list(range(1, 41))
    files = jobs.export_brain(run, tmp_path / "brain")
    assert [path.name for path in files] == ["model.safetensors", "model.json"]
    with pytest.raises(ConfigError, match="csv or parquet"):
        jobs.export_tables(store, [run], tmp_path, "xml")
    assert "".join(jobs.write(run, "What is the capital of France?", ask=True, length=5, temperature=0)) is not None
    with pytest.raises(ConfigError, match="has none yet"):
        list(jobs.write(store.create(tiny()), "x"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_to_a_full_disk_is_told_in_the_labs_sentence(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    """A run's tables and those of a comparison: one sentence and exit code 2."""
    import pandas as pd

    run, arena = store.create(tiny()), store.create(build_arena({"contestants": "qor"}))
    for one in (run, arena):
        store.update(one, status="finished")

    def full(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, f"to_{kind}", full)
    words = ["--format", kind, "--to", str(tmp_path / "out")]
    for command in (["export", run.id, "--no-brain", *words], ["arena", "report", arena.id, *words]):
        assert main(command) == 2 and "the disk must have room" in capsys.readouterr().err


def test_only_what_every_system_has_is_imported_at_once() -> None:
    """Modules of Unix alone are asked for inside the functions that need them, where the system has been asked."""
    unix = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "readline", "syslog", "curses"}
    for path in (ROOT / "lab").rglob("*.py"):
        for line in ast.parse(path.read_text()).body:
            names = [alias.name for alias in getattr(line, "names", ())] + [getattr(line, "module", None)]
            assert not unix & set(names), f"{path}: {names}"
