"""Figures from tables."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import pytest

from lab.views import METRICS, band_raster, compare, config_diff, curve
from lab.views.curves import smooth, thin


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
