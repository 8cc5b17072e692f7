"""python -m lab bench …: what the lab costs here, and the weights by which notes are believed."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from lab.config import ConfigError, MindConfig, build_config
from lab.events import Step, to_record
from lab.exam import speed
from lab.exam.calibration import calibrate
from lab.exam.measure import facts_for_exam
from lab.memory import RecallIndex
from lab.mind import Mind, brains
from lab.mind.home import find_brain
from lab.store import RunStore, publish, summaries

ROOT = Path(__file__).resolve().parents[2]


def measure(what: str, *, data: str | None, minutes: float, seeds: int) -> dict[str, Any]:
    """Run one bench. Raises ConfigError where it lacks what it needs."""
    if what == "learn":
        if not data or not Path(data).is_file():
            raise ConfigError(f"bench learn must be given a text file; got {data!r}. Add --data PATH.", "data")
        if minutes <= 0 or seeds < 1:
            raise ConfigError(f"minutes and seeds must be above 0; got {minutes} and {seeds}. Try 3 and 1.", "minutes")
        return speed.bench_learn(data, minutes, seeds)
    benches: dict[str, Callable[[], dict[str, Any]]] = {
        "train": speed.bench_train, "generate": speed.bench_generate, "store": bench_store, "page": bench_page,
        "mind": bench_minds, "judgement": bench_judgement,
    }  # fmt: skip
    return benches[what]()


def bench_store(runs: int = 200, steps: int = 1000, rounds: int = 5) -> dict[str, Any]:
    """Publishing many runs at once, publishing after one changed, and what the Runs page asks, then and when nothing changed
    since; median seconds."""
    with tempfile.TemporaryDirectory() as home:
        store = RunStore(Path(home))
        bands = [{"fast": True, "medium": i % 16 == 0, "deep": i % 64 == 0} for i in range(1, steps + 1)]
        records = [
            {
                "n": i,
                **to_record(Step(i, 1024 * i, 5 / i**0.2, 0.25, 0.003, 12345.6, i / 10, 0.5, band, {"fire_rate": 0.3})),
            }
            for i, band in enumerate(bands, 1)
        ]
        log = "".join(json.dumps(record) + "\n" for record in ({"n": 0, "kind": "started", "step": 0}, *records))
        for seed in range(runs):
            run = store.create(build_config({"seed": seed}))
            run.events.write_text(log)
            store.update(run, status="finished", parameters=1)
        seconds = defaultdict[str, list[float]](list)
        for _ in range(rounds):
            with _timed(seconds["publish_all"]):
                publish(store, whole=True)
            store.update(run, status="finished")
            with _timed(seconds["publish_one"]):
                publish(store)
            for name in ("runs_page", "runs_page_again"):
                with _timed(seconds[name]):
                    store.list()
                    publish(store)
                    summaries(store)
    rows = [{"what": what, "seconds": statistics.median(times)} for what, times in seconds.items()]
    return {"bench": "store", "runs": runs, "steps": steps, "rounds": rounds, "rows": rows}


def bench_page(requests: int = 300) -> dict[str, Any]:
    """How long the shell's own requests take while a run trains, from a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "QOR_LAB_RUNS": home}
        app = subprocess.Popen(
            [sys.executable, "app.py", "--port", "0", "--no-browser"], cwd=ROOT, env=environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert app.stdout is not None
            url = next(line.split()[4] for line in app.stdout if line.startswith("QOR Lab is at"))
            shell = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            lab = [sys.executable, "-m", "lab"]
            run = shell([*lab, "train", "--steps", "100000", "--detach"]).stdout.strip()
            events = Path(home) / run / "events.jsonl"
            while not events.exists() or events.read_bytes().count(b"\n") < 20:
                time.sleep(0.2)
            rows = []
            with contextlib.closing(HTTPConnection(url.removeprefix("http://"))) as connection:
                for path in ("/", "/config", "/lab/plotly.min.js", "/theme.css"):
                    times: list[float] = []
                    for _ in range(requests // 4):
                        with _timed(times, 1e3):
                            connection.request("GET", path)
                            answer = connection.getresponse()
                            assert answer.read() and answer.status == 200
                    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[18]
                    rows.append({"request": path, "median_ms": median, "p95_ms": p95, "max_ms": max(times)})
            shell([*lab, "stop", run])
            while json.loads((Path(home) / run / "run.json").read_text())["status"] == "running":
                time.sleep(0.2)
        finally:
            app.terminate()
            app.wait()
    return {"bench": "page", "requests": requests, "rows": rows}


def bench_mind(brain: str, notes: int = 200, rounds: int = 60, crowd: int = 100_000) -> list[dict[str, Any]]:
    """Teaching, reflecting, asking notes and weights, the first byte, a night for 20 facts, and recall among 100,000 traces,
    by the mind itself."""
    facts, seconds = facts_for_exam("bench", notes), defaultdict[str, list[float]](list)
    with _mind(brain) as mind:
        mind.teach("The bench is made of wood.")
        mind.ask("What is the bench made of?")
        for fact in facts:
            with _timed(seconds["teach"]):
                mind.teach(fact.say(0))
        mind.reflect()
        for fact in facts_for_exam("bench, told later", 20):
            mind.teach(fact.say(0))
            with _timed(seconds["reflect"]):
                mind.reflect()
        for fact in facts[:rounds]:
            with _timed(seconds["ask"]):
                with _timed(seconds["first byte"]):
                    answer = mind.ask_stream(fact.ask(0))
                    next(answer)
                for _ in answer:
                    pass
        for fact in facts_for_exam("bench, not told", rounds, taught=facts):
            with _timed(seconds["untaught"]):
                mind.ask(fact.ask(0))
        index = RecallIndex()
        for key in range(crowd):
            index.add(key, [f"{facts[key % notes].say(key % 3)} {key}"])
        for key in range(2 * rounds):
            with _timed(seconds["recall"]):
                index.search(f"{facts[key % notes].ask(0)} {key * 797 % crowd}", 4)
    with _mind(brain) as mind:
        for fact in facts[:20]:
            mind.teach(fact.say(0))
        with _timed(seconds["night"]):
            for _ in mind.sleep():
                pass
        for fact in facts[:20]:
            with _timed(seconds["weights"]):
                mind.ask(fact.ask(-1), "weights")
    goals = (  # what, which times, the quantile, a second's worth of the unit, the most
        ("teach, ms, p95", "teach", 0.95, 1000, 20), ("reflect on a note, ms, p95", "reflect", 0.95, 1000, ""),
        ("ask, ms, p95", "ask", 0.95, 1000, 300), ("ask what was not taught, ms, p95", "untaught", 0.95, 1000, 300),
        ("ask the weights in other words, ms, p95", "weights", 0.95, 1000, 300),
        ("first byte, ms, p95", "first byte", 0.95, 1000, 100), ("night for 20 facts, s", "night", 0.5, 1, 60),
        (f"recall among {crowd:,} traces, ms, p99", "recall", 0.99, 1000, 20),
    )  # fmt: skip
    rows = []
    for what, name, share, unit, goal in goals:
        times = unit * np.array(seconds[name])
        figure = float(np.quantile(times, share, method="higher"))
        rows.append({"brain": brain, "what": what, "median": float(np.median(times)), "figure": figure, "goal": goal})
    return rows


@contextlib.contextmanager
def _mind(brain: str) -> Iterator[Mind]:
    """A mind for as long as needed, which sleeps only when told."""
    with (
        tempfile.TemporaryDirectory() as home,
        Mind.create("bench", brain, Path(home) / "minds", MindConfig(auto_sleep=False)) as mind,
    ):
        yield mind


def bench_minds() -> dict[str, Any]:
    """`bench_mind` for every starter."""
    return {"bench": "mind", "rows": [row for brain in brains() for row in bench_mind(brain)]}


def bench_judgement() -> dict[str, Any]:
    """What speaks for a note as an answer: the weights in use, and those that fit the starters as they are now."""
    weights = calibrate([find_brain(name, ROOT / "runs" / "minds") for name in brains()])
    rows = [{"evidence": name, "in use": used, "fitted": fitted} for name, (used, fitted) in weights.items()]
    return {"bench": "judgement", "rows": rows}


@contextlib.contextmanager
def _timed(times: list[float], scale: float = 1.0) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    times.append(scale * (time.perf_counter() - begin))
