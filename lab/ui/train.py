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
from lab.config import ConfigError, RunConfig
from lab.store import TRAIN, LiveLog, LiveLogs, RunStore
from lab.ui.chart import axis_and_smoothing, chart_rows
from lab.ui.control import BUSY, POLL_S, QUIET, RunControl, choices, notice, stop_and_resume
from lab.ui.form import Form, check_fields, command_code
from lab.ui.words import progress_card, sample_card, sentence, titled
from lab.views import band_raster, curve

CHARTS = ("loss", "bpb", "bands", "surprise", "fire_rate", "lr", "tokens_s", "grad_norm")  # two a row
NOTHING = "Nothing has been trained yet. Choose a brain and data, then press Start."


class TrainLayout:
    """The tab's components by name. `shown` is what a look at a run updates."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                self._form()
            with gr.Column(scale=3, min_width=320):
                self._run()
        self.bad_field, self.seen = gr.State(None), gr.State("")
        self.timer = gr.Timer(POLL_S, active=False)
        self.about = [self.message, self.size, self.command, self.start, self.bad_field, *self.form.components]
        self.shown = [self.card, self.stop, self.resume, self.samples, *self.charts, self.seen]

    def _form(self) -> None:
        self.form = Form()
        self.upload = gr.File(
            label="or a file of yours", file_count="single",
            file_types=[".txt", ".jsonl", ".csv", ".parquet"], height=140, elem_id="train-upload",
        )  # fmt: skip
        self.message = gr.HTML(elem_id="train-message")
        self.size = gr.HTML(elem_id="train-size")
        self.command = command_code("train")
        with gr.Row():
            self.look = gr.Button("Look at the data", elem_id="train-preview")
            self.start = gr.Button("Start", variant="primary", elem_id="train-start")
        self.preview = gr.HTML(elem_id="train-preview-text")

    def _run(self) -> None:
        self.watched = gr.Dropdown(label="Run", choices=[], elem_id="train-run", allow_custom_value=False)
        self.card = gr.HTML(sentence(NOTHING), elem_id="train-card")
        with gr.Row():
            self.stop = gr.Button("Stop", interactive=False, elem_id="train-stop")
            self.resume = gr.Button("Resume", interactive=False, elem_id="train-resume")
        with gr.Row():
            self.axis, self.smoothing = axis_and_smoothing("train")
        self.samples = gr.HTML(elem_id="train-samples")
        self.charts = chart_rows("chart", *zip(CHARTS[::2], CHARTS[1::2], strict=True))


class TrainHandlers:
    """What the tab's events do: values in, updates out."""

    def __init__(self, store: RunStore, form: Form) -> None:
        self.form, self._logs = form, LiveLogs(LiveLog)
        self.runs = RunControl(store, TRAIN, form.read, keep_upload)

    def check(self, before: str | None, *values: Any) -> list[Any]:
        """Describe the config below the form, or say what is wrong with it next to the field."""
        return check_fields(self.form.fields, before, values, lambda: describe(self.form.read(values)))

    def show_data(self, *values: Any) -> tuple[str, str]:
        """The message and the first documents of the data that the form names."""
        try:
            documents = jobs.check_data(self.form.read(values))
        except ConfigError as error:
            return sentence(str(error), "error"), ""
        rows = ""
        for text, held_out in documents:
            split = "validate" if held_out else "learn"
            rows += f'<li><span class="lab-split">{split}</span> {escape(text[:240])}</li>'
        return "", titled("The first documents", f'<ul class="lab-documents">{rows}</ul>')

    def watch(self, name: str | None, along: str, amount: float, before: str) -> Any:
        """Updates of what is shown of a run; nothing moves where nothing is new since `before`."""
        if not name:
            return gr.skip()
        try:
            run = jobs.refresh(self.runs.store, self.runs.store.get(name))
            config = run.config()
        except ConfigError as error:
            return notice(error, 0, 5 + len(CHARTS))
        log = self._logs.of(run)
        stamp = f"{name} {log.offset} {run.status} {run.stopping} {along} {amount}"
        if stamp == before:
            return gr.skip()
        steps, evals = log.steps(), log.evals()
        figures = [
            band_raster(log.bands(), along) if chart == "bands"
            else curve(evals, chart, along, 0, config.model) if chart == "bpb"
            else curve(steps, chart, along, amount, config.model)
            for chart in CHARTS
        ]  # fmt: skip
        return [progress_card(run, log), *stop_and_resume(run), sample_card(log), *figures, stamp]


def build_train(store: RunStore, tab: gr.Tab) -> gr.Timer:
    """Add the contents of `tab`, which shows the newest run when it is first opened. Gives what lets it follow the run."""
    at = TrainLayout()
    form, do = at.form, TrainHandlers(store, at.form)
    values = [at.bad_field, *form.components]
    changes = [component.change for component in form.components]
    gr.on(changes, do.check, values, at.about, queue=False, trigger_mode="always_last", **QUIET)
    form.follow_model()
    at.upload.upload(do.runs.take_upload, at.upload, form.component("data"), **QUIET)
    at.look.click(do.show_data, form.components, [at.message, at.preview], **BUSY)
    at.start.click(do.runs.launch, form.components, [at.message, at.watched, at.seen], **BUSY)
    at.stop.click(lambda name: do.runs.act(jobs.stop, name), at.watched, at.seen, **QUIET)
    at.resume.click(lambda name: do.runs.act(jobs.resume, name), at.watched, at.seen, **QUIET)
    looked = [at.watched, at.axis, at.smoothing, at.seen]
    at.timer.tick(do.watch, looked, at.shown, trigger_mode="once", concurrency_limit=8, **QUIET)
    moves = [tab.select, at.watched.change, at.axis.change, at.smoothing.change]
    gr.on(moves, do.watch, looked, at.shown, **QUIET)
    tab.select(lambda current: do.runs.attach(current), at.watched, at.watched, **QUIET)
    tab.select(do.check, values, at.about, queue=False, **QUIET)
    at.watched.focus(lambda: gr.update(choices=choices(do.runs.store)), None, at.watched, **QUIET)
    return at.timer


def describe(config: RunConfig) -> tuple[str, str]:
    """What a run would be, as the page says it, and the command that does the same. Raises ConfigError."""
    about = jobs.describe(config)
    step_bytes = config.data.batch_size * config.data.seq_len * config.training.accumulate
    words = f"{about['parameters']:,} weights · {config.training.steps:,} steps of {step_bytes:,} bytes"
    title = "Numbers the brain can learn, and how much it will read."
    return f'<div class="lab-size" title="{title}">{words}</div>', about["command"]


def keep_upload(store: RunStore, path: str | Path) -> Path:
    """Copy an uploaded file to where it stays as long as the runs that read it; gives its new place."""
    path, folder = Path(path), store.home / "uploads"
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
