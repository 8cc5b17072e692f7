"""The Arena tab: let brains learn one thing after another, and see live who still knows the first."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from lab import jobs
from lab.config import CONTROL, DEFAULT, ArenaConfig, ConfigError, arena_line, build_arena
from lab.report import FORMATS, export_arena, report
from lab.store import ARENA, ArenaLog, LiveLogs, Run, RunStore
from lab.ui.chart import chart_rows
from lab.ui.control import (
    BUSY,
    POLL_S,
    QUIET,
    RunControl,
    choices,
    export_folder,
    notice,
    pack,
    say,
    stop_and_resume,
)  # fmt: skip
from lab.ui.form import Field, check_fields, command_code, form_value, given_values, make_fields
from lab.ui.verdict import answer_table, arena_card, verdict_card
from lab.ui.words import sentence
from lab.views import arena as views

SHOWN = 21  # components that a look at a run updates
FOUR = f"{DEFAULT},{CONTROL},{CONTROL}+dreams,joint"
SIZES: dict[str, dict[str, Any]] = {  # what the buttons set beside the defaults
    "Quick: two brains, a minute": {},
    "Standard: four brains, five minutes": {"contestants": FOUR, "seeds": 3, "steps": 200},
    "Large: a hundred facts, five seeds": {"contestants": FOUR, "seeds": 5, "facts": 100, "steps": 900},
}  # fmt: skip
NOTHING = "Nobody has competed yet. Press Start: two brains learn animals, then arithmetic, and the page shows what they forget."


class ArenaLayout:
    """The tab's components by name. `shown` is what a look at a run updates, `picked` which part of it is looked at."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                self._form()
            with gr.Column(scale=3, min_width=320):
                self._run()
        self._measures()
        self._exports()
        self.bad_field, self.seen = gr.State(None), gr.State("")
        self.timer = gr.Timer(POLL_S, active=False)
        self.options = [field.component for field in self.fields]
        self.about = [self.message, self.size, self.command, self.start, self.bad_field, *self.options]
        self.picked: list[Any] = [self.order, self.task, self.asked, self.seed, self.left, self.right]
        self.shown = [
            self.card, self.stop, self.resume, self.verdict, self.first, self.second, self.order, self.task, self.asked,
            self.seed, self.answers, self.means, *self.charts, self.left, self.right, self.seen,
        ]  # fmt: skip

    def _form(self) -> None:
        gr.Markdown("Brains learn one task after another. Who still knows the first when the last is learnt?")
        with gr.Row():
            self.sizes = {name: gr.Button(name, size="sm") for name in SIZES}
        self.fields = make_fields(ArenaConfig, "arena", advanced=False)
        self.upload = gr.File(
            label="or your own files", file_count="multiple",
            file_types=[".csv", ".json", ".jsonl"], height=140, elem_id="arena-upload",
        )  # fmt: skip
        text = "A .csv (text, label) or CLINC-like .json is cut into tasks; of .jsonl files (prompt, answer) each is a task."
        gr.Markdown(text)
        with gr.Accordion("Every setting", open=False):
            self.fields += make_fields(ArenaConfig, "arena", advanced=True)
        self.message = gr.HTML(elem_id="arena-message")
        self.size = gr.HTML(elem_id="arena-size")
        self.command = command_code("arena")
        self.start = gr.Button("Start", variant="primary", elem_id="arena-start")

    def _run(self) -> None:
        self.watched = gr.Dropdown(label="Comparison", choices=[], elem_id="arena-run", allow_custom_value=False)
        self.card = gr.HTML(sentence(NOTHING), elem_id="arena-card")
        with gr.Row():
            self.stop = gr.Button("Pause", interactive=False, elem_id="arena-stop")
            self.resume = gr.Button("Resume", interactive=False, elem_id="arena-resume")
        self.verdict = gr.HTML(elem_id="arena-verdict")
        self.first, self.second = chart_rows("arena", ("first", "second"))
        self.order = gr.Radio(label="Order of the tasks", choices=[], elem_id="arena-order-shown", visible=False)
        with gr.Row():
            self.task = gr.Dropdown(label="Task of the right chart", choices=[], elem_id="arena-task")
            self.asked = gr.Dropdown(label="Task of the answers", choices=[], elem_id="arena-asked")
            self.seed = gr.Dropdown(label="Seed of the answers", choices=[], elem_id="arena-seed")
        self.answers = gr.HTML(elem_id="arena-answers")

    def _measures(self) -> None:
        with gr.Accordion("Everything that was measured", open=False):
            title = "Means over seeds, with 95% intervals"
            self.means = gr.Dataframe(interactive=False, elem_id="arena-means", label=title, show_label=True)
            self.charts = chart_rows("arena", ("anytime", "tradeoff"), ("cost", "coverage"), ("map-1", "map-2"))
            with gr.Row():
                self.left = gr.Dropdown(label="Left map", choices=[], elem_id="arena-left")
                self.right = gr.Dropdown(label="Right map", choices=[], elem_id="arena-right")

    def _exports(self) -> None:
        with gr.Row():
            names = {kind: "Parquet" if kind == "parquet" else kind.upper() for kind in FORMATS}
            self.exports = {kind: gr.Button(f"Export as {to}", elem_id=f"arena-{kind}") for kind, to in names.items()}
        self.file = gr.File(label="What was measured", visible=False, elem_id="arena-file")
        self.note = gr.HTML(elem_id="arena-note")


class ArenaHandlers:
    """What the tab's events do: values in, updates out."""

    def __init__(self, store: RunStore, options: list[Field]) -> None:
        self.fields, self.runs = options, RunControl(store, ARENA, self.read, keep_together)
        self._logs = LiveLogs(ArenaLog)

    def read(self, values: tuple[Any, ...]) -> ArenaConfig:
        """The config that the form describes. Raises ConfigError."""
        return build_arena(given_values(self.fields, values))

    def check(self, before: str | None, *values: Any) -> list[Any]:
        """Describe the comparison below the form, or say what is wrong with it next to the field."""
        return check_fields(self.fields, before, values, lambda: describe(self.read(values)))

    def size(self, name: str) -> list[Any]:
        """The form's values for one of the sizes."""
        chosen = {spec.name: SIZES[name].get(spec.name, spec.default) for spec in fields(ArenaConfig)}
        return [form_value(field.name, chosen[field.name]) for field in self.fields]

    def watch(self, name: str | None, *picked: Any) -> Any:
        """Updates of what is shown of a run; nothing moves where nothing is new since the stamp that `picked` ends with."""
        if not name:
            return gr.skip()
        try:
            run = jobs.refresh(self.runs.store, self.runs.store.get(name, ARENA))
            config = run.arena()
        except ConfigError as error:
            return notice(error, 0, SHOWN)
        log = self._logs.of(run)
        *chosen, before = picked
        stamp = " ".join(map(str, (name, log.stamp, run.status, run.stopping, *chosen)))
        if stamp == before:
            return gr.skip()
        card, verdict, *rest = look(run, config, log, chosen)
        return [card, *stop_and_resume(run), verdict, *rest, stamp]

    def export(self, name: str | None, kind: str) -> list[Any]:
        """Updates of the file to fetch and of the note that says how to have it without the page."""
        if not name:
            return notice("Choose a comparison to export.", 1, 2, "warning")
        try:
            run = self.runs.store.get(name, ARENA)
            paths = export_arena(run, folder := export_folder(), kind)
            path = paths[0] if len(paths) == 1 else pack(paths, folder / f"{run.id}-{kind}.zip")
        except (ConfigError, OSError) as error:
            return notice(say(error, self.runs.store), 1, 2)
        same = f"Same as: python -m lab arena report {name} --format {kind}"
        return [gr.update(value=str(path), visible=True), sentence(same)]


def build_arena_tab(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the contents of `tab`, which shows the newest run when it is first opened. Gives what lets it follow the run."""
    at = ArenaLayout()
    do = ArenaHandlers(store, at.fields)
    values = [at.bad_field, *at.options]
    changes = [component.change for component in at.options]
    gr.on(changes, do.check, values, at.about, queue=False, trigger_mode="always_last", **QUIET)
    for name, button in at.sizes.items():
        button.click(lambda name=name: do.size(name), None, at.options, **QUIET)
    stream = next(field.component for field in at.fields if field.name == "stream")
    at.upload.upload(do.runs.take_upload, at.upload, stream, **QUIET)
    at.start.click(do.runs.launch, at.options, [at.message, at.watched, at.seen], **BUSY)
    at.stop.click(lambda name: do.runs.act(jobs.stop, name), at.watched, at.seen, **QUIET)
    at.resume.click(lambda name: do.runs.act(jobs.resume, name), at.watched, at.seen, **QUIET)
    looked = [at.watched, *at.picked, at.seen]
    at.timer.tick(do.watch, looked, at.shown, trigger_mode="once", concurrency_limit=8, **QUIET)
    moves = [tab.select, at.watched.change, *(component.input for component in at.picked)]
    gr.on(moves, do.watch, looked, at.shown, **QUIET)
    for kind, button in at.exports.items():
        button.click(lambda name, kind=kind: do.export(name, kind), at.watched, [at.file, at.note], **QUIET)
    tab.select(lambda current: do.runs.attach(current), at.watched, at.watched, **QUIET)
    tab.select(do.check, values, at.about, queue=False, **QUIET)
    at.watched.focus(lambda: gr.update(choices=choices(do.runs.store, ARENA)), None, at.watched, **QUIET)
    return at.timer


def describe(config: ArenaConfig) -> tuple[str, str]:
    """What a comparison would be, as the page says it, and the command that does the same. Raises ConfigError."""
    about = jobs.check_arena(config)
    names = " → ".join(next(iter(about["tasks"].values())))
    weights = f"{min(about['parameters'].values()):,} to {max(about['parameters'].values()):,} weights each, none learnt before"
    text = f"{names} · {', '.join(map(str, about['lessons']))} lessons · {about['cells']} ways through · {weights}"
    return f'<div class="lab-size">{escape(text)}</div>', arena_line(config)


def look(run: Run, config: ArenaConfig, log: ArenaLog, picked: list[Any]) -> list[Any]:
    """Card, verdict, charts, choices, answers, means of a run. What was not picked, or is not there, is the first there is."""
    way, on, about, seed, west, east = picked
    result, orders, contestants = report(config, log), config.orders(), config.names()
    way = _pick(way, orders)
    scores, probes, tasks, answers = (_of(log.table(name), way) for name in ("scores", "probes", "tasks", "answers"))
    names, seeds = tasks["task"].tolist(), sorted(map(int, set(answers["seed"])))
    on = on if on in names[1:] else _pick(None, names[::-1])  # the left chart is about the first
    about, seed, west = _pick(about, names), _pick(seed, seeds), _pick(west, contestants)
    east = east if east in contestants else contestants[:2][-1]
    whole = _of(result.seeds, way) if len(result.seeds) else result.seeds
    place, asked = (names.index(name) + 1 if name else 1 for name in (on, about))
    return [
        arena_card(run, config, log, result), verdict_card(result, config, run),
        views.retention(scores, probes, tasks, contestants, 1), views.retention(scores, probes, tasks, contestants, place),
        gr.update(choices=orders, value=way, visible=len(orders) > 1), gr.update(choices=names[1:], value=on),
        gr.update(choices=names, value=about), gr.update(choices=seeds, value=seed),
        answer_table(answers, config, asked, seed), result.table, views.anytime(scores, tasks, contestants),
        views.tradeoff(whole, contestants), views.cost(whole, contestants), views.coverage(whole, contestants),
        views.heatmap(scores, tasks, west), views.heatmap(scores, tasks, east),
        gr.update(choices=contestants, value=west), gr.update(choices=contestants, value=east),
    ]  # fmt: skip


def keep_together(store: RunStore, paths: list[str]) -> Path:
    """Keep what was uploaded together in a folder of its own: the file of labels in it, or the folder of tasks."""
    folder = store.home / "uploads" / f"arena-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    kept = [Path(shutil.copyfile(path, folder / Path(path).name)) for path in paths]
    labels = [path for path in kept if path.suffix.lower() != ".jsonl" and not path.name.endswith("domains.json")]
    return labels[0] if labels else folder


def _pick(value: Any, options: list[Any]) -> Any:
    return value if value in options else next(iter(options), None)


def _of(table: pd.DataFrame, order: str) -> pd.DataFrame:
    return table[table["task_order"] == order]
