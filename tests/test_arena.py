"""The arena: streams, metrics, verdicts, fairness, and runs that can be killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.stats import t as student

from lab import jobs
from lab.arena import (
    ablations,
    brain_config,
    compare,
    compete,
    contestants,
    estimate,
    find_contestant,
    make_stream,
    matrix,
    settings,
    summarise,
    tuning,
)
from lab.arena.asking import answer
from lab.arena.contestants import make_strategies
from lab.arena.metrics import anytime_accuracy, intransigence
from lab.arena.streams import Example, OpenLessons, PastDataError, segments
from lab.cli import main
from lab.cli.arena import RESULT_COLUMNS
from lab.config import ArenaConfig, ConfigError, TrainingConfig, build_arena
from lab.events import Answered, Contested, Scored, TaskEnded, to_record
from lab.jobs.arena import cells_of, check_arena, run_cell
from lab.learning import STRATEGIES, Strategy, choose_machine
from lab.learning.strategies.replay import Replay
from lab.models import count_parameters
from lab.report import contested_rows, export_arena, report
from lab.store import ArenaLog, LogWriter, Run, RunStore, connect
from lab.store.runs import now
from lab.text import LAB, Exchange, Lesson
from tests.conftest import wait_until

TINY: dict[str, Any] = {
    "facts": 6, "steps": 12, "width": 16, "layers": 1, "heads": 2, "seeds": 1, "probes": 1, "contestants": "qor+naive,baseline",
}  # fmt: skip


TUNED = {**settings(), "bands": {"count": 16, "steps": 5}}


def tiny(**options: Any) -> ArenaConfig:
    return build_arena({**TINY, **options})


def run_to_end(store: RunStore, config: ArenaConfig) -> Run:
    run = jobs.launch(config, store)
    return wait_until(lambda: (now := jobs.refresh(store, run)) and not now.live and now, 120)


def run_here(store: RunStore, config: ArenaConfig) -> Run:
    """A run whose cells compete one after the other in this process; its logs are those of any other."""
    run, about = store.create(config), check_arena(config)
    with LogWriter(run.events) as log:
        log.append(to_record(Contested(config.stream, about["tasks"], about["parameters"], about["cells"], 0.0)))
    for cell in cells_of(config):
        run_cell(config, cell, run.folder, about["settings"], None)
    return store.close(run, status="finished", ended_at=now())


def scores_of(run: Run) -> pd.DataFrame:
    log = ArenaLog(run)
    log.read()
    return log.table("answers").sort_values(["contestant", "seed", "task_order", "after_task", "on_task", "prompt"])


# ---- metrics and verdicts -------------------------------------------------------------------------------------------


def test_every_metric_of_a_known_matrix() -> None:
    """Three tasks, by hand."""
    r = np.array([[0.1, 0.0, 0.2], [0.9, 0.1, 0.2], [0.5, 0.8, 0.4], [0.6, 0.4, 1.0]])
    found = summarise(r)
    assert found["ACC"] == pytest.approx((0.6 + 0.4 + 1.0) / 3)
    assert found["learning accuracy"] == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert found["BWT"] == pytest.approx(((0.6 - 0.9) + (0.4 - 0.8)) / 2)
    assert found["forgetting"] == pytest.approx(((0.9 - 0.6) + (0.8 - 0.4)) / 2)
    assert found["FWT"] == pytest.approx(((0.1 - 0.0) + (0.4 - 0.2)) / 2)
    assert found["kept of the first task"] == pytest.approx(0.6 / 0.9)
    assert found["oldest"] == 0.6 and found["newest"] == 1.0
    assert anytime_accuracy(r) == pytest.approx([0.9, (0.5 + 0.8) / 2, 2.0 / 3])
    joint = np.array([[0.0] * 3, [0.9] * 3, [0.9] * 3, [1.0, 0.9, 0.95]])
    assert intransigence(r, joint) == pytest.approx(((1.0 - 0.9) + (0.9 - 0.8) + (0.95 - 1.0)) / 3)


def test_sql_computes_the_same_metrics(store: RunStore) -> None:
    """The view arena_seeds, on three tasks of which the first was never learnt by the second contestant."""
    run = store.create(tiny(stream="worlds-5"))
    tables = {
        "a": [[0.1, 0.0, 0.2], [0.9, 0.1, 0.2], [0.5, 0.8, 0.4], [0.6, 0.4, 1.0]],
        "b": [[0.0, 0.0, 0.0], [0.0, 0.3, 0.2], [0.5, 0.9, 0.1], [0.7, 0.2, 0.8]],
    }
    with LogWriter(run.events) as log:
        log.append(to_record(Contested("x", {"forward": ["p", "q", "r"]}, {}, 2, 0.0)))
    for name, rows in tables.items():
        (run.folder / "cells" / name).mkdir(parents=True)
        with LogWriter(run.folder / "cells" / name / "events.jsonl") as log:
            for after, row in enumerate(rows):
                for on, recall in enumerate(row, 1):
                    log.append(to_record(Scored(name, 7, "forward", after, on, "test", recall, 1.0, 10)))
    with connect(store.home) as db:
        found = db.sql("SELECT * FROM arena_seeds").df().set_index("contestant")
        quantiles = db.sql("SELECT df, t975 FROM student_t ORDER BY df").fetchall()
    for name, rows in tables.items():
        ours = summarise(np.array(rows))
        for column, metric in (
            ("acc", "ACC"), ("learning_accuracy", "learning accuracy"), ("bwt", "BWT"), ("forgetting", "forgetting"), ("fwt", "FWT"),
            ("oldest", "oldest"), ("newest", "newest"), ("kept_of_first", "kept of the first task"),
        ):  # fmt: skip
            assert found.loc[name, column] == pytest.approx(ours[metric]), (name, column)
    assert len(quantiles) == 100 and all(
        t975 == pytest.approx(student.ppf(0.975, df), abs=1e-4) for df, t975 in quantiles
    )


def test_an_interval_is_students() -> None:
    """1 … 5: mean 3, standard error 0.7071, t(0.975; 4) 2.7764."""
    found = estimate([1, 2, 3, 4, 5])
    assert found.mean == 3 and found.high - found.mean == pytest.approx(2.7764 * 0.70711, abs=1e-4)
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def test_a_verdict_needs_seeds_and_an_interval_without_zero() -> None:
    """One seed declares nobody; an interval with 0 shows no difference; pairs are taken by seed."""
    assert "One seed declares no winner" in compare("a", "b", {1: 0.9}, {1: 0.1}, "recall")[1]
    assert "no difference shown" in compare("a", "b", {1: 0.9, 2: 0.2}, {1: 0.1, 2: 0.8}, "recall")[1]
    difference, told = compare("a", "b", {1: 0.9, 2: 0.8, 3: 0.85}, {3: 0.35, 1: 0.4, 2: 0.3, 9: 1.0}, "recall")
    assert difference.mean == pytest.approx(0.5) and difference.seeds == 3 and "a is better than b" in told
    assert "a is worse than b" in compare("a", "b", {1: 0.1, 2: 0.2}, {1: 0.9, 2: 1.0}, "recall")[1]


# ---- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["mind-test", "worlds-5", "same-subjects", "updates", "tuning"])
def test_a_stream_scores_the_same_facts_in_words_not_learnt_with_them(stream: str) -> None:
    """Six wordings of a fact are learnt, one is for tuning, one scores; every wording is met with some fact."""
    tasks = make_stream(tiny(stream=stream, facts=40), 1, "forward")
    for task in tasks:
        learnt, tuned, scored = (
            {(e.prompt, e.answer) for e in part} for part in (task.train, task.validation, task.test)
        )
        assert not learnt & tuned and not learnt & scored and not tuned & scored
        assert len(task.train) == 6 * len(task.test) and len(task.validation) == len(task.test)
    assert make_stream(tiny(stream=stream, facts=40), 2, "forward")[0].train != tasks[0].train
    if stream != "updates":
        assert make_stream(tiny(stream=stream, facts=40), 1, "reverse") == tasks[::-1]


def test_settings_are_tuned_on_facts_that_are_never_scored() -> None:
    """The tuning stream shares no question with any other."""
    tuned = {e.prompt for task in make_stream(tiny(stream="tuning", facts=500), 1000, "forward") for e in task.train}
    for stream in ("mind-test", "worlds-5", "same-subjects", "updates"):
        for task in make_stream(tiny(stream=stream, facts=500), 1, "forward"):
            assert not tuned & {e.prompt for e in (*task.train, *task.test)}


def test_updates_turn_every_value() -> None:
    """The same cues, none with its old value; what was right before is asked as stale."""
    before, after = make_stream(tiny(stream="updates", facts=30), 1, "forward")
    old = {e.prompt: e.answer for e in before.test}
    assert old.keys() == {e.prompt for e in after.test} and all(old[e.prompt] != e.answer for e in after.test)
    assert {(e.prompt, e.answer) for e in after.stale} == set(old.items())
    with pytest.raises(ConfigError, match="updates must run forward"):
        make_stream(tiny(stream="updates"), 1, "reverse")


def test_edges_can_mix() -> None:
    """Blurry moves about the given share; task-free lets the share of a task rise and fall; nothing is lost."""
    tasks = make_stream(tiny(stream="worlds-5", facts=60), 1, "forward")
    hard = segments(tasks, "hard", 0.2, 1)
    for mode in ("blurry", "task-free"):
        mixed = segments(tasks, mode, 0.2, 1)
        assert Counter(one for some in mixed for one in some) == Counter(one for some in hard for one in some)
    blurry = segments(tasks, "blurry", 0.2, 1)
    own = [set(stretch) for stretch in hard]
    moved = sum(lesson not in own[i] for i, stretch in enumerate(blurry) for lesson in stretch)
    assert 0.15 < moved / sum(map(len, hard)) < 0.25
    free = segments(tasks, "task-free", 0.2, 1)
    shares = [np.mean([lesson in own[2] for lesson in stretch]) for stretch in free]
    assert shares[2] == max(shares) and shares[1] > 0 and shares[3] > 0


def test_a_folder_of_tasks_is_a_stream(tmp_path: Path) -> None:
    """The last paraphrase scores, the one before tunes, the rest is learnt."""
    for name in ("a", "b"):
        rows = [{"prompt": f"{name}{i}?", "answer": str(i), "paraphrases": [f"{name}{i}, say?", f"v{name}{i}", f"t{name}{i}"]}
                for i in range(5)]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = make_stream(tiny(stream=str(tmp_path)), 1, "forward")
    assert (first.name, second.name) == ("a", "b") and len(first.train) == 10
    assert {e.prompt for e in first.test} == {f"ta{i}" for i in range(5)}
    assert {e.prompt for e in first.validation} == {f"va{i}" for i in range(5)}


def test_files_of_labels_are_streams(tmp_path: Path) -> None:
    """A .csv is cut into tasks of labels; a CLINC-like .json by the domains beside it."""
    lines = ["text,label"] + [f"say {label} {i},{label}" for label in "abcdef" for i in range(10)]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    tasks = make_stream(tiny(stream=str(tmp_path / "few.csv"), facts=60, parts=3), 1, "forward")
    assert len(tasks) == 3 and all(e.answer.startswith("intent: ") for task in tasks for e in task.test)
    assert {e.answer for t in tasks for e in t.train} == {f"intent: {label}" for label in "abcdef"}
    assert not {e.prompt for e in tasks[0].train} & {e.prompt for e in tasks[0].test}
    data = {s: [[f"{s} {label} {i}", label] for label in "abcd" for i in range(4)] for s in ("train", "val", "test")}
    folder = tmp_path / "clinc"
    folder.mkdir()
    (folder / "data_full.json").write_text(json.dumps(data))
    (folder / "domains.json").write_text(json.dumps({"first": ["a", "b"], "second": ["c", "d"]}))
    tasks = make_stream(tiny(stream=str(folder / "data_full.json")), 1, "forward")
    assert [task.name for task in tasks] == ["first", "second"]
    assert {e.answer for e in tasks[1].test} == {"intent: c", "intent: d"}


def test_tuning_keeps_what_won_and_every_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is tried on every seed; the best is written, and nothing else is changed."""
    kept = tmp_path / "settings.toml"
    before = contestants.SETTINGS.read_text().replace("[replay]\nweight = 1.0", "[replay]\nweight = 7.0  # odd")
    kept.write_text(before)
    monkeypatch.setattr(contestants, "SETTINGS", kept)
    trials = list(tuning.tune(tiny(steps=4, facts=4, seeds=2), ["replay"]))
    assert [trial.values for trial in trials] == [{"weight": value} for value in (0.5, 1.0, 2.0)]
    assert all(len(trial.accuracy) == 2 for trial in trials)
    best = max(trials, key=lambda trial: trial.mean).values["weight"]
    assert kept.read_text() == before.replace("weight = 7.0", f"weight = {best}")
    kept.write_text(before.replace("weight = 7.0", "weight = 1.0"))
    for gain, weight in ((0.0, "1.0"), (0.02, "1.0"), (0.04, "2.0")):
        accuracy = [0.5, 0.5, 0.5, 0.5, 0.5 + gain, 0.5 + gain]
        assert len(list(tuning.tune(tiny(seeds=2), ["replay"], lambda *_, found=accuracy: found))) == 3
        assert kept.read_text() == before.replace("weight = 7.0", f"weight = {weight}"), "only for a better one"
    with pytest.raises(ConfigError, match="tune must be given rates-qor, rates-baseline, "):
        next(tuning.tune(tiny(), ["magic"]))


# ---- fairness -------------------------------------------------------------------------------------------------------


def test_everybody_has_as_many_parameters() -> None:
    """Within half a percent, with a memory layer or without."""
    config = tiny(width=64, layers=2)
    names = ["qor", "baseline", "baseline+dreams", "joint", "qor+slots", "baseline+sparse", "qor+bands"]
    counts = [
        count_parameters((c := find_contestant(name, TUNED)).model, brain_config(c, config, TUNED)) for name in names
    ]
    assert max(counts) / min(counts) < 1.005


def test_every_ablation_takes_something_away() -> None:
    """And the winner itself is a QOR."""
    whole = find_contestant("qor", TUNED)
    assert whole.model == "qor" and {"no-gate", "one-period"} <= set(ablations("qor", TUNED))
    for name in ablations("qor", TUNED):
        less = find_contestant(f"qor/{name}", TUNED)
        assert (less.strategies, less.changes) != (whole.strategies, whole.changes)


def test_past_data_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps the lessons and opens them later fails the run; who copies them beside `held` has nothing at the next task."""
    kept: list[Any] = []

    class Peeking(Strategy):
        def finish(self, lessons: Sequence[Lesson]) -> None:
            kept.append(lessons)
            self.copied = list(lessons)
            super().finish(lessons)

        def begin(self, brain: Any, old_loss: Any = None) -> Any:
            assert not hasattr(self, "copied")
            if self.tasks:
                next(iter(kept[0]))
            return super().begin(brain, old_loss)

    monkeypatch.setitem(STRATEGIES, "peeking", Peeking)
    with pytest.raises(PastDataError, match="must stay closed"):
        list(compete(tiny(), find_contestant("baseline+peeking", TUNED), 1, "forward", tmp_path, TUNED))
    lessons = OpenLessons([LAB.lesson(Exchange("q", "a"))])
    lessons.close()
    for look in (len, list, lambda some: some[0]):
        with pytest.raises(PastDataError):
            look(lessons)


@pytest.mark.parametrize(("name", "budget"), [("replay", 4000), ("der", 20_000)])
def test_replay_keeps_to_its_bytes(name: str, budget: int) -> None:
    """What is held never exceeds the budget, and is all that is counted."""
    machine = choose_machine(TrainingConfig(threads=1, precision="fp32"))
    config = tiny(replay_bytes=budget, facts=40)
    (strategy,) = make_strategies(find_contestant(f"baseline+{name}", TUNED), config, machine, 1, TUNED)
    assert isinstance(strategy, Replay)
    from lab.models import build

    brain = build("baseline", brain_config(find_contestant("baseline", TUNED), config, TUNED))
    for task in make_stream(config, 1, "forward"):
        lessons = [LAB.lesson(e.exchange) for e in task.train]
        strategy.meet((), LAB)
        before = {lesson.tokens for lesson in strategy.lessons()}
        strategy.meet(lessons, LAB)
        strategy.begin(brain)
        strategy.finish(lessons)
        assert 0 < strategy.stored_bytes() <= budget
    assert before & {lesson.tokens for lesson in strategy.lessons()}, "the first task's are still there"


def test_equal_tokens_give_a_rehearser_fewer_steps(tmp_path: Path) -> None:
    """Rehearsed tokens count; a task ends by the same rule for all."""
    config = tiny(equal="tokens", steps=20, replay_bytes=100_000)
    steps = {}
    for name in ("baseline", "baseline+replay"):
        ends = [
            e
            for e in compete(config, find_contestant(name, TUNED), 1, "forward", tmp_path / name, TUNED)
            if isinstance(e, TaskEnded)
        ]
        steps[name] = [ends[0].steps, ends[1].steps - ends[0].steps]
    assert steps["baseline"][0] == steps["baseline+replay"][0]
    assert steps["baseline+replay"][1] < 0.8 * steps["baseline"][1]


# ---- running --------------------------------------------------------------------------------------------------------


def events_of(config: ArenaConfig, name: str, folder: Path, stop_after: int | None = None) -> Iterator[Any]:
    ended: list[Any] = []

    def stop() -> bool:
        return len(ended) == stop_after

    for event in compete(config, find_contestant(name, TUNED), 1, "forward", folder, TUNED, stop=stop):
        ended += [event] if isinstance(event, TaskEnded) else []
        yield event


@pytest.mark.parametrize(
    "strategies", ["dreams", "replay", "ewc", "lora", "slots+dreams", "sparse", "bands", "der", "lwf", "l2"]
)
@pytest.mark.parametrize("model", ["qor", "baseline"])
def test_a_cell_that_was_interrupted_scores_the_same(model: str, strategies: str, tmp_path: Path) -> None:
    """Bit for bit: buffers and draws are in the checkpoint."""
    layers = 2 if {"slots", "sparse", "bands"} & set(strategies.split("+")) else 1  # those need room
    config, name = tiny(steps=6, facts=4, layers=layers), f"{model}+{strategies}"
    whole = [e for e in events_of(config, name, tmp_path / "a") if isinstance(e, Scored | Answered)]
    before = list(events_of(config, name, tmp_path / "b", stop_after=1))
    after = list(events_of(config, name, tmp_path / "b"))
    pieces = [e for e in (*before, *after) if isinstance(e, Scored | Answered)]
    assert pieces == whole and before and after


def test_a_killed_run_goes_on_to_the_same_scores(store: RunStore) -> None:
    """kill -9 of the worker in the middle; resumed, its answers are those of a run that was left alone."""
    config = tiny(contestants="qor,baseline+replay", steps=15, seeds=2)
    run = jobs.launch(config, store)
    wait_until(lambda: any("taskended" in p.read_text() for p in run.folder.glob("cells/*/events.jsonl")))
    os.kill(int((run.folder / "pid").read_text().split()[0]), signal.SIGKILL)
    crashed = wait_until(lambda: (now := jobs.refresh(store, run)) and not now.live and now)
    assert crashed.status == "crashed"
    jobs.resume(store, crashed)
    done = wait_until(lambda: (now := jobs.refresh(store, run)) and not now.live and now, 120)
    assert done.status == "finished"
    alone = run_here(store, config)
    pd.testing.assert_frame_equal(scores_of(done).reset_index(drop=True), scores_of(alone).reset_index(drop=True))


def test_a_real_run_says_the_same_in_answers_metrics_sql_and_files(store: RunStore, tmp_path: Path) -> None:
    """Recall recomputed from the stored answers; metrics from R, and by SQL alone; the same in every export."""
    config = tiny(seeds=2, steps=12, facts=5, order="both", contestants="qor+naive,joint", control="joint")
    run = run_here(store, config)
    log = ArenaLog(run)
    log.read()
    keys = ["contestant", "seed", "task_order", "after_task", "on_task"]
    answers, scores = log.table("answers"), log.table("scores").set_index(keys)
    assert (answers["correct"] == (answers["given"] == answers["expected"])).all()
    recomputed = answers.groupby(keys)["correct"].mean()
    assert len(scores) == 2 * 2 * 2 * 3 * 2
    np.testing.assert_allclose(recomputed.loc[scores.index], scores["recall"].astype(float))
    told = report(config, log)
    assert len(told.seeds) == len(cells_of(config)) == 8 and len(told.verdicts) == 4
    for row in told.seeds.to_dict("records"):
        mine = scores.loc[(row["contestant"], row["seed"], row["task_order"])]["recall"].astype(float)
        r = matrix([(after, on, value) for (after, on), value in mine.items()], 2)
        assert row["ACC"] == pytest.approx((r[2, 0] + r[2, 1]) / 2) and row["BWT"] == pytest.approx(r[2, 0] - r[1, 0])
    rows = contested_rows(told.means, RESULT_COLUMNS)
    assert len(rows) == 4 and all(row["ACC"] != "–" for row in rows)
    with connect(store.home) as db:
        by_sql = db.sql("SELECT * FROM arena_seeds").df().set_index(["contestant", "seed", "task_order"])
        assert db.sql("SELECT count(*) FROM answers").fetchall() == [(len(answers),)]
        assert db.sql("SELECT count(*) FROM tasks").fetchall() == [(4,)]
    for row in told.seeds.to_dict("records"):
        mine = by_sql.loc[(row["contestant"], row["seed"], row["task_order"])]
        for ours, theirs in (
            ("acc", "ACC"),
            ("bwt", "BWT"),
            ("fwt", "FWT"),
            ("forgetting", "forgetting"),
            ("newest", "newest"),
        ):
            assert mine[ours] == pytest.approx(row[theirs])
    assert pd.read_csv(export_arena(run, tmp_path, "csv")[1])["recall"].mean() == pytest.approx(scores["recall"].mean())
    assert len(pd.read_parquet(export_arena(run, tmp_path, "parquet")[3])) == len(answers)
    whole = json.loads(export_arena(run, tmp_path, "json")[0].read_text())
    assert whole["verdicts"] == told.verdicts and len(whole["answers"]) == len(answers)
    page = export_arena(run, tmp_path, "html")[0].read_text()
    assert (
        told.verdicts[0].split(" (")[0] in page
        and "src=" not in page.split("<script>")[0]
        and page.count("Plotly.newPlot(") >= 1
    )


def test_a_budget_is_kept_or_refused(store: RunStore) -> None:
    """Too large a stream is refused with what fits; a budget that ends early keeps what is whole."""
    refused = run_to_end(store, tiny(steps=100_000, minutes=0.15))
    assert refused.status == "failed" and "must fit into the budget" in refused.record["message"]
    assert "What fits: --minutes" in refused.record["message"]
    config = tiny(equal="seconds", seconds=1, minutes=0.15, seeds=40, contestants="baseline,baseline+l2")
    began = time.monotonic()
    ended = run_to_end(store, config)
    log = ArenaLog(ended)
    log.read()
    assert time.monotonic() - began < 60 and 0 < len(report(config, log).seeds) < 80
    assert ended.status == "stopped" and "minutes were over" in log.notices[-1]


# ---- bad input ------------------------------------------------------------------------------------------------------


def task_files(folder: Path, *tasks: list[dict[str, Any]]) -> str:
    for i, rows in enumerate(tasks):
        (folder / f"{i}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder)


GOOD = [{"prompt": "a?", "answer": "1"}, {"prompt": "b?", "answer": "2"}]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--contestants", "gpt"], "a contestant must be qor or baseline"),
        (["--contestants", "qor+magic"], "a contestant must be"),
        (["--contestants", ","], "contestants must name somebody"),
        (["--contestants", "baseline+lora+slots"], "only one strategy of"),
        (["--stream", "~nobody-here/x"], "stream must be one of mind-test"),
        (["--stream", "x" * 5000], "stream must be one of mind-test"),
        (["--seeds", "0"], "seeds must be from 1"),
        (["--facts", "1"], "facts must be from 2"),
        (["--stream", "nowhere"], "stream must be one of mind-test"),
        (["--stream", "updates", "--order", "both"], "updates must run forward"),
        (["--control", "joint"], "control must be one of the contestants"),
        (["--width", "30", "--heads", "4"], "width must be divisible by heads"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], says: str, store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and no run is made."""
    assert main(["arena", *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not store.list()


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ([GOOD], "at least 2 tasks"),
        ([GOOD, [{"prompt": "c?", "answer": " "}]], 'JSON with "prompt" and "answer"; line 1 of 1.jsonl'),
        ([GOOD, [{"prompt": "c?"}]], 'JSON with "prompt" and "answer"'),
        ([GOOD, [{"prompt": "c?", "answer": "1"}, {"prompt": "c?", "answer": "2"}]], "one answer within a task"),
        ([GOOD, [{"prompt": "c?", "answer": "1"}] * 2], "must not come twice"),
        ([GOOD, [{"prompt": f"{i % 150}?", "answer": f"{i}"} for i in range(160)]], "one answer within a task"),
        ([[], GOOD], "must have examples"),
    ],
)
def test_bad_task_files_are_one_sentence(
    tasks: list[Any], says: str, tmp_path: Path, store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty answers, duplicates, contradictions, one task only."""
    assert main(["arena", "--stream", task_files(tmp_path, *tasks), "--seeds", "1"]) == 2
    assert says in capsys.readouterr().err


def test_a_class_without_training_data_is_one_sentence(tmp_path: Path) -> None:
    """It could not be learnt, so it cannot be scored."""
    rows = ["text,label,split", "x,a,train", "y,b,train", "z,c,test", "w,a,test", "v,b,test"]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    with pytest.raises(ConfigError, match="must have texts to learn from; 'c' has none"):
        make_stream(tiny(stream=str(tmp_path / "data.csv"), parts=2), 1, "forward")


def test_one_seed_and_a_paused_run_say_so(store: RunStore) -> None:
    """A pause keeps what is whole; the report declares no winner."""
    run = jobs.launch(tiny(contestants="baseline,qor+naive", steps=4000), store)
    wait_until(lambda: list(run.folder.glob("cells/*/checkpoints/000000000*")))
    jobs.stop(store, run)
    paused = wait_until(lambda: (now := jobs.refresh(store, run)) and not now.live and now)
    assert paused.status == "stopped"
    one = replace(tiny(), contestants="baseline,qor+naive")
    log = ArenaLog(run_here(store, one))
    log.read()
    verdicts = report(one, log).verdicts
    assert len(verdicts) == 2 and all("One seed declares no winner" in sentence for sentence in verdicts)
    before = len(list(run.folder.glob("cells/*/checkpoints/*")))
    jobs.resume(store, paused)
    jobs.stop(store, run)
    wait_until(lambda: not jobs.refresh(store, run).live)
    assert len(list(run.folder.glob("cells/*/checkpoints/*"))) >= before


def test_answers_are_free_running_and_end_by_themselves() -> None:
    """A brain that writes the right letters and then goes on has not answered; one that stops has."""
    from lab.config import BrainConfig
    from lab.models import Brain, State

    class Parrot(Brain):
        """Writes x, and then ends or does not."""

        def __init__(self, ends: bool) -> None:
            super().__init__(BrainConfig())
            self.weight, self.ends = torch.nn.Parameter(torch.zeros(1)), ends

        def forward(self, tokens: Any, state: Any = None) -> Any:
            logits = torch.zeros(*tokens.shape, 264)
            after = (tokens != LAB.answer) & torch.tensor(self.ends)
            logits[..., ord("x")] = torch.where(after, 0.0, 1.0)
            logits[..., LAB.stop] = torch.where(after, 1.0, 0.0)
            return logits, State()

    few = [Example("a?", "x"), Example("b?", "x")]
    assert answer(Parrot(True), few, 3) == ["x", "x"] and answer(Parrot(False), few, 1) == ["", ""]


def test_a_text_is_never_learnt_and_scored(tmp_path: Path) -> None:
    """Rows that come twice, and splits that share texts; without a split every fifth text of a label is scored."""
    rows = ["text,label"] + [f"{label}{i % 7},{label}" for i in range(30) for label in "abcdefg"]
    (tmp_path / "twice.csv").write_text("\n".join(rows))
    for task in make_stream(tiny(stream=str(tmp_path / "twice.csv"), parts=2, facts=200), 1, "forward"):
        assert not {e.prompt for e in task.train} & {e.prompt for e in task.test}
    (tmp_path / "other-domains.json").write_text(json.dumps({"x": ["a"], "y": ["b"]}))
    names = [t.name for t in make_stream(tiny(stream=str(tmp_path / "twice.csv"), parts=2, facts=200), 1, "forward")]
    assert names == ["part 1", "part 2"], "domains that name only some labels are another file's"


@pytest.mark.parametrize(
    "text", ["text,label\n" + '"' + "x" * 140_000, "\ufefftext,label\na,b\na,b\n", "text;label\na;b"]
)
def test_a_broken_file_of_labels_is_one_sentence(text: str, tmp_path: Path) -> None:
    """An unclosed quote, too little in it, other columns."""
    (tmp_path / "odd.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        make_stream(tiny(stream=str(tmp_path / "odd.csv"), parts=2), 1, "forward")


def test_where_facts_change_the_verdict_is_about_the_new(store: RunStore) -> None:
    """To keep old values is no merit there."""
    config = tiny(
        stream="updates", contestants="baseline+frozen,baseline", seeds=2, control="baseline", steps=8, facts=5
    )
    log = ArenaLog(run_here(store, config))
    log.read()
    told = report(config, log)
    assert any("of the new values known" in sentence for sentence in told.verdicts)
    assert not any("first task kept" in sentence for sentence in told.verdicts)
    assert told.seeds["old values left"].notna().all()


def test_a_cell_whose_weights_ewc_once_numbered_begins_anew(tmp_path: Path) -> None:
    """Their order is another since; it scores as one that was never stopped."""
    config, name = tiny(steps=6, facts=4, layers=1), "qor+ewc"
    whole = [e for e in events_of(config, name, tmp_path / "a") if isinstance(e, Scored | Answered)]
    assert [*events_of(config, name, tmp_path / "b", stop_after=1)]
    numbered = 0
    for path in tmp_path.glob("b/**/*.safetensors"):
        tensors, numbers = load_file(path), dict(safe_open(path, "pt").metadata())
        held = [key for key in tensors if ".mean." in key or ".fisher." in key]
        numbered += bool(held)
        for number, key in enumerate(sorted(held)):
            kind = "mean" if ".mean." in key else "fisher"
            tensors[f"{key.partition('.')[0]}.{kind}.{number % (len(held) // 2)}"] = tensors.pop(key)
        save_file(tensors, path, numbers)
    assert numbered
    assert [e for e in events_of(config, name, tmp_path / "b") if isinstance(e, Scored | Answered)] == whole
