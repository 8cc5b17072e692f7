"""The Memory tab: what a mind holds, how strong it is, what each night moved; find, edit, forget, export, import."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from lab.config import ConfigError
from lab.mind import Mind, MindError, Minds
from lab.ui.chart import live_chart
from lab.ui.words import sentence
from lab.views import forgetting, hypnogram, night_recall, strengths, tier_usage

MOST_ROWS = 500
SHOWN = ("number", "text", "tier", "known by", "strength", "confidence", "uses", "told", "state")
FORGET = "Forget it"
LEARNING = "learning by heart"


def trace_table(mind: Mind, search: str = "", *, all: bool = False) -> pd.DataFrame:
    """The traces as a table to look at; `search` keeps those that hold the words or are like them."""
    traces, now = mind.traces(all=all), time.time()
    if search.strip():
        near = {key for key, _ in mind.index.search(search, 50)}
        traces = [t for t in traces if search.lower() in t.text.lower() or t.id in near]
    rows = [
        {
            "number": t.id, "text": t.text, "tier": t.tier, "known by": t.stage, "strength": round(mind.strength(t, now), 3),
            "confidence": t.confidence, "uses": t.uses, "told": datetime.fromtimestamp(t.created_at, UTC).strftime("%Y-%m-%d %H:%M"),
            "state": _state(t),
        }
        for t in traces
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
    rows: dict[int, dict[str, Any]] = {}
    for row in mind.memory.rows("nights"):
        detail = json.loads(row["detail"])
        if detail["kept"]:
            rows[row["night"]] = {**row, "retained": detail["retained"]}
    return pd.DataFrame(
        list(rows.values()), columns=["night", "recall_before", "recall_after", "retained", "replayed", "promoted"]
    )


def all_phases(mind: Mind) -> pd.DataFrame:
    """The phases of all nights, one after the other: phase, doing, seconds, until."""
    found: list[dict[str, Any]] = []
    at = 0.0
    for row in mind.memory.rows("nights"):
        detail = json.loads(row["detail"])
        done = (
            f" ({row['replayed']} questions replayed, {row['promoted']} notes promoted)"
            if detail["doing"] == LEARNING
            else ""
        )
        found.append(
            {
                "phase": row["phase"],
                "doing": f"night {row['night']}: {detail['doing']}{done}",
                "seconds": at,
                "until": at + row["seconds"],
            }
        )
        at += row["seconds"]
        if row["phase"] == "REM":
            found.append({"phase": "wake", "doing": "awake", "seconds": at, "until": at + 5})
            at += 5
    return pd.DataFrame(found, columns=["phase", "doing", "seconds", "until"])


def figures(mind: Mind) -> list[dict[str, Any]]:
    """The tab's five charts."""
    usage = pd.DataFrame(mind.memory.rows("usage"), columns=["at", "stm", "ltm", "archive", "weights"])
    now = time.time()
    live = pd.DataFrame(
        [
            {
                "strength": mind.strength(t, now),
                "tier": t.tier,
                "text": t.text,
                "age_days": (now - max(t.used_at, t.created_at)) / 86400,
            }
            for t in mind.traces()[-2000:]
        ],
        columns=["strength", "tier", "text", "age_days"],
    )
    return [
        tier_usage(usage.tail(1500)), hypnogram(all_phases(mind), "When was it awake, when asleep?"), night_recall(nights_table(mind)),
        strengths(live), forgetting(live, mind.config.memory_decay),
    ]  # fmt: skip


def build_memory(minds: Minds, tab: gr.Tab) -> None:
    """Add the tab's contents; they are read when the tab is opened."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Row():
        who = gr.Dropdown(label="Mind", choices=[], elem_id="memory-mind")
        search = gr.Textbox(label="Find", placeholder="words of a note", elem_id="memory-search")
        every = gr.Checkbox(label="also replaced and forgotten ones", elem_id="memory-all")
    message = gr.HTML(elem_id="memory-message")
    table = gr.Dataframe(
        headers=list(SHOWN), interactive=False, elem_id="memory-table", wrap=True, max_height=360,
        column_widths=["80px", "320px", "80px", "90px", "90px", "125px", "70px", "140px", "120px"],
    )  # fmt: skip
    with gr.Row():
        number = gr.Number(label="Note number (press a row)", precision=0, elem_id="memory-number", min_width=120)
        text = gr.Textbox(label="Its text", elem_id="memory-text", scale=4)
        save = gr.Button("Save the new text", elem_id="memory-save", min_width=120)
        forget = gr.Button(FORGET, variant="stop", elem_id="memory-forget", min_width=100)
        undo = gr.Button("Undo", elem_id="memory-undo", min_width=80)
    with gr.Row():
        export = gr.DownloadButton("Export as JSON lines", elem_id="memory-export")
        upload = gr.UploadButton(
            "Import: JSON lines, or a statement a line", file_types=[".jsonl", ".txt"], elem_id="memory-import"
        )
    charts = []
    for pair in (("usage", "sleep"), ("nights", "strengths"), ("fading",)):
        with gr.Row():
            for chart in pair:
                with gr.Column(min_width=300):
                    charts.append(live_chart({}, f"memory-{chart}"))
    outputs = [table, *charts, message]
    inputs = [who, search, every]

    def show(name: str | None, words: str | None, dead: bool) -> list[Any]:
        if not name:
            return [gr.skip()] * (len(outputs) - 1) + [
                sentence("There is no mind yet. Open the Chat tab: it makes one.")
            ]
        try:
            mind = minds.get(name)
            return [trace_table(mind, words or "", all=dead), *figures(mind), ""]
        except (MindError, ConfigError, ValueError, OSError) as error:
            return [gr.skip()] * (len(outputs) - 1) + [sentence(str(error), "error")]

    def enter(current: str | None) -> Any:
        names = minds.names()
        return gr.update(choices=names, value=current if current in names else next(iter(names), None))

    tab.select(enter, who, who, **quiet).then(show, inputs, outputs, **quiet)
    gr.on([who.change, search.submit, every.change], show, inputs, outputs, **quiet)

    def pick(frame: pd.DataFrame, event: gr.SelectData) -> list[Any]:
        row = frame.iloc[event.index[0]]
        return [int(row["number"]), str(row["text"])]

    table.select(pick, table, [number, text], **quiet)

    def change(act: Any) -> Any:
        """Do something to a mind, say what, and show the table anew."""

        def run(name: str | None, words: str | None, dead: bool, *values: Any) -> list[Any]:
            try:
                mind = minds.get(name or "")
                note = act(mind, *values)
            except (MindError, ConfigError, ValueError, OSError, TypeError) as error:
                return [gr.skip()] * (len(outputs) - 1) + [sentence(str(error), "error")]
            return [trace_table(mind, words or "", all=dead), *figures(mind), sentence(note)]

        return run

    def rewrite(mind: Mind, chosen: float | None, words: str) -> str:
        return mind.edit(_chosen(chosen), words).text

    def drop(mind: Mind, chosen: float | None) -> str:
        gone = mind.forget(_chosen(chosen))
        return f"Forgotten: “{gone.text}”. It answers no more; the next night takes it out of the weights. Undo brings it back."

    def take_back(mind: Mind) -> str:
        what = mind.undo()
        return f"Taken back: {what}." if what else "There is nothing to take back since its last night."

    def read(mind: Mind, path: str) -> str:
        return f"{mind.import_traces(Path(path)):,} new notes, in LTM. A night moves them into the weights."

    save.click(change(rewrite), [*inputs, number, text], outputs, **quiet)
    forget.click(
        change(drop), [*inputs, number], outputs, **quiet,
        js="(...values) => { if (!confirm('Forget this note? Undo brings it back.')) values[3] = null; return values }",
    )  # fmt: skip
    undo.click(change(take_back), inputs, outputs, **quiet)
    upload.upload(change(read), [*inputs, upload], outputs, **quiet)

    def write(name: str | None) -> str:
        mind = minds.get(name or "")
        path = Path(tempfile.mkdtemp(prefix="qor-export-")) / f"{mind.name}-traces.jsonl"
        mind.export_traces(path)
        return str(path)

    export.click(write, who, export, **quiet)


def _chosen(number: float | None) -> int:
    if not number:
        raise MindError("a note must be chosen; none is. Press a row of the table.")
    return int(number)
