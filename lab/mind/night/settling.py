"""What a night is about, and what it leaves behind: the bridge between a mind's notes and a sleeping brain."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock

from lab.config import MindConfig
from lab.events import ByHeart, NightEnded, NightEvent, Phase, Quizzed, TraceAudited
from lab.memory import Trace, Veto
from lab.memory.store import pairs_of
from lab.memory.tiers import next_tier, overflow, wants_archive
from lab.memory.traces import ARCHIVE, FADING, LTM, NOTES, STM, WEIGHTS
from lab.mind.night.agenda import Agenda, Due
from lab.mind.night.sleep import sleep
from lab.mind.notes import Notes
from lab.mind.weights import KINDS, kind_of

NIGHT_TRACES = 400  # most traces of one night
BY_HEART = "by_heart"  # the setting with what the brain knows by heart, as JSON pairs
FAULT = "fault"  # the setting with what its owner must know until a night has mended it
BEGUN = "begun"  # the setting with the night that was begun and is not settled


def sleeper(home: Path, wait_s: float = 0.0) -> FileLock:
    """What whoever sleeps a night of the mind in `home` holds, so that nobody else does; it ends with the process."""
    return FileLock(home / "asleep", timeout=wait_s, thread_local=False)


def plan_night(notes: Notes, night: int) -> Agenda:
    """Give the traces that are due, the strongest first, the answers to unlearn, and what earlier nights taught."""
    live = notes.traces()
    waiting = [t for t in live if t.due_night <= night]
    waiting.sort(key=lambda t: (t.stage == WEIGHTS, -t.confidence * t.importance, t.id))
    due = tuple(Due(t.id, t.text, t.asked) for t in waiting[:NIGHT_TRACES])
    chosen = {one.trace for one in due}
    kept = tuple(pair for t in live if t.id not in chosen and t.stage != NOTES for pair in t.cues)
    unlearn = tuple((veto.question, veto.answer) for veto in notes.vetoes if not veto.trained)
    by_heart = pairs_of(notes.store.setting(BY_HEART)) or ()
    dead = [t for t in notes.traces(all=True) if not t.alive]
    said = {answer.lower() for t in live for _, answer in (*t.asked, *t.cues)}
    gone = tuple(pair for t in dead[-NIGHT_TRACES:] for pair in (*t.asked, *t.cues) if pair[1].lower() not in said)
    return Agenda(due, unlearn, kept, by_heart, gone)


def sleep_in(folder: Path, *, stop: Callable[[], bool] = lambda: False) -> Iterator[NightEvent]:
    """Sleep the night that a mind prepared in `folder` (minds/NAME/nights/N), for whoever has the time.

    The new brain is on disk, whole, before the last event is yielded. The mind itself is not opened.
    """
    home, night = folder.parents[1], int(folder.name)
    about = json.loads((home / "mind.json").read_text(encoding="utf-8"))
    config = MindConfig(**about.get("config", {}))
    weights = KINDS[kind_of(about)](home, config)
    learner = weights.begin_night(night)
    for event in sleep(learner, Agenda.load(folder / "agenda.json"), config, seed=night, stop=stop):
        if isinstance(event, NightEnded) and event.kept:
            weights.keep(night, learner)
        yield event


def night_events(records: Sequence[dict[str, Any]]) -> list[NightEvent]:
    """Give the events that a night's log holds."""
    kinds = {kind.__name__.lower(): kind for kind in get_args(NightEvent)}
    found: list[NightEvent] = []
    for record in records:
        kind = kinds[record["kind"]]
        found.append(kind(**{spec.name: record[spec.name] for spec in fields(kind) if spec.name in record}))
    return found


def read_night(folder: Path) -> tuple[Agenda, list[NightEvent]] | None:
    """What the night slept in `folder` was about, and what happened; None where it is not over, or that cannot be read."""
    try:
        *lines, _ = (folder / "events.jsonl").read_bytes().split(b"\n")
        if b'"nightended"' not in lines[-1]:
            return None
        return Agenda.load(folder / "agenda.json"), night_events([json.loads(line) for line in lines])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def due_again(notes: Notes, night: int, fault: str) -> None:
    """Go back to `night`, since all later weights are lost: what they had learnt is to be learnt anew, what they may have unlearnt
    to be unlearnt anew, and `fault` is said until then."""
    lost = [trace for trace in notes.traces() if trace.due_night - 2 ** min(trace.passes, 64) > night]
    again = [replace(trace, stage=NOTES, passes=0, due_night=0) for trace in lost]
    with notes.lock, notes.store.transaction():
        notes.change("", update=again, settings={"night": str(night), BEGUN: "", FAULT: fault})
        notes.store.mark_trained(notes.vetoes, trained=False)
    notes.reload()


def settle_night(notes: Notes, night: int, agenda: Agenda, events: Sequence[NightEvent]) -> bool:
    """Make a finished night true, in one transaction: stages and tiers of traces, which brain counts, the history.

    Who passed its audit advances a stage and is due later each time; who failed is due again the next night. Gives
    whether the night was kept. Traces that changed while the mind slept are left as they are; what the weights now hold of them
    is vetoed, and unlearnt in the next night.
    """
    ended = next(event for event in events if isinstance(event, NightEnded))
    by_heart = next((event.pairs for event in events if isinstance(event, ByHeart)), [])
    now = time.time()
    with notes.lock:
        changed = _advance(notes, night, agenda, events) if ended.kept else []
        promoted = sum(notes.live[t.id].tier == STM for t in changed)
        changed = _move_on(notes, changed, now) if ended.kept else []
        with notes.store.transaction():
            if ended.kept:
                notes.store.change("", now, update=changed, veto=_outdated(notes, agenda, events, now))
                notes.store.mark_trained([v for v in notes.vetoes if (v.question, v.answer) in agenda.unlearn])
                notes.store.set_setting("night", str(night))
                notes.store.set_setting(BY_HEART, json.dumps(by_heart))
                notes.store.set_setting(FAULT, "")
                notes.store.seal()
            notes.store.set_setting(BEGUN, "")
            for row in _history(night, events, ended, promoted, now - ended.seconds):
                notes.store.append("nights", row)
    return ended.kept


def _outdated(notes: Notes, agenda: Agenda, events: Sequence[NightEvent], now: float) -> list[Veto]:
    """What was learnt of traces that were taken back, forgotten or replaced meanwhile, but for what a living one says too."""
    pairs = {event.trace: event.pairs for event in events if isinstance(event, Quizzed)}
    learnt = dict.fromkeys(
        Veto(question, answer, now, due.trace)
        for due in agenda.due
        if (trace := notes.live.get(due.trace)) is None or trace.text != due.text
        for question, answer in (*due.asked, *pairs.get(due.trace, ()))
    )
    asked = {question.lower() for trace in notes.live.values() for question, _ in (*trace.asked, *trace.cues)}
    return [
        veto
        for veto in learnt
        if veto.question.lower() not in asked
        and not any(veto in notes.lifted(t.text, [veto]) for t in notes.live.values())
    ]


def _advance(notes: Notes, night: int, agenda: Agenda, events: Sequence[NightEvent]) -> list[Trace]:
    pairs = {e.trace: tuple((q, a) for q, a in e.pairs) for e in events if isinstance(e, Quizzed)}
    passed = {e.trace: e.passed for e in events if isinstance(e, TraceAudited)}
    changed = []
    for due in agenda.due:
        trace = notes.live.get(due.trace)
        if trace is None or trace.text != due.text:
            continue
        passes = trace.passes + 1 if passed.get(due.trace) else 0
        changed.append(replace(
            trace, cues=pairs.get(due.trace, ()), passes=passes, tier=LTM if trace.tier == STM else trace.tier,
            stage=(NOTES, FADING, WEIGHTS)[min(passes, 2)], due_night=night + 2**passes,
        ))  # fmt: skip
    return changed


def _move_on(notes: Notes, changed: list[Trace], now: float) -> list[Trace]:
    """Hand what is long unused, and what overflows, to the next tier; what the archive has no room for is forgotten."""
    after = {**notes.live, **{t.id: t for t in changed}}
    for trace in [t for t in after.values() if wants_archive(t, notes.config, now)]:
        after[trace.id] = replace(trace, tier=ARCHIVE)
    for tier in (LTM, ARCHIVE):
        for weak in overflow(list(after.values()), tier, notes.config, now):
            further = next_tier(tier)
            after[weak.id] = replace(weak, tier=further) if further else replace(weak, forgotten_at=now)
    return [trace for trace in after.values() if trace != notes.live[trace.id]]


def _history(
    night: int, events: Sequence[NightEvent], ended: NightEnded, promoted: int, began: float
) -> list[dict[str, Any]]:
    """A row for each phase of the night."""
    phases = [event for event in events if isinstance(event, Phase)]
    ends = [*[phase.seconds for phase in phases[1:]], ended.seconds]
    return [
        {
            "night": night, "phase": phase.phase, "started_at": began + phase.seconds, "seconds": end - phase.seconds,
            "replayed": ended.replayed, "promoted": promoted if ended.kept else 0, "recall_before": ended.recall_before,
            "recall_after": ended.recall_after,
            "detail": json.dumps({
                "doing": phase.doing, "kept": ended.kept, "cancelled": ended.cancelled, "retained": ended.retained, "dreams": ended.dreams,
            }),
        }
        for phase, end in zip(phases, ends, strict=False)
    ]  # fmt: skip
