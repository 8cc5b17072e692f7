"""The Memory tab: what a mind holds, how strong it is, what each night moved; find, edit, forget, export, import."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from lab.mind import Mind, MindError, Minds
from lab.ui.chart import chart_rows
from lab.ui.control import FAULTS, QUIET, export_folder, notice, take_back
from lab.ui.words import sentence
from lab.views import forgetting, hypnogram, night_recall, strengths, tier_usage

MOST_ROWS = 500
SHOWN = ("number", "text", "tier", "known by", "strength", "confidence", "uses", "told", "state")
LEARNING = "learning by heart"


def trace_table(mind: Mind, search: str = "", *, all: bool = False) -> pd.DataFrame:
    """The traces as a table to look at; `search` keeps those that hold the words or are like them."""
    traces, now = mind.traces(all=all), time.time()
    if search.strip():
        near = {key for key, _ in mind.index.search(search, 50)}
        traces = [t for t in traces if search.lower() in t.text.lower() or t.id in near]
    rows = [
        (t.id, t.text, t.tier, t.stage, round(mind.strength(t, now), 3), t.confidence, t.uses,
         datetime.fromtimestamp(t.created_at, UTC).strftime("%Y-%m-%d %H:%M"), _state(t)) for t in traces
    ]  # fmt: skip
    return pd.DataFrame(rows[::-1][:MOST_ROWS], columns=list(SHOWN))


def _state(trace: Any) -> str:
    if trace.forgotten_at is not None:
        return "forgotten"
    if trace.superseded_by is not None:
        return f"replaced by {trace.superseded_by}"
    return "called wrong" if trace.disputed_at is not None else "alive"


def nights_table(mind: Mind) -> pd.DataFrame:
    """One row a night: night, recall_before, recall_after, retained, replayed, promoted."""
    rows = [(row, json.loads(row["detail"])) for row in mind.memory.rows("nights")]
    kept = {row["night"]: {**row, "retained": detail["retained"]} for row, detail in rows if detail["kept"]}
    columns = ["night", "recall_before", "recall_after", "retained", "replayed", "promoted"]
    return pd.DataFrame(list(kept.values()), columns=columns)


def all_phases(mind: Mind) -> pd.DataFrame:
    """The phases of all nights, one after the other: phase, doing, seconds, until."""
    phases: list[tuple[str, str, float, float]] = []
    at = 0.0
    for row in mind.memory.rows("nights"):
        doing = f"night {row['night']}: {json.loads(row['detail'])['doing']}"
        if doing.endswith(f": {LEARNING}"):
            doing += f" ({row['replayed']} questions replayed, {row['promoted']} notes promoted)"
        phases.append((row["phase"], doing, at, at + row["seconds"]))
        at += row["seconds"]
        if row["phase"] == "REM":
            phases.append(("wake", "awake", at, at + 5))
            at += 5
    return pd.DataFrame(phases, columns=["phase", "doing", "seconds", "until"])


def figures(mind: Mind) -> list[dict[str, Any]]:
    """The tab's five charts."""
    usage = pd.DataFrame(mind.memory.rows("usage"), columns=["at", "stm", "ltm", "archive", "weights"])
    now = time.time()
    alive = [
        (mind.strength(t, now), t.tier, t.text, (now - max(t.used_at, t.created_at)) / 86400) for t in mind.traces()[-2000:]
    ]  # fmt: skip
    live = pd.DataFrame(alive, columns=["strength", "tier", "text", "age_days"])
    return [
        tier_usage(usage.tail(1500)), hypnogram(all_phases(mind), "When was it awake, when asleep?"), night_recall(nights_table(mind)),
        strengths(live), forgetting(live, mind.config.memory_decay),
    ]  # fmt: skip


class MemoryLayout:
    """The tab's components by name. `chosen` says what to show; `shown` is what that updates."""

    def __init__(self) -> None:
        with gr.Row():
            self.who = gr.Dropdown(label="Mind", choices=[], elem_id="memory-mind")
            self.search = gr.Textbox(label="Find", placeholder="words of a note", elem_id="memory-search")
            self.every = gr.Checkbox(label="also replaced and forgotten ones", elem_id="memory-all")
        self.message = gr.HTML(elem_id="memory-message")
        self.table = gr.Dataframe(
            headers=list(SHOWN), interactive=False, elem_id="memory-table", wrap=True, max_height=360,
            column_widths=["80px", "320px", "80px", "90px", "90px", "125px", "70px", "140px", "120px"],
        )  # fmt: skip
        self._note()
        self.charts = chart_rows("memory", ("usage", "sleep"), ("nights", "strengths"), ("fading",))
        self.chosen = [self.who, self.search, self.every]
        self.shown = [self.table, *self.charts, self.message]

    def _note(self) -> None:
        with gr.Row():
            self.number = gr.Number(
                label="Note number (press a row)", precision=0, elem_id="memory-number", min_width=120
            )
            self.text = gr.Textbox(label="Its text", elem_id="memory-text", scale=4)
            self.save = gr.Button("Save the new text", elem_id="memory-save", min_width=120)
            self.forget = gr.Button("Forget it", variant="stop", elem_id="memory-forget", min_width=100)
            self.undo = gr.Button("Undo", elem_id="memory-undo", min_width=80)
        with gr.Row():
            self.export = gr.DownloadButton("Export as JSON lines", elem_id="memory-export")
            self.upload = gr.UploadButton(
                "Import: JSON lines, or a statement a line", file_types=[".jsonl", ".txt"], elem_id="memory-import"
            )


class MemoryHandlers:
    """What the tab's events do: values in, updates out."""

    def __init__(self, minds: Minds) -> None:
        self.minds = minds

    def enter(self, current: str | None) -> Any:
        """An update of the dropdown of minds."""
        names = self.minds.names()
        return gr.update(choices=names, value=current if current in names else next(iter(names), None))

    def show(self, name: str | None, words: str | None, dead: bool) -> list[Any]:
        """The table, the charts and no message."""
        if not name:
            return notice("There is no mind yet. Open the Chat tab: it makes one.", 6, 7, "note")
        return self.change(lambda mind: "")(name, words, dead)

    def change(self, act: Callable[..., str]) -> Callable[..., list[Any]]:
        """A handler that does something to a mind, says what, and shows the table anew."""

        def run(name: str | None, words: str | None, dead: bool, *values: Any) -> list[Any]:
            try:
                mind = self.minds.get(name or "")
                note = act(mind, *values)
                return [trace_table(mind, words or "", all=dead), *figures(mind), sentence(note) if note else ""]
            except (*FAULTS, TypeError) as error:
                return notice(error, 6, 7)

        return run

    def pick(self, frame: pd.DataFrame, event: gr.SelectData) -> list[Any]:
        """The number and the text of the row that was pressed."""
        row = frame.iloc[event.index[0]]
        return [int(row["number"]), str(row["text"])]

    def write(self, name: str | None) -> Any:
        """Export a mind's traces; gives the file."""
        try:
            mind = self.minds.get(name or "")
            path = export_folder() / f"{mind.name}-traces.jsonl"
            mind.export_traces(path)
            return str(path)
        except FAULTS as error:
            gr.Warning(str(error))
            return gr.skip()


def build_memory(minds: Minds, tab: gr.Tab) -> None:
    """Add the tab's contents; they are read when the tab is opened."""
    at, do = MemoryLayout(), MemoryHandlers(minds)
    tab.select(do.enter, at.who, at.who, **QUIET).then(do.show, at.chosen, at.shown, **QUIET)
    gr.on([at.who.change, at.search.submit, at.every.change], do.show, at.chosen, at.shown, **QUIET)
    at.table.select(do.pick, at.table, [at.number, at.text], **QUIET)
    at.save.click(do.change(rewrite), [*at.chosen, at.number, at.text], at.shown, **QUIET)
    at.forget.click(
        do.change(forget), [*at.chosen, at.number], at.shown, **QUIET,
        js="(...values) => { if (!confirm('Forget this note? Undo brings it back.')) values[3] = null; return values }",
    )  # fmt: skip
    at.undo.click(do.change(take_back), at.chosen, at.shown, **QUIET)
    at.upload.upload(do.change(read_notes), [*at.chosen, at.upload], at.shown, **QUIET)
    at.export.click(do.write, at.who, at.export, **QUIET)


def rewrite(mind: Mind, chosen: float | None, words: str) -> str:
    """Give a note another text."""
    return mind.edit(_chosen(chosen), words).text


def forget(mind: Mind, chosen: float | None) -> str:
    """Let a note answer no more."""
    gone = mind.forget(_chosen(chosen))
    text = gone.text.removesuffix(".")
    return f"Forgotten: “{text}”. It answers no more; the next night takes it out of the weights. Undo brings it back."


def read_notes(mind: Mind, path: str) -> str:
    """Take in a file of notes."""
    return f"{mind.import_traces(Path(path)):,} new notes, in LTM. A night moves them into the weights."


def _chosen(number: float | None) -> int:
    if not number:
        raise MindError("a note must be chosen; none is. Press a row of the table.")
    return int(number)
