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
from lab.ui.words import STATUS_MARKS, duration, run_card, sentence, tile

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
            tiles.append(
                tile(f"{name}: {words}", f"{mine[metric].mean():.0%}", "Mean over seeds, at the end of the stream.")
            )
    notes = "".join(sentence(text, "warning") for text in log.notices[-1:] if not run.live)
    return run_card(run, head, share, tiles, notes)


def verdict_card(told: Report, config: ArenaConfig, run: Run) -> str:
    """The verdicts, and what they prove."""
    if not told.verdicts:
        return sentence(
            "The verdict stands here once a contestant and its control are through the stream."
            if run.live
            else nothing_to_say(told)
        )
    rows = "".join(f"<li>{escape(text)}</li>" for text in told.verdicts)
    title = f"Verdict; the control is {control_of(config)}"
    return (
        f'<div class="lab-card"><div class="lab-card-title">{escape(title)}</div><ul class="lab-verdicts">{rows}</ul>'
        f'<p class="lab-proves">{escape(told.proves)}</p></div>'
    )


def answer_table(said: pd.DataFrame, config: ArenaConfig, on_task: int, seed: int | None) -> str:
    """The very facts: what each contestant says now, right or wrong."""
    rows = said[(said["on_task"] == on_task) & (said["seed"] == seed)] if len(said) else said
    if rows.empty:
        return sentence("The answers to every question appear here as soon as somebody was asked.")
    tables = {}
    for name in config.names():
        mine = rows[rows["contestant"] == name]
        if len(mine):
            tables[name] = (
                mine[mine["after_task"] == mine["after_task"].max()].drop_duplicates("prompt").set_index("prompt")
            )
    prompts = next(iter(tables.values()))["expected"]
    head = "".join(
        f"<th>{escape(name)}<br><small>after task {int(t['after_task'].iloc[0])}</small></th>"
        for name, t in tables.items()
    )
    body = ""
    for prompt, expected in list(prompts.items())[:MOST_ROWS]:
        cells = ""
        for table in tables.values():
            if prompt not in table.index:
                cells += "<td>–</td>"
                continue
            row = table.loc[prompt]
            mark = ("lab-right", "✓") if row["correct"] else ("lab-wrong", "✗")
            cells += f'<td class="{mark[0]}">{mark[1]} {escape(str(row["given"])[:40]) or "(nothing)"}</td>'
        body += f"<tr><td>{escape(str(prompt))}</td><td>{escape(str(expected))}</td>{cells}</tr>"
    more = len(prompts) - MOST_ROWS
    cut = f"<p>… and {more} more: export them all below.</p>" if more > 0 else ""
    return (
        '<div class="lab-card lab-scroll"><div class="lab-card-title">What do they answer now?</div><table class="lab-answers">'
        f"<thead><tr><th>question</th><th>right answer</th>{head}</tr></thead><tbody>{body}</tbody></table>{cut}</div>"
    )
