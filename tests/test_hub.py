"""Streaming from a hub, over the real `datasets` path, against a hub on this machine. Each child asks for itself,
because the address of the hub is read when `datasets` is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READ = """
import json, sys
from itertools import islice
from lab.data.hub import stream_texts
from lab.config import ConfigError
import lab.data.hub as hub
hub.FIRST_WAIT_S = 0.05
def found(name, column, start, count):
    try:
        return [text.decode() for text in islice(stream_texts(name, None, column)(start), count)]
    except ConfigError as error:
        return str(error)
print(json.dumps([found(*asked) for asked in json.loads(sys.argv[1])]))
"""


@contextmanager
def loopback_hub(*flags: str) -> Iterator[str]:
    words = [sys.executable, str(ROOT / "tests" / "loopback_hub.py"), *flags]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def environment(address: str, home: Path) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "QOR_LAB_RUNS": str(home / "runs")}


def read(address: str, home: Path, *asked: tuple[str, str, int, int]) -> list[list[str] | str]:
    """What a child gets for each data set, column, start and count: texts, or the sentence that says why not."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(asked)], cwd=ROOT, env=environment(address, home), capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    results: list[list[str] | str] = json.loads(done.stdout.splitlines()[-1])
    return results


def expected(start: int, count: int) -> list[str]:
    return [f"document {i} " + "word " * (i % 40) for i in range(start, start + count)]


def test_a_stream_reads_on_exactly_through_errors_and_dropped_connections(tmp_path: Path) -> None:
    """With 500s, slow answers and connections cut half-way every text comes once, in order, from any place."""
    with loopback_hub("--faults") as address:
        places = [("someone/mini", "text", 0, 3000), ("someone/mini", "text", 1777, 50)]
        assert read(address, tmp_path, *places) == [expected(0, 3000), expected(1777, 50)]


def test_a_wrong_name_or_column_or_an_absent_hub_is_one_sentence(tmp_path: Path) -> None:
    """What is wrong, and what there is."""
    with loopback_hub() as address:
        wrong = [("someone/mini", "body", 0, 1), ("someone/else", "text", 0, 1)]
        wrong_column, wrong_name = read(address, tmp_path, *wrong)
    (nobody,) = read("http://127.0.0.1:9", tmp_path / "other", ("someone/mini", "text", 0, 1))
    assert "must have a text column 'body'; it has 'text'" in wrong_column
    assert "must name a data set" in wrong_name
    assert "the hub must be reachable" in nobody and "use a file" in nobody


@pytest.mark.parametrize("stop_at", [15])
def test_a_run_on_a_hub_stream_resumes_exactly(tmp_path: Path, stop_at: int) -> None:
    """Stopped and resumed, a run sees the very batches that an uninterrupted one sees, and ends with its weights."""
    code = """
import sys
from pathlib import Path
import torch
from lab.learning import load_trained, train
from lab.events import Step
from tests.conftest import tiny
config = tiny(data="hub:someone/mini", steps=30, checkpoint_every=10, eval_every=30, sample_every=30)
home = Path(sys.argv[1])
list(train(config, home / "through"))
for event in train(config, home / "cut"):
    if isinstance(event, Step) and event.step == int(sys.argv[2]):
        break
list(train(config, home / "cut", resume=True))
left, right = (load_trained(config, home / name)[0].state_dict() for name in ("through", "cut"))
print(all(torch.equal(left[name], right[name]) for name in left))
"""
    with loopback_hub() as address:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), str(stop_at)], cwd=ROOT, env=environment(address, tmp_path),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr[-2000:]
