"""python -m lab bench …: every figure of speed that the README quotes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from lab.config import ConfigError, build_config
from lab.events import Step, to_record
from lab.store import RunStore, publish, summaries

ROOT = Path(__file__).resolve().parents[2]


def measure(what: str, *, data: str | None, minutes: float, seeds: int) -> dict[str, Any]:
    """Run one bench. Raises ConfigError where it lacks what it needs."""
    from lab.learning import bench

    if what == "learn":
        if not data or not Path(data).is_file():
            raise ConfigError(f"bench learn must be given a text file; got {data!r}. Add --data PATH.", "data")
        if minutes <= 0 or seeds < 1:
            raise ConfigError(f"minutes and seeds must be above 0; got {minutes} and {seeds}. Try 3 and 1.", "minutes")
        return bench.bench_learn(data, minutes, seeds)
    benches: dict[str, Callable[[], dict[str, Any]]] = {
        "train": bench.bench_train, "generate": bench.bench_generate, "store": bench_store, "page": bench_page,
        "mind": bench_minds, "judgement": bench_judgement,
    }  # fmt: skip
    return benches[what]()


def bench_store(runs: int = 200, steps: int = 1000, rounds: int = 5) -> dict[str, Any]:
    """Publishing many runs at once, then one that changed, and what the Runs page asks when nothing did; median seconds."""
    from lab.jobs.control import refresh_all

    with tempfile.TemporaryDirectory() as home:
        store = RunStore(Path(home))
        made = (
            Step(i, 1024 * i, 5 / i**0.2, 0.25, 0.003, 12345.6, i / 10, 0.5,
                 {"fast": True, "medium": i % 16 == 0, "deep": i % 64 == 0}, {"fire_rate": 0.3})
            for i in range(1, steps + 1)
        )  # fmt: skip
        lines = [json.dumps({"n": step.step, **to_record(step)}) for step in made]
        log = "\n".join([json.dumps({"n": 0, "kind": "started", "step": 0}), *lines]) + "\n"
        for seed in range(runs):
            run = store.create(build_config({"seed": seed}))
            run.events.write_text(log)
            store.update(run, status="finished", parameters=1)
        seconds: dict[str, list[float]] = {"publish_all": [], "publish_one": [], "runs_page": []}
        for _ in range(rounds):
            seconds["publish_all"].append(_seconds(lambda: publish(store, whole=True)))
            store.update(run, status="finished")
            seconds["publish_one"].append(_seconds(lambda: publish(store)))
            summaries(store)
            seconds["runs_page"].append(_seconds(lambda: (refresh_all(store), publish(store), summaries(store))))
    rows = [{"what": what, "seconds": statistics.median(times)} for what, times in seconds.items()]
    return {"bench": "store", "runs": runs, "steps": steps, "rounds": rounds, "rows": rows}


def _seconds(act: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _get(connection: HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200 and body


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
            words = [sys.executable, "-m", "lab", "train", "--steps", "100000", "--detach"]
            run = subprocess.run(
                words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
            ).stdout.strip()
            events = Path(home) / run / "events.jsonl"
            while not events.exists() or events.read_bytes().count(b"\n") < 20:
                time.sleep(0.2)
            rows = []
            with contextlib.closing(HTTPConnection(url.removeprefix("http://"))) as connection:
                for path in ("/", "/config", "/lab/plotly.min.js", "/theme.css"):
                    times = [1e3 * _seconds(partial(_get, connection, path)) for _ in range(requests // 4)]
                    cuts = statistics.quantiles(times, n=20)
                    rows.append(
                        {
                            "request": path,
                            "median_ms": statistics.median(times),
                            "p95_ms": cuts[18],
                            "max_ms": max(times),
                        }
                    )
            subprocess.run(
                [sys.executable, "-m", "lab", "stop", run], cwd=ROOT, env=environment, capture_output=True, check=True
            )
            while json.loads((Path(home) / run / "run.json").read_text())["status"] == "running":
                time.sleep(0.2)
        finally:
            app.terminate()
            app.wait()
    return {"bench": "page", "requests": requests, "rows": rows}


def bench_mind(brain: str, notes: int = 200, rounds: int = 60, crowd: int = 100_000) -> list[dict[str, Any]]:
    """Teaching, reflecting, asking notes and weights, the first byte, a night for 20 facts, and recall among 100,000 traces,
    by the mind itself."""
    from lab.config import MindConfig
    from lab.mind import Mind
    from lab.mind.exam import facts_for_exam

    facts, awake = facts_for_exam("bench", notes), MindConfig(auto_sleep=False)
    seconds: dict[str, list[float]] = {
        what: [] for what in ("teach", "reflect", "ask", "first byte", "untaught", "recall", "weights")
    }
    with tempfile.TemporaryDirectory() as home, Mind.create("bench", brain, Path(home) / "minds", awake) as mind:
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
        index = type(mind.index)()
        for key in range(crowd):
            index.add(key, [f"{facts[key % notes].say(key % 3)} {key}"])
        for key in range(2 * rounds):
            with _timed(seconds["recall"]):
                index.search(f"{facts[key % notes].ask(0)} {key * 797 % crowd}", 4)
    night: list[float] = []
    with tempfile.TemporaryDirectory() as home, Mind.create("night", brain, Path(home) / "minds", awake) as mind:
        for fact in facts[:20]:
            mind.teach(fact.say(0))
        with _timed(night):
            for _ in mind.sleep():
                pass
        for fact in facts[:20]:
            with _timed(seconds["weights"]):
                mind.ask(fact.ask(-1), "weights")
    named = (
        ("teach, ms, p95", seconds["teach"], 0.95, 1000, 20), ("reflect on a note, ms, p95", seconds["reflect"], 0.95, 1000, None),
        ("ask, ms, p95", seconds["ask"], 0.95, 1000, 300),
        ("ask what was not taught, ms, p95", seconds["untaught"], 0.95, 1000, 300),
        ("ask the weights in other words, ms, p95", seconds["weights"], 0.95, 1000, 300),
        ("first byte, ms, p95", seconds["first byte"], 0.95, 1000, 100), ("night for 20 facts, s", night, 0.5, 1, 60),
        (f"recall among {crowd:,} traces, ms, p99", seconds["recall"], 0.99, 1000, 20),
    )  # fmt: skip
    return [
        {
            "brain": brain,
            "what": name,
            "median": scale * statistics.median(times),
            "figure": scale * _quantile(times, share),
            "goal": "" if goal is None else goal,
        }
        for name, times, share, scale, goal in named
    ]


def bench_minds() -> dict[str, Any]:
    """`bench_mind` for every starter."""
    from lab.mind import brains

    return {"bench": "mind", "rows": [row for brain in brains() for row in bench_mind(brain)]}


def bench_judgement() -> dict[str, Any]:
    """What speaks for a note as an answer: the weights in use, and those that fit the starters as they are now."""
    from lab.mind import brains
    from lab.mind.calibration import calibrate
    from lab.mind.home import find_brain

    weights = calibrate([find_brain(name, ROOT / "runs" / "minds") for name in brains()])
    rows = [{"evidence": name, "in use": used, "fitted": fitted} for name, (used, fitted) in weights.items()]
    return {"bench": "judgement", "rows": rows}


@contextlib.contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    into.append(time.perf_counter() - begin)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def render(result: dict[str, Any]) -> str:
    """Give a bench's result as a Markdown table, as it stands in the README; `command` stands before it, `verdicts` after."""
    rows = result["rows"]
    names = list(rows[0])
    head = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    table = [*head, *("| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows)]
    before = [f"`{result['command']}`", ""] if "command" in result else []
    after = ["", *(f"- {sentence}" for sentence in result["verdicts"])] if result.get("verdicts") else []
    return "\n".join([*before, *table, *after])


def write_readme(result: dict[str, Any], path: Path = ROOT / "README.md") -> None:
    """Put the table between the README's marks for this bench. Raises ConfigError when it has none."""
    begin, end = f"<!-- bench {result['bench']} -->", "<!-- end -->"
    text = path.read_text()
    if begin not in text:
        raise ConfigError(f"README.md must have a line {begin} to hold the table; it has none.", "bench")
    before, rest = text.split(begin, 1)
    path.write_text(f"{before}{begin}\n{render(result)}\n{end}{rest.split(end, 1)[1]}")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
