"""How a mind stands and sleeps: its card, its running night, its last one, in words and as rows for the chart."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from lab.mind import Mind
from lab.ui.words import duration, sentence, tile


def mind_card(stats: dict[str, Any]) -> str:
    """What a mind holds, at a glance."""
    tiers, rooms = stats["tiers"], stats["capacities"]
    tiles = [
        tile("STM", f"{tiers['STM']} of {rooms['STM']}", "Short-term memory: few and fresh notes."),
        tile("LTM", f"{tiers['LTM']:,} of {rooms['LTM']:,}", "Long-term memory: notes that were used, repeated, important or slept on."),
        tile("archive", f"{tiers['archive']:,}", "Notes unused for long, compressed, still found."),
        tile("by heart", f"{stats['stages']['weights'] + stats['stages']['fading']:,}", "Notes it could answer by heart after a night."),
        tile("sleep pressure", f"{stats['sleep_pressure']:.0%}", "Notes that wait for a night, as a share of short-term memory."),
        tile("nights", f"{stats['night']}", "Nights that were kept."),
        tile("brain", f"{stats['brain']} · {stats['parameters']:,} weights", "The brain it was made from, and how many numbers it has."),
    ]  # fmt: skip
    share = stats["sleep_pressure"]
    bar = (
        f'<div class="lab-bar" role="progressbar" aria-valuenow="{share * 100:.0f}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="sleep pressure"><div style="width:{share * 100:.0f}%"></div></div>'
    )
    notice = sentence(stats["notice"], "warning") if stats["notice"] else ""
    return f'{notice}<div class="lab-card">{bar}<div class="lab-tiles">{"".join(tiles)}</div></div>'


def night_phases(records: list[dict[str, Any]], *, asleep: bool = False) -> pd.DataFrame:
    """The phases of a night's log: phase, doing, seconds (start) and until."""
    starts = [record for record in records if record["kind"] == "phase"]
    last = max((float(record["seconds"]) for record in records if "seconds" in record), default=0.0)
    ends = [*[record["seconds"] for record in starts[1:]], last][: len(starts)]
    rows = [
        {"phase": r["phase"], "doing": r["doing"], "seconds": r["seconds"], "until": end}
        for r, end in zip(starts, ends, strict=True)
    ]
    if rows and not asleep:
        rows.append({"phase": "wake", "doing": "awake", "seconds": last, "until": last * 1.05 + 1})
    return pd.DataFrame(rows, columns=["phase", "doing", "seconds", "until"])


def night_title(state: dict[str, Any]) -> str:
    """What the chart of its sleep asks."""
    return f"Night {state['night']}: what is it doing?" if state["asleep"] else "How did it sleep?"


def night_card(mind: Mind, state: dict[str, Any]) -> str:
    """How the running night stands, or what the last one did."""
    if state["message"]:
        return sentence(state["message"], "warning")
    if state["asleep"]:
        phases = [record for record in state["records"] if record["kind"] == "phase"]
        last = state["records"][-1] if state["records"] else {}
        doing = f"{phases[-1]['phase']}: {phases[-1]['doing']}" if phases else "falling asleep"
        rest = ""
        if last.get("kind") == "dreamt":
            rest = f", {last['dreams']:,} of about {last['of']:,}"
        elif last.get("kind") == "nightstep" and phases:
            steps = [
                record
                for record in state["records"]
                if record["kind"] == "nightstep" and record["seconds"] >= phases[-1]["seconds"]
            ]
            left_s = (last["seconds"] - phases[-1]["seconds"]) / len(steps) * (last["of"] - last["step"])
            rest = f", step {last['step']} of at most {last['of']}, {duration(left_s)} left at most"
        slept = duration(last.get("seconds", 0))
        return sentence(
            f"Night {state['night']} — {doing}{rest}. Asleep for {slept}. It still answers, from what it knew before."
        )
    nights = mind.memory.rows("nights")
    if not nights:
        return sentence("It has not slept yet. Teach it something, then press Sleep: notes move into its weights.")
    row = nights[-1]
    return sentence(night_sentence(row))


def night_sentence(row: dict[str, Any]) -> str:
    """One night in one sentence, from its last row."""
    detail = json.loads(row["detail"])
    if not detail["kept"]:
        why = (
            "was broken off"
            if detail["cancelled"]
            else f"lost too much of what it knew ({detail['retained']:.0%} kept)"
        )
        return f"Night {row['night']} {why}, so it was taken back; nothing is lost, the notes are still there."
    recall = (
        ""
        if row["recall_after"] is None
        else f" By heart it gave {row['recall_before'] or 0:.0%} of the answers before and {row['recall_after']:.0%} after."
    )
    kept = "" if detail["retained"] is None else f" Of what it knew before it kept {detail['retained']:.0%}."
    return f"Night {row['night']}: {row['replayed']} questions replayed, {row['promoted']} notes moved to LTM.{recall}{kept}"
