"""The Runs tab: all runs in a table; chosen ones over each other, their options compared, their numbers exported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from lab import jobs
from lab.config import ConfigError, flatten_config
from lab.store import TRAIN, RunStore, query, summaries
from lab.ui.chart import axis_and_smoothing, live_chart
from lab.ui.control import BUSY, QUIET, choices, export_folder, notice, pack, say
from lab.ui.words import duration, sentence
from lab.views import METRICS, MODELS, compare, config_diff

MOST_COMPARED = 8
REFRESH_S = 5.0


class RunsLayout:
    """The tab's components by name. `view` says which curves are drawn, and how."""

    def __init__(self) -> None:
        self.table = gr.Dataframe(
            headers=["run", "status", "brain", "size", "data", "steps", "bits/byte", "tokens/s", "time"],
            interactive=False, wrap=False, max_height=320, elem_id="runs-table", label="All runs · press a row to compare it",
            show_label=True, datatype="str",
        )  # fmt: skip
        self.chosen = gr.Dropdown(
            label=f"Compare (up to {MOST_COMPARED})", choices=[], multiselect=True, max_choices=MOST_COMPARED, elem_id="runs-chosen",
        )  # fmt: skip
        units = [(about.unit, key) for key, about in METRICS.items()]
        with gr.Row():
            self.metric = gr.Dropdown(units, value="loss", label="y axis", elem_id="runs-metric")
            self.axis, self.smoothing = axis_and_smoothing("runs")
        self.chart = live_chart({}, "runs-chart")
        gr.Markdown("#### Where do their options differ?")
        self.diff = gr.Dataframe(interactive=False, wrap=True, elem_id="runs-diff", show_label=False)
        self.note = gr.HTML(elem_id="runs-note")
        with gr.Row():
            self.csv = gr.Button("Export as CSV", elem_id="runs-csv")
            self.parquet = gr.Button("Export as Parquet", elem_id="runs-parquet")
        self.file = gr.File(label="The chosen runs' tables", visible=False, elem_id="runs-file")
        self._jupyter()
        self.timer = gr.Timer(REFRESH_S, active=False)
        self.view: list[Any] = [self.chosen, self.metric, self.axis, self.smoothing]

    def _jupyter(self) -> None:
        with gr.Accordion("Analyse in Jupyter", open=True):
            text = "The notebook `notebooks/01_runs.ipynb` asks the same runs with SQL, through `lab.store.connect()`."
            gr.Markdown(text)
            self.notebook = gr.Button("Open the notebook", elem_id="runs-notebook")
            self.link = gr.HTML(elem_id="runs-notebook-link")
            command = "jupyter lab notebooks/01_runs.ipynb"
            gr.Code(command, language="shell", label="Same as", interactive=False, lines=1)


class RunsHandlers:
    """What the tab's events do: values in, updates out."""

    def __init__(self, store: RunStore) -> None:
        self.store = store

    def refresh(self, names: list[str]) -> list[Any]:
        """The table, with runs that ended or died since. The choice is set only where a chosen run is gone: a choice that was made
        while this was under way must stand."""
        runs = jobs.refresh_all(self.store, TRAIN)
        found = _ask(lambda: summaries(self.store), self.store)
        rows = [_row(run.id, run.status, found.get(run.id, {})) for run in runs]
        options = choices(self.store, TRAIN, runs)
        kept = [name for name in names or [] if name in options]
        choice: dict[str, Any] = {} if kept == (names or []) else {"value": kept}
        return [rows or [["No runs yet: press Start in Train"] + [""] * 8], gr.update(choices=options, **choice)]

    def enter(self, names: list[str]) -> list[Any]:
        """Where none is chosen, the two newest runs are compared."""
        rows, choice = self.refresh(names)
        return [rows, choice if names else {**choice, "value": choice["choices"][:2]}]

    def add(self, names: list[str], event: gr.SelectData) -> Any:
        """The choice with the run whose row was pressed, or without it."""
        name = event.row_value[0] if event.row_value else ""
        if name not in choices(self.store):
            return gr.skip()
        kept = [other for other in names or [] if other != name]
        return kept if name in (names or []) else [*kept, name][-MOST_COMPARED:]

    def draw(self, names: list[str], key: str, along: str, amount: float) -> tuple[Any, Any]:
        """The chosen runs' curves over each other, and the options in which they differ."""
        labels = _short(names or [])
        tables = {label: _series(self.store, name, key) for name, label in labels.items()}
        configs: dict[str, dict[str, Any]] = {}
        for name, label in labels.items():
            try:
                configs[label] = flatten_config(self.store.get(name).config())
            except ConfigError:
                configs[label] = {}
        colours = {label: MODELS[config["model"]] for label, config in configs.items() if config.get("model") in MODELS}
        figure = compare(tables, key, along, amount, colours)
        return figure, config_diff(configs) if len(configs) > 1 else pd.DataFrame({"option": ["choose two runs"]})

    def follow(self, names: list[str], key: str, along: str, amount: float) -> Any:
        """The chart again while a chosen run trains, and for its last steps."""
        lately = (datetime.now(UTC) - timedelta(seconds=3 * REFRESH_S)).isoformat()
        runs = [run for run in self.store.list() if run.id in (names or [])]
        moves = any(run.live or str(run.record.get("ended_at") or "") > lately for run in runs)
        return self.draw(names, key, along, amount)[0] if moves else gr.skip()

    def export(self, names: list[str], kind: str) -> list[Any]:
        """Updates of the file to fetch and of the note that says how to have it without the page."""
        if not names:
            return notice("Choose at least one run to export.", 1, 2, "warning")
        try:
            folder = export_folder()
            paths = jobs.export_tables(self.store, [self.store.get(name) for name in names], folder, kind)
            archive = pack(paths, folder / f"runs-{kind}.zip")
        except (ConfigError, OSError) as error:
            return notice(say(error, self.store), 1, 2)
        same = " ".join(["python -m lab export", *names, "--format", kind, "--no-brain"])
        return [gr.update(value=str(archive), visible=True), sentence(f"Same as: {same}")]

    def open_notebook(self) -> str:
        """A link to the notebook, in a Jupyter that is started where none is."""
        try:
            url = jobs.open_notebook("01_runs.ipynb")
        except ConfigError as error:
            return sentence(str(error), "error")
        return f'<a class="lab-link" href="{url}" target="_blank" rel="noopener">Go to the notebook</a>'


def build_runs(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the tab's contents. Gives what lets it follow the runs."""
    at, do = RunsLayout(), RunsHandlers(store)
    tab.select(do.enter, at.chosen, [at.table, at.chosen], **QUIET)
    at.timer.tick(do.refresh, at.chosen, [at.table, at.chosen], trigger_mode="once", **QUIET)
    at.timer.tick(do.follow, at.view, at.chart, trigger_mode="once", **QUIET)
    at.table.select(do.add, at.chosen, at.chosen, **QUIET)
    gr.on([component.change for component in at.view], do.draw, at.view, [at.chart, at.diff], **QUIET)
    at.csv.click(lambda names: do.export(names, "csv"), at.chosen, [at.file, at.note], **QUIET)
    at.parquet.click(lambda names: do.export(names, "parquet"), at.chosen, [at.file, at.note], **QUIET)
    at.notebook.click(do.open_notebook, None, at.link, **BUSY)
    return at.timer


def _ask(ask: Callable[[], Any], store: RunStore) -> Any:
    """What the database answers; a full disk is told in the lab's sentence."""
    try:
        return ask()
    except (OSError, ConfigError) as error:
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
