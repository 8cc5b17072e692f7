"""A mind: what the chat talks to. Notes first, then weights, and an honest "I have not learned that yet".

On disk: mind.json (name, origin, settings), memory.sqlite (traces, conversation, nights), brain-N (the weights after
night N) and nights/N. Which brain counts stands in memory.sqlite, so that a night's weights and what it did to the
traces become true in one transaction.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import threading
import time
from bisect import bisect
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.config import ConfigError, MindConfig
from lab.disk import write_durably
from lab.events import NightEnded, NightEvent, Phase, Quizzed, TraceAudited
from lab.memory import RecallIndex, Trace, TraceStore, Veto
from lab.memory.index import likeness
from lab.memory.tiers import (
    confidence_of,
    importance_of,
    next_tier,
    overflow,
    strength_now,
    wants_archive,
    wants_promotion,
)
from lab.memory.traces import ARCHIVE, FADING, LTM, NOTES, STM, WEIGHTS
from lab.mind.night import Agenda, Due, sleep
from lab.mind.replies import TALK, Answer, MindError, Taught, unknown
from lab.mind.replies import WEIGHTS as FROM_WEIGHTS
from lab.mind.skills import Reply, Skills
from lab.models.checkpoint import load_brain, save_brain

LONGEST = 2000  # characters of one message
SENTENCE = 160  # bytes; a longer message is cut into its sentences, a trace each
LIKELY = 0.3  # likeness from which an old note is compared with a new one
COMPARED = 2
VETOED = 0.45  # likeness of a question to one whose answer was called wrong
NIGHT_TRACES = 400
SURPRISES = 100
MEMORIES = ("both", "notes", "weights")
ASKS = re.compile(
    r"^(what|who|whom|whose|where|when|which|why|how|do you know|tell me|can you tell|remind me|what's|whats|whos)\b",
    re.I,
)


class Mind:
    """Open one with `Mind.open` or make one with `Mind.create`. One process at a time owns it; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self._lock = threading.RLock()
        self._owner = FileLock(folder / "lock", timeout=0)
        try:
            self._owner.acquire()
        except Timeout as error:
            raise MindError(
                f"a mind must belong to one process; {self.name} is open in {_owner(folder)}. Close it there first."
            ) from error
        try:
            (folder / "owner").write_text(str(os.getpid()))
            about = _read_about(folder)
            self.origin = str(about["brain"])
            self.config = MindConfig(**about.get("config", {}))
            self.memory = TraceStore(folder / "memory.sqlite")
            self._wake()
        except BaseException:
            self._owner.release()
            raise

    # ---- birth and death --------------------------------------------------------------------------------------

    @staticmethod
    def create(name: str, brain: str | Path, home: Path, config: MindConfig | None = None) -> Mind:
        """Make a mind around a brain: a starter's name, a run or a model folder. Raises MindError, ConfigError, OSError."""
        from lab.mind.home import check_name, find_brain

        check_name(name)
        folder = home / name
        if (folder / "mind.json").exists():
            raise MindError(
                f"a mind's name must be new; there is a mind called {name!r} already. Open it or choose another name."
            )
        model, loaded = load_brain(find_brain(str(brain), home))
        folder.mkdir(parents=True, exist_ok=True)
        save_brain(folder / "brain-0", model, loaded)
        changed = {} if config is None else {
            f.name: getattr(config, f.name) for f in dataclasses.fields(config) if getattr(config, f.name) != f.default
        }  # fmt: skip
        about = {"name": name, "brain": str(brain), "model": model, "created_at": time.time(), "config": changed}
        write_durably(folder / "mind.json", json.dumps(about, indent=1).encode())
        return Mind(folder)

    @staticmethod
    def open(path: Path | str) -> Mind:
        """Open the mind in a folder. Raises MindError when there is none, it is damaged or another process has it."""
        folder = Path(path)
        if not (folder / "mind.json").is_file():
            raise MindError(f"a mind must exist; there is none called {folder.name!r}. See python -m lab minds.")
        return Mind(folder)

    def _wake(self) -> None:
        """Take up the brain and the notes as the disk has them."""
        self.night = int(self.memory.setting("night", "0") or 0)
        self.model, brain = load_brain(self.folder / f"brain-{self.night}")
        self.skills = Skills(brain, self.config.unknown_threshold)
        self.index = RecallIndex()
        self._live: dict[int, Trace] = {}
        for trace in self.memory.traces():
            self._place(trace)
        self._vetoes = self.memory.vetoes()
        self._surprises: list[float] = json.loads(self.memory.setting("surprises", "[]") or "[]")

    def _place(self, trace: Trace) -> None:
        """Let the index and the list of living traces say what `trace` says."""
        self.index.remove(trace.id)
        self._live.pop(trace.id, None)
        if trace.alive:
            self._live[trace.id] = trace
            questions = dict.fromkeys([trace.question or "", *(question for question, _ in trace.cues)])
            self.index.add(trace.id, [trace.text, *questions])

    def close(self) -> None:
        """Let go of the mind; another process may open it."""
        with self._lock:
            self.memory.close()
            self._owner.release()

    def __enter__(self) -> Mind:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- teaching ---------------------------------------------------------------------------------------------

    def teach(self, text: str | None = None, *, question: str | None = None, answer: str | None = None) -> Taught:
        """Store a statement, or a question with its answer. It is on disk when this returns.

        A repetition strengthens the trace that is there; a contradiction replaces it and keeps it as history.
        """
        if question is not None or answer is not None:
            question, answer = checked(question or "", "question"), checked(answer or "", "answer")
            return self._teach([f"{question.rstrip()} {answer}" if text is None else checked(text)], question, answer)
        return self._teach(sentences(checked(text or "")))

    def _teach(self, texts: list[str], question: str | None = None, answer: str | None = None) -> Taught:
        with self._lock:
            made, repeated, replaced = [], [], []
            for text in texts:
                now = time.time()
                same, old = self._compare(text)
                if same:
                    new = replace(
                        same,
                        repeats=same.repeats + 1,
                        uses=same.uses + 1,
                        used_at=now,
                        confidence=confidence_of(same.repeats + 1),
                    )
                    self._change("repeat", now, update=[self._promoted(new)])
                    repeated.append(self._live[same.id])
                    continue
                trace = Trace(
                    text, now, question=question, answer=answer, importance=importance_of(text), surprise=self._surprise(text),
                    used_at=now,
                )  # fmt: skip
                trace = self._promoted(trace)
                gone = [replace(one, superseded_by=-1) for one in old]
                made += self._change("teach", now, add=[trace], update=gone + self._make_room(now))
                replaced += old
            self._lift_vetoes(texts)
            self._note_usage()
            return Taught(tuple(made), tuple(repeated), tuple(replaced))

    def _compare(self, text: str) -> tuple[Trace | None, list[Trace]]:
        """Find the living trace that says the same as `text`, and those that it contradicts."""
        likely = [self._live[key] for key, score in self.index.search(text, COMPARED) if score >= LIKELY]
        plain = _plain(text)
        for old in likely:
            if _plain(old.text) == plain:
                return old, []
        verdicts = self.skills.compare(text, [old.text for old in likely])
        same = next((old for old, verdict in zip(likely, verdicts, strict=True) if verdict == "r"), None)
        return same, [old for old, verdict in zip(likely, verdicts, strict=True) if verdict == "y"]

    def _surprise(self, text: str) -> float:
        """The quantile of this text's surprise among the last ones told."""
        _, loss = self.skills.sort(text)
        rank = bisect(sorted(self._surprises), loss) / len(self._surprises) if len(self._surprises) >= 20 else 0.5
        self._surprises = [*self._surprises, loss][-SURPRISES:]
        return rank

    def _promoted(self, trace: Trace) -> Trace:
        return replace(trace, tier=LTM) if wants_promotion(trace, self.config) else trace

    def _make_room(self, now: float) -> list[Trace]:
        """Traces that must leave a full tier, each in its next one."""
        moved = []
        if sum(t.tier == STM for t in self._live.values()) >= self.config.stm_capacity:
            weakest = min(
                (t for t in self._live.values() if t.tier == STM), key=lambda t: strength_now(t, self.config, now)
            )
            moved.append(replace(weakest, tier=LTM))
        return moved

    def _change(self, what: str, at: float, **changes: Any) -> list[Trace]:
        """Write durably, then let the index follow."""
        added = self.memory.change(what, at, **changes)
        self.memory.set_setting("surprises", json.dumps(self._surprises)) if added else None
        for trace in [*added, *(self.memory.get(t.id) for t in changes.get("update", ()))]:
            self._place(trace)
        self._vetoes = self.memory.vetoes() if changes.get("veto") else self._vetoes
        return added

    def _lift_vetoes(self, texts: list[str]) -> None:
        for veto in self._vetoes:
            if any(veto.answer.lower() in text.lower() and likeness(veto.question, text) > 0.2 for text in texts):
                self.memory.remove_vetoes(veto.question, veto.answer)
        self._vetoes = self.memory.vetoes() if self._vetoes else self._vetoes

    # ---- asking -----------------------------------------------------------------------------------------------

    def ask(self, text: str, memory: str = "both") -> Answer:
        """Answer a question from notes, from the weights, or from notes first and then the weights."""
        *_, answer = self.ask_stream(text, memory)
        assert isinstance(answer, Answer)
        return answer

    def ask_stream(self, text: str, memory: str = "both") -> Iterator[str | Answer]:
        """Yield the answer piece by piece as it is written, and at last the Answer."""
        question = checked(text)
        if memory not in MEMORIES:
            raise MindError(f"memory must be one of {', '.join(MEMORIES)}; got {memory!r}.")
        with self._lock:
            doubt = 1.0
            if memory != "weights":
                answered = yield from self._from_notes(question, memory)
                if answered:
                    return
            if memory != "notes":
                reply = yield from self._stream(question, ())
                if reply.text is not None:
                    yield Answer(reply.text, FROM_WEIGHTS, reply.probability, (), question, memory)
                    return
                doubt = reply.unknown
            answer = unknown(question, memory, doubt)
            yield answer.text
            yield answer

    def _from_notes(self, question: str, memory: str) -> Generator[str | Answer, None, bool]:
        hits = self.index.search(question, self.config.notes_open)
        if not hits:
            return False
        notes = sorted((self._live[key] for key, _ in hits), key=lambda t: (t.created_at, t.id))
        taught = next(
            (t for t in reversed(notes) if t.question and t.answer and _plain(t.question) == _plain(question)), None
        )
        if taught and taught.answer:
            yield taught.answer
            yield self._used(Answer(taught.answer, taught.tier, taught.confidence, (taught,), question, memory))
            return True
        reply = yield from self._stream(question, tuple(t.text for t in notes))
        if reply.text is None:
            return False
        told = [t for t in notes if reply.text.lower() in t.text.lower()] or [self._live[hits[0][0]]]
        used = told[-1]
        yield self._used(Answer(reply.text, used.tier, reply.probability * used.confidence, (used,), question, memory))
        return True

    def _stream(self, question: str, notes: tuple[str, ...]) -> Generator[str | Answer, None, Reply]:
        """Stream the brain's answer; where an answer to such a question was called wrong, wait for the whole first."""
        vetoes = [v for v in self._vetoes if likeness(v.question, question) >= VETOED]
        reply: Reply | None = None
        for piece in self.skills.answer_stream(question, notes):
            if isinstance(piece, Reply):
                reply = piece
            elif not vetoes:
                yield piece
        assert reply is not None
        if reply.text is not None and any(v.answer.lower() == reply.text.lower() for v in vetoes):
            return Reply(None, 1 - reply.probability, reply.unknown)
        if vetoes and reply.text is not None:
            yield reply.text
        return reply

    def _used(self, answer: Answer) -> Answer:
        """Note that a trace answered; it may earn its promotion."""
        now = time.time()
        traces = []
        for trace in answer.traces:
            new = self._promoted(replace(trace, uses=trace.uses + 1, used_at=now))
            self._change("", now, update=[new])
            traces.append(new)
        return replace(answer, traces=tuple(traces))

    def feedback(self, answer: Answer, verdict: str, correction: str | None = None) -> Taught | None:
        """Take "right" or "wrong" for an answer, with the right one where it is known. Durable when this returns."""
        if verdict not in ("right", "wrong"):
            raise MindError(f"a verdict must be right or wrong; got {verdict!r}.")
        with self._lock:
            now = time.time()
            traces = [self.memory.get(t.id) for t in answer.traces]
            if verdict == "right":
                better = [
                    replace(t, confidence=min(1.0, t.confidence + 0.2), uses=t.uses + 1, used_at=now) for t in traces
                ]
                self._change("right", now, update=[self._promoted(t) for t in better])
                return None
            veto = [Veto(answer.question, answer.text, now, traces[0].id if traces else None)] if answer.known else []
            if correction is None:
                doubted = [replace(t, disputed_at=now, confidence=t.confidence / 2) for t in traces]
                self._change("wrong", now, update=doubted, veto=veto)
                return None
            correction = checked(correction, "correction")
            text = f"{answer.question.rstrip()} {correction}"
            if traces and answer.text.lower() in traces[0].text.lower():
                place = traces[0].text.lower().index(answer.text.lower())
                text = traces[0].text[:place] + correction + traces[0].text[place + len(answer.text) :]
            new = Trace(
                text,
                now,
                question=answer.question,
                answer=correction,
                tier=LTM,
                confidence=0.9,
                importance=0.8,
                used_at=now,
            )
            gone = [replace(t, superseded_by=-1, confidence=t.confidence / 2) for t in traces]
            made = self._change("correct", now, add=[new], update=gone, veto=veto)
            self._note_usage()
            return Taught(tuple(made), replaced=tuple(traces))

    # ---- talking ----------------------------------------------------------------------------------------------

    def hear(self, text: str) -> str:
        """Say what a message is: "teach", "ask" or "talk"."""
        text = checked(text)
        kind, _ = self.skills.sort(text)
        if text.rstrip().endswith("?") or ASKS.match(text):
            return "talk" if kind == "s" else "ask"
        return {"t": "teach", "q": "ask", "s": "talk"}[kind]

    def say_stream(self, text: str, mode: str = "auto", memory: str = "both") -> Iterator[str | Answer | Taught]:
        """Take a message of the chat: yield the reply piece by piece, and at last what it was. Both are kept."""
        if mode not in ("auto", "teach", "ask"):
            raise MindError(f"mode must be auto, teach or ask; got {mode!r}.")
        message = checked(text)
        kind = self.hear(message) if mode == "auto" else mode
        outcome: Answer | Taught
        if kind == "teach":
            outcome = self.teach(message)
            yield outcome.text
        elif kind == "talk":
            reply = self.skills.answer([message])[0]
            if reply.text is None:
                outcome = unknown(message, memory, reply.unknown)
            else:
                outcome = Answer(reply.text, TALK, reply.probability, (), message, memory)
            yield outcome.text
        else:
            for piece in self.ask_stream(message, memory):
                if isinstance(piece, Answer):
                    outcome = piece
                else:
                    yield piece
        with self._lock:
            self.memory.append("messages", {"at": time.time(), "role": "user", "text": message, "about": "{}"})
            self.memory.append(
                "messages",
                {"at": time.time(), "role": "assistant", "text": outcome.text, "about": json.dumps(about(outcome))},
            )
        yield outcome

    def say(self, text: str, mode: str = "auto", memory: str = "both") -> Answer | Taught:
        """The same at once: what became of a message."""
        *_, outcome = self.say_stream(text, mode, memory)
        assert not isinstance(outcome, str)
        return outcome

    def messages(self) -> list[dict[str, Any]]:
        """Give the conversation, oldest first."""
        return [{**row, "about": json.loads(row["about"])} for row in self.memory.rows("messages")]

    def recall_answer(self, message: dict[str, Any]) -> Answer:
        """Give the Answer that a message of the assistant was, so that it can be judged later."""
        kept = message["about"]
        traces = []
        for number in kept.get("traces", []):
            with contextlib.suppress(ValueError):
                traces.append(self.memory.get(number))
        return Answer(
            message["text"],
            kept.get("source", "unknown"),
            kept.get("confidence", 0.0),
            tuple(traces),
            kept.get("question", ""),
        )

    # ---- traces -----------------------------------------------------------------------------------------------

    def traces(self, *, all: bool = False) -> list[Trace]:
        """Give the living traces, oldest first; with `all` also replaced, disputed and forgotten ones."""
        return self.memory.traces() if all else sorted(self._live.values(), key=lambda t: t.id)

    def forget(self, trace: int) -> Trace:
        """Let a trace answer no more; the next sleep takes it out of the weights."""
        with self._lock:
            now, old = time.time(), self.memory.get(trace)
            vetoes = [Veto(question, answer, now, trace) for question, answer in old.cues]
            if old.question and old.answer:
                vetoes.append(Veto(old.question, old.answer, now, trace))
            self._change("forget", now, update=[replace(old, forgotten_at=now)], veto=vetoes)
            self._note_usage()
            return self.memory.get(trace)

    def edit(self, trace: int, text: str) -> Taught:
        """Say a trace otherwise: the new text replaces the old one, which stays as history."""
        with self._lock:
            now, old = time.time(), self.memory.get(trace)
            new = replace(
                old, text=checked(text), created_at=now, used_at=now, question=None, answer=None, stage=NOTES, passes=0,
                due_night=0, cues=(), superseded_by=None, forgotten_at=None, disputed_at=None,
                tier=old.tier if old.tier != ARCHIVE else LTM,
            )  # fmt: skip
            made = self._change("edit", now, add=[new], update=[replace(old, superseded_by=-1)])
            return Taught(tuple(made), replaced=(old,))

    def undo(self) -> str | None:
        """Take the last teaching, correction, verdict, edit or forgetting back; gives what it was, None for nothing."""
        with self._lock:
            undone = self.memory.undo()
            if undone is None:
                return None
            for number in undone[1]:
                self.index.remove(number)
                self._live.pop(number, None)
                with contextlib.suppress(ValueError):
                    self._place(self.memory.get(number))
            self._vetoes = self.memory.vetoes()
            return undone[0]

    def export_traces(self, path: Path) -> int:
        """Write all traces as JSON lines; gives how many."""
        found = self.traces(all=True)
        write_durably(path, "".join(json.dumps(dataclasses.asdict(t)) + "\n" for t in found).encode())
        return len(found)

    def import_traces(self, path: Path) -> int:
        """Teach the texts of a file: JSON lines with `text` (and `question`, `answer`), or a statement a line."""
        rows: list[dict[str, Any]] = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MindError(f"a file to import must be readable text; {path.name} is not ({error}).") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if not line.lstrip().startswith("{"):
                rows.append({"text": line})
                continue
            try:
                row = json.loads(line)
                rows.append(
                    {
                        "text": str(row["text"]),
                        "question": row.get("question"),
                        "answer": row.get("answer"),
                        "gone": row.get("superseded_by") or row.get("forgotten_at"),
                    }
                )
            except (ValueError, KeyError, TypeError) as error:
                raise MindError(
                    f"a line must be a statement or JSON with text; line {number} of {path.name} is not ({error})."
                ) from error
        rows = [row for row in rows if not row.get("gone")]
        with self._lock:
            now = time.time()
            known = {_plain(t.text) for t in self._live.values()}
            fresh = {_plain(checked(row["text"])): row for row in rows if _plain(row["text"]) not in known}
            traces = [
                Trace(
                    row["text"],
                    now,
                    question=row.get("question"),
                    answer=row.get("answer"),
                    tier=LTM,
                    importance=importance_of(row["text"]),
                    used_at=now,
                )
                for row in fresh.values()
            ]
            self._change("import", now, add=traces)
            self._note_usage()
            return len(traces)

    def strength(self, trace: Trace, now: float) -> float:
        """How strong a trace is at a time: confidence, importance and uses, faded by disuse."""
        return strength_now(trace, self.config, now)

    def stats(self) -> dict[str, Any]:
        """Give what a dashboard shows: traces in each tier and stage, capacities, sleep pressure, nights, parameters."""
        live = list(self._live.values())
        waiting = [t for t in live if t.stage != WEIGHTS]
        stm = sum(t.tier == STM for t in live)
        return {
            "name": self.name, "brain": self.origin, "model": self.model, "night": self.night,
            "parameters": self.skills.brain.count_parameters(),
            "tiers": {tier: sum(t.tier == tier for t in live) for tier in (STM, LTM, ARCHIVE)},
            "capacities": {STM: self.config.stm_capacity, LTM: self.config.ltm_capacity, ARCHIVE: self.config.archive_capacity},
            "stages": {stage: sum(t.stage == stage for t in live) for stage in (NOTES, FADING, WEIGHTS)},
            "waiting": len(waiting), "sleep_pressure": min(1.0, max(stm, len(waiting)) / self.config.stm_capacity),
            "disputed": sum(t.disputed_at is not None for t in self.memory.traces("disputed_at IS NOT NULL")),
        }  # fmt: skip

    @property
    def wants_sleep(self) -> bool:
        """Whether short-term memory is full and the mind sleeps by itself."""
        full = sum(t.tier == STM for t in self._live.values()) >= self.config.stm_capacity
        return self.config.auto_sleep and full

    def _note_usage(self) -> None:
        live = self._live.values()
        counts = {"stm": STM, "ltm": LTM, "archive": ARCHIVE}
        row = {name: sum(t.tier == tier for t in live) for name, tier in counts.items()}
        self.memory.append("usage", {"at": time.time(), **row, "weights": sum(t.stage == WEIGHTS for t in live)})

    # ---- sleeping ---------------------------------------------------------------------------------------------

    def sleep(self, stop: Callable[[], bool] = lambda: False) -> Iterator[NightEvent]:
        """Sleep one night in this process, yielding what happens. Answers go on from the old brain meanwhile."""
        night, agenda, _ = self.begin_night()
        _, brain = load_brain(self.folder / f"brain-{self.night}")
        events: list[NightEvent] = []
        for event in sleep(brain, agenda, self.config, seed=night, stop=stop):
            events.append(event)
            if isinstance(event, NightEnded) and event.kept:
                save_brain(self.folder / f"brain-{night}", self.model, brain)
            if isinstance(event, NightEnded):
                self.end_night(night, agenda, events)
            yield event

    def begin_night(self) -> tuple[int, Agenda, Path]:
        """Settle what the coming night is about: its number, its agenda, and a folder for whoever sleeps it."""
        with self._lock:
            night = self.night + 1
            live = self.traces()
            waiting = [t for t in live if t.due_night <= night]
            waiting.sort(key=lambda t: (t.stage == WEIGHTS, -t.confidence * t.importance, t.id))
            due = [Due(t.id, t.text, t.question, t.answer) for t in waiting[:NIGHT_TRACES]]
            chosen = {one.trace for one in due}
            kept = [pair for t in live if t.id not in chosen and t.stage != NOTES for pair in t.cues]
            gone = [(veto.question, veto.answer) for veto in self._vetoes if not veto.trained]
            agenda = Agenda(tuple(due), tuple(gone), tuple(kept))
            folder = self.folder / "nights" / str(night)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            agenda.save(folder / "agenda.json")
            return night, agenda, folder

    def end_night(self, night: int, agenda: Agenda, events: list[NightEvent]) -> None:
        """Make a finished night true, all of it at once: the new weights, the stages of the traces, the history."""
        ended = next(event for event in events if isinstance(event, NightEnded))
        now = time.time()
        with self._lock:
            promoted, changed = 0, []
            if ended.kept:
                pairs = {e.trace: tuple((q, a) for q, a in e.pairs) for e in events if isinstance(e, Quizzed)}
                passed = {e.trace: e.passed for e in events if isinstance(e, TraceAudited)}
                for due in agenda.due:
                    trace = self._live.get(due.trace)
                    if trace is None or trace.text != due.text:
                        continue  # changed while asleep
                    ok = passed.get(due.trace, False)
                    passes = trace.passes + 1 if ok else 0
                    promoted += trace.tier == STM
                    changed.append(replace(
                        trace, cues=pairs.get(due.trace, ()), passes=passes, tier=LTM if trace.tier == STM else trace.tier,
                        stage=(NOTES, FADING, WEIGHTS)[min(passes, 2)], due_night=night + (2**passes if ok else 1),
                    ))  # fmt: skip
                moved = {t.id for t in changed}
                idle = [t for t in self._live.values() if t.id not in moved and wants_archive(t, self.config, now)]
                changed += [replace(t, tier=ARCHIVE) for t in idle]
                for tier in (LTM, ARCHIVE):
                    for weak in overflow(changed, tier, self.config, now):
                        further = next_tier(tier)
                        changed = [replace(t, tier=further) if t.id == weak.id and further else t for t in changed]
            with self.memory.transaction():
                if ended.kept:
                    self.memory.change("", now, update=changed)
                    self.memory.mark_trained([v for v in self._vetoes if (v.question, v.answer) in agenda.unlearn])
                    self.memory.set_setting("night", str(night))
                    self.memory.seal()
                for event in events:
                    if isinstance(event, Phase):
                        self._log_phase(night, event, events, now - ended.seconds, promoted, ended)
            if ended.kept:
                self._wake()
                self._note_usage()
                for old in self.folder.glob("brain-*"):
                    if old.name not in (f"brain-{night}", f"brain-{night - 1}"):
                        shutil.rmtree(old, ignore_errors=True)

    def _log_phase(
        self, night: int, phase: Phase, events: list[NightEvent], began: float, promoted: int, ended: NightEnded
    ) -> None:
        later = [e.seconds for e in events if isinstance(e, Phase) and e.seconds > phase.seconds]
        seconds = min(later, default=ended.seconds) - phase.seconds
        detail = {
            "doing": phase.doing,
            "kept": ended.kept,
            "cancelled": ended.cancelled,
            "retained": ended.retained,
            "dreams": ended.dreams,
        }
        self.memory.append("nights", {
            "night": night, "phase": phase.phase, "started_at": began + phase.seconds, "seconds": seconds,
            "replayed": ended.replayed, "promoted": promoted if ended.kept else 0, "recall_before": ended.recall_before,
            "recall_after": ended.recall_after, "detail": json.dumps(detail),
        })  # fmt: skip


def checked(text: str, what: str = "message") -> str:
    """Give a text that can be stored, without odd ends. Raises MindError for an empty, too long or binary one."""
    if len(text) > LONGEST:
        raise MindError(f"a {what} must be at most {LONGEST:,} characters; got {len(text):,}. Say it in shorter parts.")
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        raise MindError(f"a {what} must be text; got control characters. Type or paste plain text.")
    clean = " ".join(text.split())
    if not clean:
        raise MindError(f"a {what} must say something; got nothing. Type a sentence.")
    return clean


def sentences(text: str) -> list[str]:
    """Cut a long message into its sentences, a trace each; a short one stays whole."""
    if len(text.encode("utf-8", "replace")) <= SENTENCE:
        return [text]
    return [part for part in re.split(r"(?<=[.!?;])\s+(?=\S)", text) if part]


def about(outcome: Answer | Taught) -> dict[str, Any]:
    """What is kept beside a reply, as JSON."""
    if isinstance(outcome, Taught):
        return {
            "kind": "taught",
            "traces": [t.id for t in (*outcome.traces, *outcome.repeated)],
            "source": "taught",
            "confidence": 1.0,
        }
    return {
        "kind": "answer", "source": outcome.source, "confidence": outcome.confidence, "question": outcome.question,
        "traces": [t.id for t in outcome.traces], "memory": outcome.memory,
    }  # fmt: skip


def _plain(text: str) -> str:
    return re.sub(r"[^\w]+", " ", text.lower()).strip()


def _owner(folder: Path) -> str:
    try:
        return f"process {int((folder / 'owner').read_text())}"
    except (OSError, ValueError):
        return "another process"


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "mind.json").read_text(encoding="utf-8"))
        found["brain"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MindError(f"mind.json must be whole; that of {folder.name} is not ({error}).") from error
    return found


__all__ = ["ConfigError", "Mind"]
