"""What the Arena tab says in words: how a run stands, its verdict, and the very answers."""

from __future__ import annotations

import time
from datetime import datetime
from html import escape

import pandas as pd

from lab import jobs
from lab.config import ArenaConfig
from lab.report import Report, control_of, judged, nothing_to_say
from lab.store import ArenaLog, Run
from lab.ui.words import STATUS_MARKS, duration, run_card, sentence, tile, titled

MOST_ROWS = 60


def arena_card(run: Run, config: ArenaConfig, log: ArenaLog, told: Report) -> str:
    """How a run stands: status, progress with ETA, what each contestant does now."""
    launched = datetime.fromisoformat(str(run.record["launched_at"])).timestamp()
    share, left = jobs.time_left(config, log, time.time() - launched)
    share = 1.0 if run.status == "finished" and not log.notices else share
    status = "pausing" if run.stopping else {"stopped": "paused"}.get(run.status, run.status)
    head = f"{STATUS_MARKS.get(run.status, '●')} {status}"
    if run.live:
        head += f" · {duration(left)} left" if left is not None else " · getting ready"
    tiles = []
    names = log.contested.get("tasks", {})
    for row in log.progress().to_dict("records") if run.live else []:
        if row["share"] < 1:
            tasks = names.get(row["task_order"], [])
            doing = tasks[row["task"] - 1] if row["task"] <= len(tasks) else ""
            about = f"Seed {row['seed']} learns {doing}; loss {row['loss']:.2f} nats."
            tiles.append(tile(f"{row['contestant']}, seed {row['seed']}", f"{row['share']:.0%} · {doing}", about))
    metric, words = list(judged(told.seeds).items())[-1]
    for name in [] if run.live else config.names():
        mine = told.seeds[told.seeds["contestant"] == name] if len(told.seeds) else told.seeds
        if len(mine):
            mean = f"{mine[metric].mean():.0%}"
            tiles.append(tile(f"{name}: {words}", mean, "Mean over seeds, at the end of the stream."))
    notes = "".join(sentence(text, "warning") for text in log.notices[-1:] if not run.live)
    return run_card(run, head, share, tiles, notes)


def verdict_card(told: Report, config: ArenaConfig, run: Run) -> str:
    """The verdicts, and what they prove."""
    if not told.verdicts:
        waiting = "The verdict stands here once a contestant and its control are through the stream."
        return sentence(waiting if run.live else nothing_to_say(told))
    rows = "".join(f"<li>{escape(text)}</li>" for text in told.verdicts)
    body = f'<ul class="lab-verdicts">{rows}</ul><p class="lab-proves">{escape(told.proves)}</p>'
    return titled(f"Verdict; the control is {control_of(config)}", body)


def answer_table(said: pd.DataFrame, config: ArenaConfig, on_task: int, seed: int | None) -> str:
    """The very facts: what each contestant says now, right or wrong."""
    rows = said[(said["on_task"] == on_task) & (said["seed"] == seed)] if len(said) else said
    if rows.empty:
        return sentence("The answers to every question appear here as soon as somebody was asked.")
    tables = {}
    for name in config.names():
        mine = rows[rows["contestant"] == name]
        if len(mine):
            last = mine[mine["after_task"] == mine["after_task"].max()]
            tables[name] = last.drop_duplicates("prompt").set_index("prompt")
    prompts = next(iter(tables.values()))["expected"]
    head = "<th>question</th><th>right answer</th>"
    for name, table in tables.items():
        head += f"<th>{escape(name)}<br><small>after task {int(table['after_task'].iloc[0])}</small></th>"
    body = ""
    for prompt, expected in list(prompts.items())[:MOST_ROWS]:
        cells = "".join(_answer(table, prompt) for table in tables.values())
        body += f"<tr><td>{escape(str(prompt))}</td><td>{escape(str(expected))}</td>{cells}</tr>"
    more = len(prompts) - MOST_ROWS
    cut = f"<p>… and {more} more: export them all below.</p>" if more > 0 else ""
    whole = f'<table class="lab-answers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return titled("What do they answer now?", whole + cut, "lab-scroll")


def _answer(table: pd.DataFrame, prompt: object) -> str:
    if prompt not in table.index:
        return "<td>–</td>"
    row = table.loc[prompt]
    shade, mark = ("lab-right", "✓") if row["correct"] else ("lab-wrong", "✗")
    return f'<td class="{shade}">{mark} {escape(str(row["given"])[:40]) or "(nothing)"}</td>'
