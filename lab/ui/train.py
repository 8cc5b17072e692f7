"""The Train tab: choose a brain, a size and data; start; watch it learn; stop and resume."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lab import jobs
from lab.config import ConfigError
from lab.disk import explain_disk
from lab.store import TRAIN, LiveLogs, Run, RunStore
from lab.ui.chart import live_chart
from lab.ui.form import Form, error_updates
from lab.ui.words import progress_card, sample_card, sentence
from lab.views import band_raster, curve

POLL_S = 1.0
NOTHING = "Nothing has been trained yet. Choose a brain and data, then press Start."


def build_train(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the contents of `tab`, which shows the newest run when it is first opened. Gives what lets it follow the run."""
    logs = LiveLogs()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            form = Form()
            upload = gr.File(
                label="or a file of yours", file_count="single",
                file_types=[".txt", ".jsonl", ".csv", ".parquet"], height=140, elem_id="train-upload",
            )  # fmt: skip
            message = gr.HTML(elem_id="train-message")
            size = gr.HTML(elem_id="train-size")
            command = gr.Code(
                label="Same as", language="shell", interactive=False, elem_id="train-command", lines=1, wrap_lines=True
            )
            with gr.Row():
                look = gr.Button("Look at the data", elem_id="train-preview")
                start = gr.Button("Start", variant="primary", elem_id="train-start")
            preview = gr.HTML(elem_id="train-preview-text")
        with gr.Column(scale=3, min_width=320):
            watched = gr.Dropdown(label="Run", choices=[], elem_id="train-run", allow_custom_value=False)
            card = gr.HTML(sentence(NOTHING), elem_id="train-card")
            with gr.Row():
                stop = gr.Button("Stop", interactive=False, elem_id="train-stop")
                resume = gr.Button("Resume", interactive=False, elem_id="train-resume")
            with gr.Row():
                axis = gr.Radio(
                    [("step", "step"), ("time", "time"), ("tokens", "tokens")],
                    value="step",
                    label="x axis",
                    elem_id="train-axis",
                )
                smoothing = gr.Slider(0, 0.98, value=0.6, step=0.02, label="smoothing", elem_id="train-smoothing")
            samples = gr.HTML(elem_id="train-samples")
            charts: dict[str, gr.HTML] = {}
            for pair in (("loss", "bpb"), ("bands", "surprise"), ("fire_rate", "lr"), ("tokens_s", "grad_norm")):
                with gr.Row():
                    for name in pair:
                        with gr.Column(min_width=300):
                            charts[name] = live_chart({}, f"chart-{name}")
    bad_field, seen = gr.State(None), gr.State("")
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    def check(before: str | None, *values: Any) -> list[Any]:
        """Describe the config below the form, or say what is wrong with it next to the field."""
        try:
            config = form.read(values)
            about = jobs.describe(config)
        except ConfigError as error:
            updates, bad = error_updates(form.fields, error, values[0], before)
            return [sentence(str(error), "error"), "", gr.skip(), gr.update(interactive=False), bad, *updates]
        updates, bad = error_updates(form.fields, None, config.model, before)
        words = f"{about['parameters']:,} weights · {config.training.steps:,} steps of " \
                f"{config.data.batch_size * config.data.seq_len * config.training.accumulate:,} bytes"  # fmt: skip
        told = f'<div class="lab-size" title="Numbers the brain can learn, and how much it will read.">{words}</div>'
        return ["", told, about["command"], gr.update(interactive=True), bad, *updates]

    outputs = [message, size, command, start, bad_field, *form.components]
    changes = [component.change for component in form.components]
    gr.on(changes, check, [bad_field, *form.components], outputs, queue=False, trigger_mode="always_last", **quiet)
    form.follow_model()

    def take_upload(path: str | None) -> Any:
        try:
            return gr.skip() if path is None else str(keep_upload(store, Path(path)))
        except OSError as error:
            gr.Warning(say(error, store))
            return gr.skip()

    upload.upload(take_upload, upload, form.component("data"), **quiet)

    def show_data(*values: Any) -> tuple[str, str]:
        try:
            config = form.read(values)
            documents = jobs.check_data(config)
        except ConfigError as error:
            return sentence(str(error), "error"), ""
        rows = "".join(
            f'<li><span class="lab-split">{"validate" if held_out else "learn"}</span> {escape(text[:240])}</li>'
            for text, held_out in documents
        )
        return (
            "",
            f'<div class="lab-card"><div class="lab-card-title">The first documents</div><ul class="lab-documents">{rows}</ul></div>',
        )

    look.click(show_data, form.components, [message, preview], api_visibility="private", show_progress="minimal")

    def launch(*values: Any) -> list[Any]:
        try:
            run = jobs.launch(form.read(values), store)
        except (ConfigError, OSError) as error:
            return [sentence(say(error, store), "error"), gr.skip(), ""]
        return ["", gr.update(choices=choices(store), value=run.id), ""]

    start.click(launch, form.components, [message, watched, seen], api_visibility="private", show_progress="minimal")

    def act(what: Any, name: str | None) -> Any:
        try:
            what(store, store.get(name or ""))
        except (ConfigError, OSError) as error:
            gr.Warning(say(error, store))
        return ""

    stop.click(lambda name: act(jobs.stop, name), watched, seen, api_visibility="private", show_progress="hidden")
    resume.click(lambda name: act(jobs.resume, name), watched, seen, api_visibility="private", show_progress="hidden")

    shown = [card, stop, resume, samples, *charts.values(), seen]

    def watch(name: str | None, along: str, amount: float, before: str) -> list[Any]:
        """Show the watched run; nothing moves where nothing is new."""
        if not name:
            return [gr.skip()] * len(shown)
        try:
            run = jobs.refresh(store, store.get(name))
            config = run.config()
        except ConfigError as error:
            return [sentence(str(error), "error"), *[gr.skip()] * (len(shown) - 1)]
        log = logs.of(run)
        stamp = f"{name} {log.offset} {run.status} {run.stopping} {along} {amount}"
        if stamp == before:
            return [gr.skip()] * len(shown)
        steps, evals = log.steps(), log.evals()
        figures = [
            band_raster(log.bands(), along) if name == "bands"
            else curve(evals, name, along, 0, config.model) if name == "bpb"
            else curve(steps, name, along, amount, config.model)
            for name in charts
        ]  # fmt: skip
        return [
            progress_card(run, log), gr.update(interactive=run.live and not run.stopping),
            gr.update(interactive=run.status in ("stopped", "failed", "crashed")), sample_card(log),
            *figures, stamp,
        ]  # fmt: skip

    timer = gr.Timer(POLL_S, active=False)
    inputs = [watched, axis, smoothing, seen]
    timer.tick(watch, inputs, shown, trigger_mode="once", concurrency_limit=8, **quiet)
    gr.on(
        [tab.select, watched.change, axis.change, smoothing.change, stop.click, resume.click],
        watch,
        inputs,
        shown,
        **quiet,
    )

    tab.select(lambda current: attach(store, TRAIN, current), watched, watched, **quiet)
    tab.select(check, [bad_field, *form.components], outputs, queue=False, **quiet)
    watched.focus(lambda: gr.update(choices=choices(store)), None, watched, **quiet)
    return timer


def choices(store: RunStore, runs: list[Run] | None = None) -> list[str]:
    """The names of all training runs for a dropdown, newest first."""
    return [run.id for run in (jobs.refresh_all(store, TRAIN) if runs is None else runs)]


def attach(store: RunStore, kind: str, current: str | None) -> Any:
    """An update of the dropdown of runs: where none is looked at, look at the newest live one, else at the newest."""
    runs = jobs.refresh_all(store, kind)
    names = [run.id for run in runs]
    newest = next((run.id for run in runs if run.live), next(iter(names), None))
    return gr.update(choices=names, value=current if current in names else newest)


def keep_upload(store: RunStore, path: Path) -> Path:
    """Copy an uploaded file to where it stays as long as the runs that read it; gives its new place."""
    folder = store.home / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        mark = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    kept = folder / f"{mark}-{path.name}"
    if not kept.exists():
        draft = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}.tmp")
        try:
            shutil.copyfile(path, draft)
            os.replace(draft, kept)
        finally:
            draft.unlink(missing_ok=True)
    return kept


def say(error: Exception, store: RunStore) -> str:
    return (explain_disk(error, store.home) if isinstance(error, OSError) else None) or str(error)
