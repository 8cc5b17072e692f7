"""Small pieces of HTML that several tabs show; every number has its unit and says what it is when pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lab.store import LiveLog, Run

STATUS_MARKS = {
    "starting": "◌", "running": "●", "finished": "✓", "stopped": "■", "failed": "✗", "crashed": "✗",
    "unreadable": "✗",
}  # fmt: skip


def duration(seconds: float) -> str:
    """Say a time as people do: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def tile(label: str, value: str, about: str) -> str:
    head = f'<span class="lab-tile-label">{escape(label)}</span>'
    return (
        f'<div class="lab-tile" title="{escape(about)}">{head}<span class="lab-tile-value">{escape(value)}</span></div>'
    )


def sentence(text: str, kind: str = "note") -> str:
    """One sentence in a box; kind note, warning or error."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="lab-sentence lab-{kind}" role="{role}">{escape(text)}</div>'


def titled(title: str, body: str, more: str = "") -> str:
    """A card of HTML under a title; `more` names other classes of it."""
    head = f'<div class="lab-card-title">{escape(title)}</div>'
    return f'<div class="{f"lab-card {more}".strip()}">{head}{body}</div>'


def run_card(run: Run, head: str, share: float, tiles: Sequence[str], notes: str) -> str:
    """A run's name, how it stands, its progress, its numbers, what there is to note, and how it failed where it did."""
    bar = (
        f'<div class="lab-bar" role="progressbar" aria-valuenow="{share * 100:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="progress"><div style="width:{share * 100:.1f}%"></div></div>'
    )
    if run.record.get("message"):
        notes += sentence(str(run.record["message"]), "error")
    if run.record.get("traceback"):
        trace = escape(str(run.record["traceback"]))
        notes += f'<details class="lab-trace"><summary>What the worker said last</summary><pre>{trace}</pre></details>'
    title = f'<div class="lab-head"><strong>{escape(run.id)}</strong><span class="lab-{run.status}">{escape(head)}</span></div>'
    return f'<div class="lab-card">{title}{bar}<div class="lab-tiles">{"".join(tiles)}</div>{notes}</div>'


def progress_card(run: Run, log: LiveLog) -> str:
    """How a run stands: status, progress with ETA, and its numbers of this moment."""
    config = run.config()
    step = log.last("step") or {}
    started = log.last("started") or {}
    done, elapsed_s = int(step.get("step", 0)), float(step.get("elapsed_s", 0.0))
    limit_s = 60 * config.training.minutes
    share = min(1.0, max(done / config.training.steps, elapsed_s / limit_s if limit_s else 0.0))
    status = "stopping" if run.stopping else run.status
    head = f"{STATUS_MARKS.get(run.status, '●')} {status}"
    if run.live and share > 0:
        head += f" · {duration(elapsed_s * (1 - share) / share)} left"
    elif run.live:
        head += " · the worker is getting ready"
    evaluated = log.last("evaluated") or {}
    tiles = [
        tile("step", f"{done:,} of {config.training.steps:,}", "Training steps done; each moves the fast band once."),
        tile("loss", _number(step.get("loss"), ".3f", " nats"), "Mean surprise of a byte at this step; lower is better."),
        tile("validation", _number(evaluated.get("bpb"), ".3f", " bits/byte"), "Bits it needs for a byte of text it never learnt."),
        tile("speed", _number(step.get("tokens_s"), ",.0f", " tokens/s"), "Bytes learnt in a second at this step."),
        tile("time", duration(elapsed_s), "Time spent training, without pauses."),
        tile("brain", _number(started.get("parameters"), ",", " weights"), "Numbers that the brain can learn."),
        tile("device", f"{started.get('device', '–')} {started.get('precision', '')}", "Where it computes and in which number format."),
    ]  # fmt: skip
    notes = "".join(sentence(record["text"], "warning") for record in log.records.get("notice", [])[-2:])
    for record in log.records.get("rolledback", [])[-1:]:
        jump = f"The loss jumped to {record['loss']:.2f} nats at step {record['from_step']};"
        back = f"training went back to step {record['to_step']} and goes on with {record['lr_scale']:.0%} of the rate."
        notes += sentence(f"{jump} {back}", "warning")
    return run_card(run, head, share, tiles, notes)


def sample_card(log: LiveLog) -> str:
    """What the brain wrote lately."""
    samples = log.records.get("sampled", [])[-3:][::-1]
    if not samples:
        return sentence("What the brain writes appears here, every sample_every steps.")
    rows = "".join(
        f'<div class="lab-sample"><span class="lab-step">step {record["step"]:,}</span>'
        f'<span class="lab-prompt">{escape(record["prompt"])}</span><span>{escape(record["text"])}</span></div>'
        for record in samples
    )
    return titled("What does it write?", rows)


def _number(value: object, form: str, unit: str) -> str:
    return "–" if value is None else format(value, form) + unit
