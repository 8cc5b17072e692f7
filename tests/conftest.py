"""What tests share: a home for runs, tiny configs, and a process to wait for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.config import RunConfig, build_config
from lab.events import to_record
from lab.learning import train
from lab.store import LogWriter, Run, RunStore
from lab.store.runs import now

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["OMP_NUM_THREADS"] = "1"  # of every process that a test starts: as many tests as cores run side by side
torch.set_num_threads(1)

TINY = {
    "width": 16, "layers": 1, "heads": 2, "data": "facts:states", "seq_len": 32, "batch_size": 4, "steps": 40,
    "eval_every": 20, "eval_batches": 2, "sample_every": 20, "sample_bytes": 8, "checkpoint_every": 10,
    "precision": "fp32", "device": "cpu", "threads": 1,
}  # fmt: skip


def tiny(**options: Any) -> RunConfig:
    """A run that takes well below a second."""
    return build_config({**TINY, **options})


def wait_until(true: Callable[[], Any], limit_s: float = 60.0) -> Any:
    """Wait for something to become true and give it."""
    deadline = time.monotonic() + limit_s
    while not (value := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s")
        time.sleep(0.05)
    return value


def train_here(store: RunStore, config: RunConfig) -> Run:
    """A finished run that was trained in this process; its log is that of any other."""
    run = store.create(config)
    with LogWriter(run.events) as log:
        for event in train(config, run.folder):
            log.append(to_record(event))
    return store.close(run, status="finished", ended_at=now())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """An empty folder of runs, also for child processes."""
    monkeypatch.setenv("QOR_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(
        "lab.store.runs.STARTERS", tmp_path / "starters"
    )  # among the runs of this process there is none
    yield RunStore(tmp_path / "runs")
