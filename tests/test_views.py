"""Figures from tables."""

from __future__ import annotations

import json

import pandas as pd
import plotly.graph_objects as go
import pytest

from lab import jobs
from lab.store import LiveLog, LiveLogs, RunStore, query
from lab.ui.runs import _series, _short
from lab.ui.words import progress_card, sample_card
from lab.views import (
    METRICS,
    band_raster,
    compare,
    config_diff,
    curve,
    forgetting,
    hypnogram,
    night_recall,
    strengths,
    tier_usage,
)  # fmt: skip
from lab.views.curves import smooth, thin
from tests.conftest import tiny


def steps(count: int = 5000) -> pd.DataFrame:
    return pd.DataFrame({"step": range(1, count + 1), "tokens": range(10, 10 * count + 1, 10), "elapsed_s": [i / 10 for i in range(count)],
                         "loss": [5 / (i + 1) for i in range(count)]})  # fmt: skip


@pytest.mark.parametrize("axis", ["step", "tokens", "time"])
def test_a_curve_is_a_valid_figure_that_a_page_can_carry(axis: str) -> None:
    """At most 2,000 points, first and last kept, axes with units, its question as title."""
    figure = curve(steps(), "loss", axis, 0.0, "qor")
    go.Figure(figure)
    line = figure["data"][0]
    assert len(line["x"]) <= 2000 and line["y"][0] == 5 and line["y"][-1] == pytest.approx(0.001)
    assert figure["layout"]["title"]["text"].endswith("?") and figure["layout"]["yaxis"]["title"]["text"]


def test_every_metric_draws_even_without_numbers() -> None:
    """An empty table says that nothing is measured yet."""
    for metric in METRICS:
        figure = compare({"a": pd.DataFrame(columns=["step", metric])}, metric)
        assert figure["data"] == [] and figure["layout"]["annotations"][0]["text"] == "nothing measured yet"


def test_runs_over_each_other_are_told_apart_without_colour() -> None:
    """Different dashes and labels."""
    figure = compare({"a": steps(10), "b": steps(10)}, "loss")
    assert len({line["line"]["dash"] for line in figure["data"]}) == 2
    assert [line["name"] for line in figure["data"]] == ["a", "b"]


def test_the_raster_marks_exactly_the_steps_at_which_a_band_learnt() -> None:
    """And says the share of steps."""
    rows = [
        (i, i, i, band, i % period == 0)
        for i in range(1, 65)
        for band, period in (("fast", 1), ("medium", 16), ("deep", 64))
    ]
    figure = band_raster(pd.DataFrame(rows, columns=["step", "tokens", "elapsed_s", "band", "updated"]))
    marks = {trace["name"]: trace["x"] for trace in figure["data"]}
    assert marks["medium · 6% of steps"] == [16, 32, 48, 64] and marks["deep · 2% of steps"] == [64]
    assert len(marks["fast · 100% of steps"]) == 64
    go.Figure(figure)


def test_thinning_and_smoothing_keep_what_matters() -> None:
    """The last row stays; smoothing 0 changes nothing, more of it moves less."""
    table = thin(steps(4001), 100)
    assert len(table) <= 102 and table["step"].iloc[-1] == 4001
    wave = pd.Series([0.0, 1.0] * 20)
    assert smooth(wave, 0).equals(wave) and smooth(wave, 0.9).std() < smooth(wave, 0.5).std() < wave.std()


def test_a_config_diff_shows_only_what_differs() -> None:
    """A dash where a run lacks the option."""
    table = config_diff({"a": {"lr": 1, "x": 2, "cms": 16}, "b": {"lr": 1, "x": 3}})
    assert table.values.tolist() == [["x", "2", "3"], ["cms", "16", "–"]]


def test_figures_of_a_mind_hold_what_the_tables_say() -> None:
    """Tiers over time, phases of a night, recall by night, strengths: each number of the table is in the figure."""
    usage = pd.DataFrame({"at": [0.0, 60.0], "stm": [1, 2], "ltm": [0, 3], "archive": [0, 0], "weights": [0, 1]})
    assert [line["y"] for line in tier_usage(usage)["data"]] == [[1, 2], [0, 3], [0, 0]]
    phases = pd.DataFrame({
        "phase": ["NREM", "NREM", "REM"], "doing": ["a", "b", "c"], "seconds": [0.0, 4.0, 9.0], "until": [4.0, 9.0, 12.0],
    })  # fmt: skip
    steps, *bars = hypnogram(phases)["data"]
    assert steps["x"] == [0.0, 0.0, 0.0, 4.0, 4.0, 9.0, 9.0, 12.0]
    assert {bar["name"]: bar["x"] for bar in bars} == {"REM": [9.0, 12.0], "NREM": [0.0, 4.0, None, 4.0, 9.0]}
    nights = pd.DataFrame(
        {"night": [1, 2], "recall_before": [0.0, 0.5], "recall_after": [0.9, 1.0], "retained": [0.98, 0.97]}
    )
    assert [bar["y"] for bar in night_recall(nights)["data"]] == [[0.0, 0.5], [0.9, 1.0], [0.98, 0.97]]
    traces = pd.DataFrame(
        {"strength": [0.6, 0.61, 1.4], "tier": ["STM", "STM", "LTM"], "text": list("abc"), "age_days": [0.0, 1.0, 2.0]}
    )
    assert [sum(bar["y"]) for bar in strengths(traces)["data"]] == [2, 1, 0]
    assert [dots["x"] for dots in forgetting(traces, 0.98)["data"][1:]] == [[0.0, 1.0], [2.0]]


def test_figures_of_an_empty_mind_say_what_to_do() -> None:
    empty = pd.DataFrame()
    for figure in (tier_usage(empty), hypnogram(empty), night_recall(empty), strengths(empty)):
        assert figure["data"] == [] and figure["layout"]["annotations"][0]["text"]


def test_runs_are_labelled_by_brain_and_number_and_starters_by_name() -> None:
    """A starter's name has no date to leave out."""
    names = ["baseline", "20261125-004103-qor-tiny-5a312926"]
    assert list(_short(names).values()) == ["baseline", "qor-tiny 2926"]


GOOD = (
    '{"n": %d, "kind": "step", "step": %d, "tokens": 9, "loss": 1.5, "surprise": 0.1, "lr": 0.1, "tokens_s": 5.0, '
    '"elapsed_s": 1.0, "grad_norm": 1.0, "bands": {"fast": true}}'
)
DAMAGED = [
    "null", "5", '"step"', "[1, 2]", "{}", '{"kind": null}', '{"kind": ["step"]}', '{"kind": "unheard"}', '{"kind": "step"}',
    '{"kind": "step", "step": null}', '{"kind": "step", "step": "two"}', '{"kind": "step", "step": true}', '{"kind": "step", "step": 5}',
    '{"kind": "step", "step": 5, "tokens": [], "loss": "bad", "lr": {}, "elapsed_s": null, "tokens_s": "fast"}',
    '{"kind": "step", "step": 5, "loss": NaN, "elapsed_s": NaN, "grad_norm": 1e999}', '{"kind": "step", "step": 1e3}',
    '{"kind": "step", "step": 5, "bands": [1]}', '{"kind": "step", "step": 5, "bands": {"fast": "yes", "medium": null}}',
    '{"kind": "step", "step": 5, "measures": {"fire_rate": "x"}}', '{"kind": "step", "step": 5, "fire_rate": "x"}',
    '{"kind": "step", "step": 99999999999999999999999999}', '{"kind": "step", "step": 5, "loss": 1' + "0" * 400 + "}",
    '{"kind": "evaluated", "step": 1}', '{"kind": "evaluated", "bpb": 1.0}', '{"kind": "evaluated", "step": "x", "split": 1, "bpb": []}',
    '{"kind": "sampled", "step": 1, "prompt": null}', '{"kind": "sampled", "step": null, "prompt": "a", "text": "b"}',
    '{"kind": "sampled", "step": 1, "prompt": "half \\ud800", "text": "\\udfff"}',
    '{"kind": "notice"}', '{"kind": "notice", "step": 1, "text": 5}',
    '{"kind": "started"}', '{"kind": "started", "step": "x"}', '{"kind": "started", "step": 1, "parameters": "many", "device": null}',
    '{"kind": "rolledback"}', '{"kind": "rolledback", "from_step": 4, "to_step": 2, "loss": "x", "lr_scale": 1}',
    '{"kind": "finished"}',
    '{"kind": "step", "step": 5', "\0\0\0", "\u00ff", "[" * 100_000, '{"kind": "step", "step": ' + "9" * 5000 + "}", "",
]  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED, ids=lambda line: line[:40].replace("\0", "0") or "empty")
def test_a_damaged_line_of_a_log_hides_nothing_else_from_the_train_tab(store: RunStore, line: str) -> None:
    """Whatever stands between two good steps, the tab draws both, and so does the database."""
    run = store.create(tiny())
    run.events.write_bytes("\n".join([GOOD % (0, 1), line, GOOD % (2, 7), ""]).encode("latin-1"))
    run = jobs.refresh(store, store.get(store.update(run, status="finished").id))
    log = LiveLogs(LiveLog).of(run)
    steps, evals = log.steps(), log.evals()
    assert {1, 7} <= set(steps["step"])
    shown: list[object] = [progress_card(run, log), sample_card(log)]
    for axis in ("step", "time", "tokens"):
        shown += [curve(evals if name == "bpb" else steps, name, axis, 0.6, "qor") for name in METRICS]
        shown.append(band_raster(log.bands(), axis))
    json.dumps(shown, ensure_ascii=False).encode()
    found = query("SELECT step FROM steps WHERE run = ?", [run.id], store=store)
    assert {1, 7} <= set(found["step"])


def test_numbers_of_one_brain_are_measures_in_old_logs_and_new(store: RunStore) -> None:
    """A log from before has fire_rate as a field: page and database show both alike."""
    run = store.create(tiny())
    old, new = (
        json.loads(GOOD % (1, 1)) | {"fire_rate": 0.25},
        json.loads(GOOD % (2, 2)) | {"measures": {"fire_rate": 0.5, "load": 1}},
    )
    run.events.write_text(
        "".join(json.dumps(line) + "\n" for line in (old, new, json.loads(GOOD % (3, 3)) | {"fire_rate": None}))
    )
    steps = LiveLogs(LiveLog).of(run).steps()
    assert steps["fire_rate"].dropna().tolist() == [0.25, 0.5] and steps["load"].dropna().tolist() == [1]
    found = query("SELECT step, name, value FROM measures ORDER BY ALL", store=store)
    assert found.values.tolist() == [[1, "fire_rate", 0.25], [2, "fire_rate", 0.5], [2, "load", 1.0]]
    assert _series(store, run.id, "fire_rate")["fire_rate"].dropna().tolist() == [0.25, 0.5]
    assert _series(store, run.id, "loss")["loss"].tolist() == [1.5] * 3
    assert curve(steps, "fire_rate", "step", 0, "qor")["data"][0]["y"] == [0.25, 0.5]
