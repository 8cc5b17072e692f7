"""A mind: what the chat talks to. Notes first, then weights, and an honest "I have not learned that yet".

On disk: mind.json (name, origin, settings), memory.sqlite (traces, conversation, nights), brain-N (the weights after
night N) and nights/N. Which brain counts stands in memory.sqlite, so that a night's weights and what it did to the
traces become true in one transaction; whoever owns the mind makes it so (`settle`), once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.config import ConfigError, MindConfig
from lab.disk import write_durably
from lab.events import NightEnded, NightEvent
from lab.memory import RecallIndex, Trace, TraceStore, strength_now
from lab.memory.traces import ARCHIVE, FADING, LTM, NOTES, STM, WEIGHTS
from lab.mind.asking import Asking
from lab.mind.conversation import Conversation
from lab.mind.messages import checked
from lab.mind.night import Agenda, sleep
from lab.mind.night.retention import load_by_heart
from lab.mind.night.settling import BEGUN, BY_HEART, FAULT, due_again, plan_night, read_night, settle_night, sleeper
from lab.mind.notes import Notes
from lab.mind.reader import Reader
from lab.mind.reflecting import Reflecting
from lab.mind.replies import Answer, MindError, Taught
from lab.mind.teaching import Teaching
from lab.mind.weights import KINDS, WHOLE, OpenWeights, kind_of

MODES = ("auto", "teach", "ask")
BACKLOG = 64  # notes told in a row after which a mind reflects


class Mind:
    """Open one with `Mind.open` or make one with `Mind.create`. One process at a time owns it; threads may share it."""

    def __init__(self, folder: Path, weights: OpenWeights | None = None) -> None:
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
            self.origin, self.config, kind = _read_about(folder)
            self.notes = Notes(folder / "memory.sqlite", self.config)
            self.lives: Callable[[], bool] = lambda: False  # whether a process that was begun for the coming night does
            self._fault, self._looking = self.memory.setting(FAULT) or "", threading.Lock()
            self.weights = (weights or KINDS[kind])(folder, self.config)
            self._wake(*self._newest_brain())
            self.settle()
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
        origin = find_brain(str(brain), home)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        model = KINDS[WHOLE].begin(folder, origin)
        settings = dataclasses.asdict(config) if config else {}
        plain_settings = dataclasses.asdict(MindConfig())
        changed = {key: value for key, value in settings.items() if value != plain_settings[key]}
        about = {
            "name": name,
            "brain": str(brain),
            "model": model,
            "weights": WHOLE,
            "created_at": time.time(),
            "config": changed,
        }
        memory = TraceStore(folder / "memory.sqlite")
        memory.set_setting(BY_HEART, json.dumps(load_by_heart(origin)))
        memory.close()
        write_durably(folder / "mind.json", json.dumps(about, indent=1).encode())  # last: from now on there is a mind
        return Mind(folder)

    @staticmethod
    def open(path: Path | str) -> Mind:
        """Open the mind in a folder. Raises MindError when there is none, it is damaged or another process has it."""
        folder = Path(path)
        if not (folder / "mind.json").is_file():
            raise MindError(f"a mind must exist; there is none called {folder.name!r}. See python -m lab minds.")
        return Mind(folder)

    def _newest_brain(self) -> tuple[int, Reader]:
        """The brain of the last night; where that is lost, the newest whole one before it, and what was learnt since is due again."""
        known = self.weights.nights()
        last = self.memory.number("night", known[-1] if known and self.memory.setting("night") else 0)
        reasons = []
        for night in dict.fromkeys((last, *(number for number in reversed(known) if number < last))):
            try:
                reader = self.weights.open(night)
            except (ConfigError, OSError) as error:
                reasons.append(str(error))
                continue
            if reasons:
                self._fault = f"Its brain of night {last} is lost ({reasons[0]}). It goes on from that of night {night}; its notes "
                self._fault += "are whole, and the next night learns them anew."
                due_again(self.notes, night, self._fault)
            return night, reader
        rule = f"a mind must have a whole brain; {self.name} has none ({reasons[0]})"
        raise MindError(f"{rule}. Its notes can be saved: python -m lab minds salvage {self.name}")

    def _wake(self, night: int, reader: Reader) -> None:
        """Take up the brain of a night."""
        self.night, self.reader = night, reader
        self._teaching = Teaching(self.notes)
        self._reflecting = Reflecting(self.notes, reader)
        self._asking = Asking(self.notes, reader, self.config.notes_open)
        self._conversation = Conversation(self.notes, reader)

    @property
    def notice(self) -> str:
        """What its owner must know: that a brain is lost, or that notes cannot be read; empty where all is well."""
        faults = self.memory.faults
        unread = f"{len(faults)} of its notes cannot be read. {next(iter(faults.values()))}" if faults else ""
        return " ".join(filter(None, (self._fault, unread)))

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

        What it repeats or replaces is found out when the mind next reflects, before it answers or sleeps.
        """
        if question is None and answer is None:
            parts = [self._teaching.teach(part) for part in self.reader.language.sentences(checked(text or ""))]
        else:
            question, answer = checked(question or "", "question"), checked(answer or "", "answer")
            parts = [self._teaching.teach(f"{question} {answer}" if text is None else checked(text), question, answer)]
        if len(self.notes.fresh()) >= BACKLOG:
            self.reflect()
        return Taught.of(parts)

    def reflect(self) -> Taught:
        """Compare what was told since the last time with what was known: what was said again makes the older trace surer,
        what contradicts replaces it, and the old one is kept as history. Gives both; durable when this returns."""
        return self._reflecting.reflect()

    # ---- asking -----------------------------------------------------------------------------------------------

    def ask(self, text: str, memory: str = "both") -> Answer:
        """Answer a question from notes, from the weights, or from notes first and then the weights."""
        *_, answer = self.ask_stream(text, memory)
        assert isinstance(answer, Answer)
        return answer

    def ask_stream(self, text: str, memory: str = "both") -> Iterator[str | Answer]:
        """Yield the answer's text once it is settled, and at last the Answer."""
        self.reflect()
        return self._asking.stream(text, memory)

    def feedback(self, answer: Answer, verdict: str, correction: str | None = None) -> Taught | None:
        """Take "right" or "wrong" for an answer, with the right one where it is known. Durable when this returns."""
        return self._teaching.feedback(answer, verdict, correction)

    # ---- talking ----------------------------------------------------------------------------------------------

    def hear(self, text: str) -> str:
        """Say what a message is: "teach", "ask" or "talk"."""
        return self.reader.hear(checked(text))

    def say_stream(self, text: str, mode: str = "auto", memory: str = "both") -> Iterator[str | Answer | Taught]:
        """Take a message of the chat: yield the reply's text, and then what became of it. Both are kept before that, so that
        nothing is lost where nobody reads on."""
        if mode not in MODES:
            raise MindError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
        message = checked(text)
        kind = self.hear(message) if mode == "auto" else mode
        outcome: Answer | Taught
        if kind == "teach":
            with self.notes.lock:
                told, found = self.teach(message), self.reflect()
                traces = tuple(self.memory.get(trace.id) for trace in told.traces)  # reflecting may have promoted them
            outcome = replace(found, traces=traces, repeated=(*told.repeated, *found.repeated))
        else:
            outcome = self.ask(message, memory) if kind == "ask" else self._conversation.chat(message, memory)
        self._conversation.keep(message, outcome)
        yield outcome.text
        yield outcome

    def say(self, text: str, mode: str = "auto", memory: str = "both") -> Answer | Taught:
        """The same at once: what became of a message."""
        *_, outcome = self.say_stream(text, mode, memory)
        assert not isinstance(outcome, str)
        return outcome

    def messages(self) -> list[dict[str, Any]]:
        """Give the conversation, oldest first."""
        return self._conversation.messages()

    def recall_answer(self, message: dict[str, Any]) -> Answer:
        """Give the Answer that a message of the assistant was, so that it can be judged later."""
        return self._conversation.answer_of(message)

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
        with self.notes.lock:
            self.reflect()  # on what was told before: what is imported counts as reflected on
            return self.notes.read(path)

    def strength(self, trace: Trace, now: float) -> float:
        """How strong a trace is at a time: confidence, importance and uses, faded by disuse."""
        return strength_now(trace, self.config, now)

    def stats(self) -> dict[str, Any]:
        """Give what a dashboard shows: traces in each tier and stage, capacities, sleep pressure, nights, parameters, a notice."""
        live = self.traces()
        tiers = {tier: sum(t.tier == tier for t in live) for tier in (STM, LTM, ARCHIVE)}
        waiting = sum(t.stage != WEIGHTS for t in live)
        return {
            "name": self.name, "brain": self.origin, "model": self.weights.model, "night": self.night,
            "parameters": self.weights.parameters, "tiers": tiers,
            "capacities": {STM: self.config.stm_capacity, LTM: self.config.ltm_capacity, ARCHIVE: self.config.archive_capacity},
            "stages": {stage: sum(t.stage == stage for t in live) for stage in (NOTES, FADING, WEIGHTS)},
            "waiting": waiting, "notice": self.notice, "sleep_pressure": min(1.0, max(tiers[STM], waiting) / self.config.stm_capacity),
        }  # fmt: skip

    @property
    def wants_sleep(self) -> bool:
        """Whether short-term memory is full and the mind sleeps by itself."""
        return self.config.auto_sleep and self.stats()["tiers"][STM] >= self.config.stm_capacity

    # ---- sleeping ---------------------------------------------------------------------------------------------

    def sleep(self, stop: Callable[[], bool] = lambda: False) -> Iterator[NightEvent]:
        """Sleep one night in this process, yielding what happens. Answers go on from the old brain meanwhile."""
        with self.notes.lock:
            night, agenda, _ = self.begin_night()
            with self._looking:
                asleep = sleeper(self.folder).acquire()
        with asleep:
            learner = self.weights.begin_night(night)
            events: list[NightEvent] = []
            for event in sleep(learner, agenda, self.config, seed=night, stop=stop):
                events.append(event)
                if isinstance(event, NightEnded):
                    if event.kept:
                        self.weights.keep(night, learner)
                    self._settle(night, agenda, events)
                    if event.kept and self.night != night:  # its brain was not whole
                        event = replace(event, kept=False, cancelled=True)
                yield event

    @property
    def asleep(self) -> bool:
        """Whether somebody sleeps the coming night, in this process or another."""
        try:
            with self._looking, sleeper(self.folder):  # two who look at once would take each other for it
                return self.lives()
        except Timeout:
            return True

    @property
    def night_folder(self) -> Path:
        """Where the coming night is prepared and slept."""
        return self.folder / "nights" / str(self.night + 1)

    def begin_night(self) -> tuple[int, Agenda, Path]:
        """Settle what the coming night is about: its number, its agenda, and a folder for whoever sleeps it.

        Raises MindError when somebody sleeps it already.
        """
        with self.notes.lock:
            if self.asleep:
                raise MindError(
                    f"a mind must be awake to fall asleep; {self.name} sleeps already. Wait, or press Wake."
                )
            self.settle()  # after it: who has just stopped sleeping has left a night
            self.reflect()
            night, folder = self.night + 1, self.night_folder
            agenda = plan_night(self.notes, night)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            agenda.save(folder / "agenda.json")
            self.memory.set_setting(BEGUN, str(night))
            return night, agenda, folder

    def settle(self) -> bool:
        """Make the night that a process slept true, if it is over; whoever asks and however often, once. Says whether it was now."""
        if self.memory.number(BEGUN) != self.night + 1 or not read_night(self.night_folder):
            return False  # without the lock, so that whoever only looks need not wait
        with self.notes.lock:  # meanwhile the night may have been settled, and begun anew under its number
            night = self.night + 1
            over = read_night(self.night_folder) if self.memory.number(BEGUN) == night else None
            return over is not None and self._settle(night, *over)

    def _settle(self, night: int, agenda: Agenda, events: list[NightEvent]) -> bool:
        with self.notes.lock:
            if self.night + 1 != night or self.memory.number(BEGUN) != night:
                return False  # somebody else did
            if any(isinstance(event, NightEnded) and event.kept for event in events):
                try:
                    reader = self.weights.open(night)  # before anything says that it counts
                except (ConfigError, OSError) as error:
                    events = [
                        replace(e, kept=False, cancelled=True) if isinstance(e, NightEnded) else e for e in events
                    ]
                    self._fault = f"The brain of night {night} is not whole ({error}), so that night was taken back."
            if settle_night(self.notes, night, agenda, events):
                self.notes.reload()
                self._fault = ""
                self._wake(night, reader)
        self.weights.take_back((self.night - 1, self.night, self.night + 1))
        return True


def _owner(folder: Path) -> str:
    try:
        return f"process {int((folder / 'owner').read_text())}"
    except (OSError, ValueError):
        return "another process"


def _read_about(folder: Path) -> tuple[str, MindConfig, str]:
    """What mind.json says: the brain that the mind was made from, its settings, and of which kind its weights are."""
    try:
        found: dict[str, Any] = json.loads((folder / "mind.json").read_text(encoding="utf-8"))
        return str(found["brain"]), MindConfig(**found.get("config", {})), kind_of(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MindError(f"mind.json must be whole; that of {folder.name} is not ({error}).") from error
