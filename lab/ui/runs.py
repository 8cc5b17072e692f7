"""The Runs tab: all runs in a table; chosen ones over each other, their options compared, their numbers exported."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from lab import jobs
from lab.config import ConfigError, flatten_config
from lab.store import TRAIN, RunStore, query, summaries
from lab.ui.chart import live_chart
from lab.ui.train import choices, say
from lab.ui.words import duration, sentence
from lab.views import METRICS, MODELS, compare, config_diff

MOST_COMPARED = 8
REFRESH_S = 5.0


def build_runs(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the tab's contents. Gives what lets it follow the runs."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    table = gr.Dataframe(
        headers=["run", "status", "brain", "size", "data", "steps", "bits/byte", "tokens/s", "time"],
        interactive=False, wrap=False, max_height=320, elem_id="runs-table", label="All runs · press a row to compare it",
        show_label=True, datatype="str",
    )  # fmt: skip
    chosen = gr.Dropdown(
        label=f"Compare (up to {MOST_COMPARED})",
        choices=[],
        multiselect=True,
        max_choices=MOST_COMPARED,
        elem_id="runs-chosen",
    )
    with gr.Row():
        metric = gr.Dropdown(
            [(about.unit, key) for key, about in METRICS.items()], value="loss", label="y axis", elem_id="runs-metric"
        )
        axis = gr.Radio(
            [("step", "step"), ("time", "time"), ("tokens", "tokens")],
            value="step",
            label="x axis",
            elem_id="runs-axis",
        )
        smoothing = gr.Slider(0, 0.98, value=0.6, step=0.02, label="smoothing", elem_id="runs-smoothing")
    chart = live_chart({}, "runs-chart")
    gr.Markdown("#### Where do their options differ?")
    diff = gr.Dataframe(interactive=False, wrap=True, elem_id="runs-diff", show_label=False)
    note = gr.HTML(elem_id="runs-note")
    with gr.Row():
        csv = gr.Button("Export as CSV", elem_id="runs-csv")
        parquet = gr.Button("Export as Parquet", elem_id="runs-parquet")
    file = gr.File(label="The chosen runs' tables", visible=False, elem_id="runs-file")
    with gr.Accordion("Analyse in Jupyter", open=True):
        gr.Markdown(
            "The notebook `notebooks/01_runs.ipynb` asks the same runs with SQL, through `lab.store.connect()`."
        )
        notebook = gr.Button("Open the notebook", elem_id="runs-notebook")
        link = gr.HTML(elem_id="runs-notebook-link")
        gr.Code("jupyter lab notebooks/01_runs.ipynb", language="shell", label="Same as", interactive=False, lines=1)

    def refresh(names: list[str]) -> list[Any]:
        """The table, with runs that ended or died since. The choice is set only where a chosen run is gone: a choice that was made
        while this was under way must stand."""
        runs = jobs.refresh_all(store, TRAIN)
        found = _ask(lambda: summaries(store), store)
        rows = [_row(run.id, run.status, found.get(run.id, {})) for run in runs]
        options = choices(store, runs)
        kept = [name for name in names or [] if name in options]
        choice: dict[str, Any] = {} if kept == (names or []) else {"value": kept}
        return [rows or [["No runs yet: press Start in Train"] + [""] * 8], gr.update(choices=options, **choice)]

    def enter(names: list[str]) -> list[Any]:
        """Where none is chosen, the two newest runs are compared."""
        rows, choice = refresh(names)
        options = choices(store)
        return [rows, choice if names else gr.update(choices=options, value=options[:2])]

    def add(names: list[str], event: gr.SelectData) -> Any:
        name = event.row_value[0] if event.row_value else ""
        if name not in choices(store):
            return gr.skip()
        kept = [other for other in names or [] if other != name]
        return kept if name in (names or []) else [*kept, name][-MOST_COMPARED:]

    def draw(names: list[str], key: str, along: str, amount: float) -> tuple[Any, Any]:
        names = names or []
        tables = {name: _series(store, name, key) for name in names}
        labels = _short(names)
        configs: dict[str, dict[str, Any]] = {}
        for name in names:
            try:
                configs[labels[name]] = flatten_config(store.get(name).config())
            except ConfigError:
                configs[labels[name]] = {}
        colours = {label: MODELS[config["model"]] for label, config in configs.items() if config.get("model") in MODELS}
        figure = compare({labels[name]: table for name, table in tables.items()}, key, along, amount, colours)
        return figure, config_diff(configs) if len(configs) > 1 else pd.DataFrame({"option": ["choose two runs"]})

    def follow(names: list[str], key: str, along: str, amount: float) -> Any:
        """The chart again while a chosen run trains, and for its last steps."""
        lately = (datetime.now(UTC) - timedelta(seconds=3 * REFRESH_S)).isoformat()
        runs = [run for run in store.list() if run.id in (names or [])]
        moves = any(run.live or str(run.record.get("ended_at") or "") > lately for run in runs)
        return draw(names, key, along, amount)[0] if moves else gr.skip()

    def export(names: list[str], kind: str) -> list[Any]:
        if not names:
            return [gr.skip(), sentence("Choose at least one run to export.", "warning")]
        try:
            folder = Path(tempfile.mkdtemp(prefix="qor-export-"))
            paths = jobs.export_tables(store, [store.get(name) for name in names], folder, kind)
            archive = folder / f"runs-{kind}.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
                for path in paths:
                    packed.write(path, path.name)
        except (ConfigError, OSError) as error:
            return [gr.skip(), sentence(say(error, store), "error")]
        same = " ".join(["python -m lab export", *names, "--format", kind, "--no-brain"])
        return [gr.update(value=str(archive), visible=True), sentence(f"Same as: {same}")]

    def open_notebook() -> str:
        try:
            url = jobs.open_notebook("01_runs.ipynb")
        except ConfigError as error:
            return sentence(str(error), "error")
        return f'<a class="lab-link" href="{url}" target="_blank" rel="noopener">Go to the notebook</a>'

    timer = gr.Timer(REFRESH_S, active=False)
    tab.select(enter, chosen, [table, chosen], **quiet)
    timer.tick(refresh, chosen, [table, chosen], trigger_mode="once", **quiet)
    timer.tick(follow, [chosen, metric, axis, smoothing], chart, trigger_mode="once", **quiet)
    table.select(add, chosen, chosen, **quiet)
    gr.on(
        [chosen.change, metric.change, axis.change, smoothing.change],
        draw,
        [chosen, metric, axis, smoothing],
        [chart, diff],
        **quiet,
    )
    csv.click(lambda names: export(names, "csv"), chosen, [file, note], **quiet)
    parquet.click(lambda names: export(names, "parquet"), chosen, [file, note], **quiet)
    notebook.click(open_notebook, None, link, show_progress="minimal", api_visibility="private")
    return timer


def _ask(ask: Callable[[], Any], store: RunStore) -> Any:
    """What the database answers; a full disk is told in the lab's sentence."""
    try:
        return ask()
    except OSError as error:
        raise gr.Error(say(error, store)) from error


def _row(name: str, status: str, told: dict[Any, Any]) -> list[str]:
    def cell(key: str, form: str) -> str:
        value = told.get(key)
        return "–" if value is None else format(value, form)

    seconds = told.get("elapsed_s")
    spent = "–" if seconds is None else duration(seconds)
    data = str(told.get("data") or "–")
    return [name, status, str(told.get("model") or "–"), str(told.get("preset") or "–"), Path(data).name,
            cell("step", ",.0f"), cell("bpb", ".3f"), cell("tokens_s", ",.0f"), spent]  # fmt: skip


def _series(store: RunStore, name: str, metric: str) -> pd.DataFrame:
    """The table of one run that holds `metric`, with every axis; an evaluation takes its step's tokens and time."""
    if METRICS[metric].table == "evals":
        sql = """SELECT e.step, e.bpb, s.tokens, s.elapsed_s FROM evals e LEFT JOIN steps s USING (run, step)
                 WHERE e.run = ? ORDER BY e.step"""
    else:
        sql = f"""SELECT step, tokens, elapsed_s, {"value AS " if METRICS[metric].table == "measures" else ""}{metric} FROM steps s
                  LEFT JOIN (SELECT * FROM measures WHERE name = '{metric}') USING (run, step) WHERE run = ? ORDER BY step"""
    return pd.DataFrame(_ask(lambda: query(sql, [name], store=store), store))


def _short(names: list[str]) -> dict[str, str]:
    """Labels as short as tells the runs apart: the brain and the end of the name."""
    parts = {name: name.split("-") for name in names}  # date-time-model-preset-number; a starter's name has fewer
    return {name: f"{'-'.join(part[2:4])} {name[-4:]}" if len(part) > 4 else name for name, part in parts.items()}
