"""The Arena tab: let brains learn one thing after another, and see live who still knows the first."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import zipfile
from collections import OrderedDict
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr
import pandas as pd

from lab import jobs
from lab.config import ArenaConfig, ConfigError, arena_line, build_arena
from lab.jobs.report import FORMATS, export_arena, report
from lab.store import ARENA, ArenaLog, RunStore
from lab.ui.chart import live_chart
from lab.ui.form import Field, error_updates, given_values, make_field
from lab.ui.train import attach, say
from lab.ui.verdict import answer_table, arena_card, verdict_card
from lab.ui.words import sentence
from lab.views import arena as views

POLL_S = 1.0
KEPT_LOGS = 8
SUGGESTED = [
    "qor", "baseline", "qor+naive", "baseline+dreams", "baseline+replay", "joint", "baseline+ewc", "baseline+lwf", "baseline+der",
    "baseline+lora", "baseline+l2", "baseline+sparse", "baseline+slots", "baseline+bands", "baseline+frozen", "qor+replay",
    "qor+bands", "qor/no-gate", "qor/one-period", "qor/no-dreams",
]  # fmt: skip
SIZES: dict[str, dict[str, Any]] = {  # what the buttons set beside the defaults
    "Quick: two brains, a minute": {},
    "Standard: four brains, five minutes": {"contestants": "qor,baseline,baseline+dreams,joint", "seeds": 3, "steps": 200},
    "Large: a hundred facts, five seeds": {"contestants": "qor,baseline,baseline+dreams,joint", "seeds": 5, "facts": 100, "steps": 900},
}  # fmt: skip
NOTHING = "Nobody has competed yet. Press Start: two brains learn animals, then arithmetic, and the page shows what they forget."


def build_arena_tab(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the contents of `tab`, which shows the newest run when it is first opened. Gives what lets it follow the run."""
    hints = get_type_hints(ArenaConfig)
    specs = {spec.name: spec for spec in fields(ArenaConfig)}
    logs: OrderedDict[str, ArenaLog] = OrderedDict()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            gr.Markdown("Brains learn one task after another. Who still knows the first when the last is learnt?")
            with gr.Row():
                sizes = {name: gr.Button(name, size="sm") for name in SIZES}
            form = [_field(spec, hints[name]) for name, spec in specs.items() if not spec.metadata["advanced"]]
            upload = gr.File(
                label="or your own files", file_count="multiple",
                file_types=[".csv", ".json", ".jsonl"], height=140, elem_id="arena-upload",
            )  # fmt: skip
            gr.Markdown(
                "A .csv (text, label) or CLINC-like .json is cut into tasks; of .jsonl files (prompt, answer) each is a task."
            )
            with gr.Accordion("Every setting", open=False):
                form += [_field(spec, hints[name]) for name, spec in specs.items() if spec.metadata["advanced"]]
            message = gr.HTML(elem_id="arena-message")
            size = gr.HTML(elem_id="arena-size")
            command = gr.Code(
                label="Same as", language="shell", interactive=False, elem_id="arena-command", lines=1, wrap_lines=True
            )
            start = gr.Button("Start", variant="primary", elem_id="arena-start")
        with gr.Column(scale=3, min_width=320):
            watched = gr.Dropdown(label="Comparison", choices=[], elem_id="arena-run", allow_custom_value=False)
            card = gr.HTML(sentence(NOTHING), elem_id="arena-card")
            with gr.Row():
                stop = gr.Button("Pause", interactive=False, elem_id="arena-stop")
                resume = gr.Button("Resume", interactive=False, elem_id="arena-resume")
            verdict = gr.HTML(elem_id="arena-verdict")
            with gr.Row():
                with gr.Column(min_width=300):
                    first = live_chart({}, "arena-first")
                with gr.Column(min_width=300):
                    second = live_chart({}, "arena-second")
            order = gr.Radio(label="Order of the tasks", choices=[], elem_id="arena-order-shown", visible=False)
            with gr.Row():
                task = gr.Dropdown(label="Task of the right chart", choices=[], elem_id="arena-task")
                asked = gr.Dropdown(label="Task of the answers", choices=[], elem_id="arena-asked")
                seed = gr.Dropdown(label="Seed of the answers", choices=[], elem_id="arena-seed")
            answers = gr.HTML(elem_id="arena-answers")
    with gr.Accordion("Everything that was measured", open=False):
        means = gr.Dataframe(
            interactive=False,
            elem_id="arena-means",
            label="Means over seeds, with 95% intervals",
            show_label=True,
        )
        charts: list[gr.HTML] = []
        for row in (("anytime", "tradeoff"), ("cost", "coverage"), ("map-1", "map-2")):
            with gr.Row():
                for name in row:
                    with gr.Column(min_width=300):
                        charts.append(live_chart({}, f"arena-{name}"))
        with gr.Row():
            left = gr.Dropdown(label="Left map", choices=[], elem_id="arena-left")
            right = gr.Dropdown(label="Right map", choices=[], elem_id="arena-right")
    with gr.Row():
        exports = {
            kind: gr.Button(f"Export as {kind.upper() if kind != 'parquet' else 'Parquet'}", elem_id=f"arena-{kind}")
            for kind in FORMATS
        }
    file = gr.File(label="What was measured", visible=False, elem_id="arena-file")
    note = gr.HTML(elem_id="arena-note")
    bad_field, seen = gr.State(None), gr.State("")
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    components = [field.component for field in form]

    def read(values: tuple[Any, ...]) -> ArenaConfig:
        given = given_values(form, values)
        chosen = given["contestants"]
        return build_arena({**given, "contestants": ",".join(chosen) if isinstance(chosen, list) else chosen})

    def check(before: str | None, *values: Any) -> list[Any]:
        """Describe the comparison below the form, or say what is wrong with it next to the field."""
        try:
            config = read(values)
            about = jobs.check_arena(config)
        except ConfigError as error:
            updates, bad = error_updates(form, error, None, before)
            return [sentence(str(error), "error"), "", gr.skip(), gr.update(interactive=False), bad, *updates]
        updates, bad = error_updates(form, None, None, before)
        names = " → ".join(next(iter(about["tasks"].values())))
        weights = f"{min(about['parameters'].values()):,} to {max(about['parameters'].values()):,} weights each, none learnt before"
        told = f"{names} · {', '.join(map(str, about['lessons']))} lessons · {about['cells']} ways through · {weights}"
        return [
            "",
            f'<div class="lab-size">{escape(told)}</div>',
            arena_line(config),
            gr.update(interactive=True),
            bad,
            *updates,
        ]

    outputs = [message, size, command, start, bad_field, *components]
    changes = [component.change for component in components]
    gr.on(changes, check, [bad_field, *components], outputs, queue=False, trigger_mode="always_last", **quiet)

    for name, button in sizes.items():
        values = [_shown(SIZES[name].get(field.name, specs[field.name].default), field.name) for field in form]
        button.click(lambda values=values: values, None, components, **quiet)

    def take_upload(paths: list[str] | None) -> Any:
        if not paths:
            return gr.skip()
        try:
            return str(_keep(store, [Path(path) for path in paths]))
        except (OSError, ConfigError) as error:
            gr.Warning(say(error, store))
            return gr.skip()

    upload.upload(take_upload, upload, next(field.component for field in form if field.name == "stream"), **quiet)

    def launch(*values: Any) -> list[Any]:
        try:
            run = jobs.launch(read(values), store)
        except (ConfigError, OSError) as error:
            return [sentence(say(error, store), "error"), gr.skip(), ""]
        return ["", gr.update(choices=_choices(store), value=run.id), ""]

    start.click(launch, components, [message, watched, seen], api_visibility="private", show_progress="minimal")

    def act(what: Any, name: str | None) -> Any:
        try:
            what(store, store.get(name or "", ARENA))
        except (ConfigError, OSError) as error:
            gr.Warning(say(error, store))
        return ""

    stop.click(lambda name: act(jobs.stop, name), watched, seen, **quiet)
    resume.click(lambda name: act(jobs.resume, name), watched, seen, **quiet)

    shown = [
        card, stop, resume, verdict, first, second, order, task, asked, seed, answers, means, *charts, left, right, seen,
    ]  # fmt: skip

    def watch(
        name: str | None,
        way: str | None,
        on: str | None,
        about: str | None,
        chosen: int | None,
        west: str | None,
        east: str | None,
        before: str,
    ) -> list[Any]:
        """Show the watched run; nothing moves where nothing is new."""
        if not name:
            return [gr.skip()] * len(shown)
        try:
            run = jobs.refresh(store, store.get(name, ARENA))
            config = run.arena()
        except ConfigError as error:
            return [sentence(str(error), "error"), *[gr.skip()] * (len(shown) - 1)]
        log = logs[name] = logs.pop(name) if name in logs else ArenaLog(run)
        while len(logs) > KEPT_LOGS:
            logs.popitem(last=False)
        log.read()
        stamp = f"{name} {log.stamp} {run.status} {run.stopping} {way} {on} {about} {chosen} {west} {east}"
        if stamp == before:
            return [gr.skip()] * len(shown)
        told = report(config, log)
        way = way if way in config.orders() else config.orders()[0]
        scores, probes, tasks, said = (_of(log.table(table), way) for table in ("scores", "probes", "tasks", "answers"))
        names = tasks["task"].tolist()
        on = on if on in names[1:] else (names[-1] if names else None)  # the left chart is about the first
        about = about if about in names else (names[0] if names else None)
        seeds = sorted({int(one) for one in said["seed"]})
        chosen = chosen if chosen in seeds else (seeds[0] if seeds else None)
        west = west if west in config.names() else config.names()[0]
        east = east if east in config.names() else config.names()[min(1, len(config.names()) - 1)]
        whole = told.seeds[told.seeds["task_order"] == way] if len(told.seeds) else told.seeds
        place, shown_place = (names.index(one) + 1 if one else 1 for one in (on, about))
        return [
            arena_card(run, config, log, told), gr.update(interactive=run.live and not run.stopping),
            gr.update(interactive=run.status in ("stopped", "failed", "crashed")), verdict_card(told, config, run),
            views.retention(scores, probes, tasks, config.names(), 1), views.retention(scores, probes, tasks, config.names(), place),
            gr.update(choices=config.orders(), value=way, visible=len(config.orders()) > 1),
            gr.update(choices=names[1:], value=on), gr.update(choices=names, value=about), gr.update(choices=seeds, value=chosen),
            answer_table(said, config, shown_place, chosen), told.means,
            views.anytime(scores, tasks, config.names()),
            views.tradeoff(whole, config.names()), views.cost(whole, config.names()), views.coverage(whole, config.names()),
            views.heatmap(scores, tasks, west), views.heatmap(scores, tasks, east),
            gr.update(choices=config.names(), value=west), gr.update(choices=config.names(), value=east), stamp,
        ]  # fmt: skip

    inputs = [watched, order, task, asked, seed, left, right, seen]
    timer = gr.Timer(POLL_S, active=False)
    timer.tick(watch, inputs, shown, trigger_mode="once", concurrency_limit=8, **quiet)
    gr.on(
        [tab.select, watched.change, order.input, task.input, asked.input, seed.input, left.input, right.input],
        watch,
        inputs,
        shown,
        **quiet,
    )

    def export(name: str | None, kind: str) -> list[Any]:
        if not name:
            return [gr.skip(), sentence("Choose a comparison to export.", "warning")]
        try:
            run = store.get(name, ARENA)
            paths = export_arena(run, Path(tempfile.mkdtemp(prefix="qor-export-")), kind)
        except (ConfigError, OSError) as error:
            return [gr.skip(), sentence(say(error, store), "error")]
        path = paths[0]
        if len(paths) > 1:
            path = path.with_name(f"{run.id}-{kind}.zip")
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
                for one in paths:
                    packed.write(one, one.name)
        same = f"Same as: python -m lab arena report {name} --format {kind}"
        return [gr.update(value=str(path), visible=True), sentence(same)]

    for kind, button in exports.items():
        button.click(lambda name, kind=kind: export(name, kind), watched, [file, note], **quiet)

    tab.select(lambda current: attach(store, ARENA, current), watched, watched, **quiet)
    tab.select(check, [bad_field, *components], outputs, queue=False, **quiet)
    watched.focus(lambda: gr.update(choices=_choices(store)), None, watched, **quiet)
    return timer


def _field(spec: Any, kind: type) -> Field:
    """A field of the form; contestants are chosen from a list, to which others may be added."""
    if spec.name != "contestants":
        field = make_field(spec, kind)
        field.component.elem_id = f"arena-{spec.name}"
        return field
    component = gr.Dropdown(
        SUGGESTED, value=spec.default.split(","), multiselect=True, allow_custom_value=True, label="contestants",
        info=spec.metadata["help"], interactive=True, elem_id="arena-contestants",
    )  # fmt: skip
    return Field(spec.name, None, spec.metadata["help"], kind, component)


def _shown(value: Any, name: str) -> Any:
    return str(value).split(",") if name == "contestants" else value


def _choices(store: RunStore) -> list[str]:
    return [run.id for run in jobs.refresh_all(store, ARENA)]


def _keep(store: RunStore, paths: list[Path]) -> Path:
    """Keep what was uploaded together in a folder of its own: the file of labels in it, or the folder of tasks."""
    folder = store.home / "uploads" / f"arena-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    labels = [path.name for path in paths if path.suffix.lower() != ".jsonl" and not path.name.endswith("domains.json")]
    return folder / labels[0] if labels else folder


def _of(table: pd.DataFrame, order: str) -> pd.DataFrame:
    return table[table["task_order"] == order]
