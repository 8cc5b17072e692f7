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
import shutil
import time
from bisect import bisect
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.config import MindConfig
from lab.disk import write_durably
from lab.events import NightEnded, NightEvent
from lab.memory import RecallIndex, Trace, TraceStore, Veto, strength_now
from lab.memory.index import likeness
from lab.memory.tiers import confidence_of, importance_of
from lab.memory.traces import ARCHIVE, FADING, LTM, NOTES, STM, WEIGHTS
from lab.mind.messages import checked, looks_asked, may_be_many, plain, sentences, whom
from lab.mind.night import Agenda, sleep
from lab.mind.notes import Notes
from lab.mind.replies import TALK, Answer, MindError, Taught, unknown
from lab.mind.replies import WEIGHTS as FROM_WEIGHTS
from lab.mind.skills import Reply, Skills
from lab.mind.sleeping import plan_night, settle_night
from lab.models.checkpoint import load_brain, save_brain

RELEVANT = 0.04  # likeness below which a note has nothing to do with a question
LIKELY = 0.2  # likeness from which an old note is compared with a new one, where no question to it is known
CERTAIN = 0.1  # probability of not knowing above which two notes are not about one thing
COMPARED = 3  # old notes that a new one is compared with
SURE = 0.9  # probability of an answer from which on its question is learnt by heart as well
HEARD = 4  # most such questions of a trace
SURPRISES = 100  # statements whose surprise a new one's is ranked among
FEW = 20  # fewer than these rank nothing
MEMORIES = ("both", "notes", "weights")
MODES = ("auto", "teach", "ask")


class Mind:
    """Open one with `Mind.open` or make one with `Mind.create`. One process at a time owns it; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self._owner = FileLock(folder / "lock", timeout=0)
        try:
            self._owner.acquire()
        except Timeout as error:
            who = _owner(folder)
            raise MindError(
                f"a mind must belong to one process; {self.name} is open in {who}. Close it there first."
            ) from error
        try:
            (folder / "owner").write_text(str(os.getpid()))
            about = _read_about(folder)
            self.origin = str(about["brain"])
            self.config = MindConfig(**about.get("config", {}))
            self.notes = Notes(folder / "memory.sqlite", self.config)
            self._wake()
        except BaseException:
            self._owner.release()
            raise

    @staticmethod
    def create(name: str, brain: str | Path, home: Path, config: MindConfig | None = None) -> Mind:
        """Make a mind around a brain: a starter's name, a run or a model folder. Raises MindError, ConfigError, OSError."""
        from lab.mind.home import check_name, find_brain

        folder = home / check_name(name)
        if (folder / "mind.json").exists():
            raise MindError(
                f"a mind's name must be new; there is a mind called {name!r}. Open it or choose another name."
            )
        model, loaded = load_brain(find_brain(str(brain), home))
        folder.mkdir(parents=True, exist_ok=True)
        save_brain(folder / "brain-0", model, loaded)
        settings = dataclasses.asdict(config) if config else {}
        plain_settings = dataclasses.asdict(MindConfig())
        changed = {key: value for key, value in settings.items() if value != plain_settings[key]}
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
        """Take up the brain that counts."""
        self.night = int(self.memory.setting("night", "0") or 0)
        self.model, brain = load_brain(self.folder / f"brain-{self.night}")
        self.skills = Skills(brain, self.config.unknown_threshold)
        self._surprises: list[float] = json.loads(self.memory.setting("surprises", "[]") or "[]")

    @property
    def memory(self) -> TraceStore:
        """What is on disk: traces, conversation, nights, usage."""
        return self.notes.store

    @property
    def index(self) -> RecallIndex:
        return self.notes.index

    def close(self) -> None:
        """Let go of the mind; another process may open it."""
        with self.notes.lock:
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
        if question is None and answer is None:
            parts = [self._teach(part) for part in sentences(checked(text or ""))]
        else:
            question, answer = checked(question or "", "question"), checked(answer or "", "answer")
            parts = [self._teach(f"{question} {answer}" if text is None else checked(text), question, answer)]
        return Taught(
            *(tuple(t for part in parts for t in getattr(part, kind)) for kind in ("traces", "repeated", "replaced"))
        )

    def _teach(self, text: str, question: str | None = None, answer: str | None = None) -> Taught:
        with self.notes.lock:
            now = time.time()
            same, old = self._compare(text)
            self.notes.lift_vetoes(text)
            if same:
                again = same.repeats + 1
                new = replace(same, repeats=again, uses=same.uses + 1, used_at=now, confidence=confidence_of(again))
                self.notes.change("repeat", update=[new])
                return Taught((), (self.memory.get(same.id),))
            surprise = self._surprise(text)
            trace = Trace(
                text,
                now,
                question=question,
                answer=answer,
                importance=importance_of(text),
                surprise=surprise,
                used_at=now,
            )
            gone = [replace(one, superseded_by=-1) for one in old]
            made = self.notes.change(
                "teach", add=[trace], update=gone, settings={"surprises": json.dumps(self._surprises)}
            )
            return Taught(tuple(made), (), tuple(old))

    def _compare(self, text: str) -> tuple[Trace | None, list[Trace]]:
        """Find the living trace that says the same as `text`, and those that it contradicts.

        Two notes are about one thing when both answer one question: one that is known of the old note, or that the brain
        finds in the new one. Things that can be many (tastes, pets, languages) contradict nothing.
        """
        near = [old for old, score in self.notes.find(text, COMPARED) if score >= RELEVANT]
        likely = [old for old in near if old.asked or old.cues or likeness(old.text, text) >= LIKELY]
        for old in likely:
            if plain(old.text) == plain(text):
                return old, []
        found: tuple[str, str] | None = None
        gone = []
        for old in likely:
            known = next(iter((*old.asked, *old.cues)), None)
            if known is None and found is None:
                found = self.skills.question_of(text)
            question, answer = known or found or ("", "")
            if not question or not whom(question) <= whom(old.text, first=True) & whom(text, first=True):
                continue
            reply = self.skills.answer([question], [[text if known else old.text]])[0]
            if reply.text is None or reply.unknown > CERTAIN:
                continue
            if plain(reply.text) == plain(answer):
                return old, []
            if not may_be_many(text):
                gone.append(old)
        return None, gone

    def _surprise(self, text: str) -> float:
        """The quantile of this text's surprise among the last ones told."""
        _, loss = self.skills.sort(text)
        rank = bisect(sorted(self._surprises), loss) / len(self._surprises) if len(self._surprises) >= FEW else 0.5
        self._surprises = [*self._surprises, loss][-SURPRISES:]
        return rank

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
        with self.notes.lock:
            doubt = 1.0
            if memory != "weights":
                answered = yield from self._from_notes(question, memory)
                if answered:
                    return
            if memory != "notes":
                reply = yield from self._stream(question, [])
                if reply.text is not None:
                    yield Answer(reply.text, FROM_WEIGHTS, reply.probability, (), question, memory)
                    return
                doubt = reply.unknown
            answer = unknown(question, memory, doubt)
            yield answer.text
            yield answer

    def _from_notes(self, question: str, memory: str) -> Generator[str | Answer, None, bool]:
        found = self.notes.find(question, self.config.notes_open)
        hits = [(trace, score) for trace, score in found if score >= RELEVANT]
        if not hits:
            return False
        taught = next((t for t, _ in hits if t.question and plain(t.question) == plain(question)), None)
        if taught and taught.answer:
            yield taught.answer
            yield self._used(Answer(taught.answer, taught.tier, taught.confidence, (taught,), question, memory))
            return True
        reply = yield from self._stream(question, [(trace.text, score) for trace, score in hits])
        if reply.text is None:
            return False
        used = hits[reply.note][0]
        yield self._used(Answer(reply.text, used.tier, reply.probability * used.confidence, (used,), question, memory))
        return True

    def _stream(self, question: str, opened: list[tuple[str, float]]) -> Generator[str | Answer, None, Reply]:
        """Stream the brain's answer; where an answer to such a question was called wrong, wait for the whole first."""
        vetoed = self.notes.vetoed(question)
        reply: Reply | None = None
        for piece in self.skills.answer_stream(question, opened):
            if isinstance(piece, Reply):
                reply = piece
            elif not vetoed:
                yield piece
        assert reply is not None
        if reply.text is not None and reply.text.lower() in vetoed:
            return Reply(None, 1 - reply.probability, reply.unknown)
        if vetoed and reply.text is not None:
            yield reply.text
        return reply

    def _used(self, answer: Answer) -> Answer:
        """Note that a trace answered; it may earn its promotion."""
        (trace,) = answer.traces
        heard = trace.heard
        if answer.confidence >= SURE * trace.confidence and plain(answer.question) not in {
            plain(q) for q, _ in trace.asked
        }:
            heard = (*heard, (answer.question, answer.text))[-HEARD:]
        self.notes.change("", update=[replace(trace, uses=trace.uses + 1, used_at=time.time(), heard=heard)])
        return replace(answer, traces=(self.memory.get(trace.id),))

    def feedback(self, answer: Answer, verdict: str, correction: str | None = None) -> Taught | None:
        """Take "right" or "wrong" for an answer, with the right one where it is known. Durable when this returns."""
        if verdict not in ("right", "wrong"):
            raise MindError(f"a verdict must be right or wrong; got {verdict!r}.")
        with self.notes.lock:
            now = time.time()
            traces = [self.memory.get(t.id) for t in answer.traces]
            if verdict == "right":
                surer = [
                    replace(t, confidence=min(1.0, t.confidence + 0.2), uses=t.uses + 1, used_at=now) for t in traces
                ]
                self.notes.change("right", update=surer)
                return None
            veto = [Veto(answer.question, answer.text, now, traces[0].id if traces else None)] if answer.known else []
            if correction is None:
                doubted = [replace(t, disputed_at=now, confidence=t.confidence / 2, heard=()) for t in traces]
                self.notes.change("wrong", update=doubted, veto=veto)
                return None
            right = checked(correction, "correction")
            text = f"{answer.question} {right}"
            if (
                traces and answer.text.lower() in traces[0].text.lower()
            ):  # say the note with the right answer in its place
                place = traces[0].text.lower().index(answer.text.lower())
                text = traces[0].text[:place] + right + traces[0].text[place + len(answer.text) :]
            new = Trace(
                text, now, question=answer.question, answer=right, tier=LTM, confidence=0.9, importance=0.8, used_at=now
            )
            gone = [replace(t, superseded_by=-1, confidence=t.confidence / 2) for t in traces]
            return Taught(
                tuple(self.notes.change("correct", add=[new], update=gone, veto=veto)), replaced=tuple(traces)
            )

    # ---- talking ----------------------------------------------------------------------------------------------

    def hear(self, text: str) -> str:
        """Say what a message is: "teach", "ask" or "talk"."""
        kind, _ = self.skills.sort(checked(text))
        if looks_asked(text):
            return "talk" if kind == "s" else "ask"
        return {"t": "teach", "q": "ask", "s": "talk"}[kind]

    def say_stream(self, text: str, mode: str = "auto", memory: str = "both") -> Iterator[str | Answer | Taught]:
        """Take a message of the chat: yield the reply piece by piece, and at last what it was. Both are kept."""
        if mode not in MODES:
            raise MindError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
        message = checked(text)
        kind = self.hear(message) if mode == "auto" else mode
        outcome: Answer | Taught
        if kind == "ask":
            for piece in self.ask_stream(message, memory):
                if isinstance(piece, Answer):
                    outcome = piece
                else:
                    yield piece
        else:
            outcome = self.teach(message) if kind == "teach" else self._chat(message, memory)
            yield outcome.text
        now = time.time()
        with self.notes.lock, self.memory.transaction():
            self.memory.append("messages", {"at": now, "role": "user", "text": message, "about": "{}"})
            self.memory.append(
                "messages", {"at": now, "role": "assistant", "text": outcome.text, "about": json.dumps(about(outcome))}
            )
        yield outcome

    def _chat(self, message: str, memory: str) -> Answer:
        reply = self.skills.answer([message])[0]
        if reply.text is None:
            return unknown(message, memory, reply.unknown)
        return Answer(reply.text, TALK, reply.probability, (), message, memory)

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
        kept, traces = message["about"], []
        for number in kept.get("traces", []):
            with contextlib.suppress(ValueError):  # undone since
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
        return self.notes.traces(all=all)

    def forget(self, trace: int) -> Trace:
        """Let a trace answer no more; the next sleep takes it out of the weights. Raises MemoryError for an unknown one."""
        return self.notes.forget(trace)

    def edit(self, trace: int, text: str) -> Taught:
        """Say a trace otherwise: the new text replaces the old one, which stays as history."""
        made, old = self.notes.edit(trace, text)
        return Taught((made,), replaced=(old,))

    def undo(self) -> str | None:
        """Take the last teaching, correction, verdict, edit or forgetting back; gives what it was, None for nothing."""
        return self.notes.undo()

    def export_traces(self, path: Path) -> int:
        """Write all traces as JSON lines; gives how many."""
        return self.notes.write(path)

    def import_traces(self, path: Path) -> int:
        """Take up what a file says, a statement or a JSON object with `text` a line; gives how many are new."""
        return self.notes.read(path)

    def strength(self, trace: Trace, now: float) -> float:
        """How strong a trace is at a time: confidence, importance and uses, faded by disuse."""
        return strength_now(trace, self.config, now)

    def stats(self) -> dict[str, Any]:
        """Give what a dashboard shows: traces in each tier and stage, capacities, sleep pressure, nights, parameters."""
        live = self.traces()
        tiers = {tier: sum(t.tier == tier for t in live) for tier in (STM, LTM, ARCHIVE)}
        waiting = sum(t.stage != WEIGHTS for t in live)
        return {
            "name": self.name, "brain": self.origin, "model": self.model, "night": self.night,
            "parameters": self.skills.brain.count_parameters(), "tiers": tiers,
            "capacities": {STM: self.config.stm_capacity, LTM: self.config.ltm_capacity, ARCHIVE: self.config.archive_capacity},
            "stages": {stage: sum(t.stage == stage for t in live) for stage in (NOTES, FADING, WEIGHTS)},
            "waiting": waiting, "sleep_pressure": min(1.0, max(tiers[STM], waiting) / self.config.stm_capacity),
        }  # fmt: skip

    @property
    def wants_sleep(self) -> bool:
        """Whether short-term memory is full and the mind sleeps by itself."""
        return self.config.auto_sleep and self.stats()["tiers"][STM] >= self.config.stm_capacity

    # ---- sleeping ---------------------------------------------------------------------------------------------

    def sleep(self, stop: Callable[[], bool] = lambda: False) -> Iterator[NightEvent]:
        """Sleep one night in this process, yielding what happens. Answers go on from the old brain meanwhile."""
        night, agenda, _ = self.begin_night()
        _, brain = load_brain(self.folder / f"brain-{self.night}")
        events: list[NightEvent] = []
        for event in sleep(brain, agenda, self.config, seed=night, stop=stop):
            events.append(event)
            if isinstance(event, NightEnded):
                if event.kept:
                    save_brain(self.folder / f"brain-{night}", self.model, brain)
                self.end_night(night, agenda, events)
            yield event

    def begin_night(self) -> tuple[int, Agenda, Path]:
        """Settle what the coming night is about: its number, its agenda, and a folder for whoever sleeps it."""
        night = self.night + 1
        with self.notes.lock:
            agenda = plan_night(self.notes, night)
        folder = self.folder / "nights" / str(night)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        agenda.save(folder / "agenda.json")
        return night, agenda, folder

    def end_night(self, night: int, agenda: Agenda, events: list[NightEvent]) -> None:
        """Make a finished night true; a kept one's brain must lie in brain-N. The brain before it is kept as well."""
        with self.notes.lock:
            if not settle_night(self.notes, night, agenda, events):
                return
            self.notes.reload()
            self._wake()
        for old in self.folder.glob("brain-*"):
            if old.name not in (f"brain-{night}", f"brain-{night - 1}"):
                shutil.rmtree(old, ignore_errors=True)


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
