"""A mind: what the chat talks to. Notes first, then weights, and an honest "I have not learned that yet".

On disk: mind.json (name, origin, settings), memory.sqlite (traces, conversation, nights), brain-N (the weights after
night N) and nights/N. Which brain counts stands in memory.sqlite, so that a night's weights and what it did to the
traces become true in one transaction.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.config import MindConfig
from lab.disk import write_durably
from lab.events import NightEnded, NightEvent
from lab.learning import make_room
from lab.memory import RecallIndex, Trace, TraceStore, strength_now
from lab.memory.traces import ARCHIVE, FADING, LTM, NOTES, STM, WEIGHTS
from lab.mind.asking import Asking
from lab.mind.conversation import Conversation
from lab.mind.messages import checked, sentences
from lab.mind.night import Agenda, sleep
from lab.mind.notes import Notes
from lab.mind.reflecting import Reflecting
from lab.mind.replies import Answer, MindError, Taught
from lab.mind.retention import load_by_heart
from lab.mind.skills import Skills
from lab.mind.sleeping import BY_HEART, plan_night, settle_night
from lab.mind.teaching import Teaching
from lab.models.checkpoint import load_brain, save_brain

MODES = ("auto", "teach", "ask")
BACKLOG = 64  # notes told in a row after which a mind reflects


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
        origin = find_brain(str(brain), home)
        model, loaded = load_brain(origin)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_brain(folder / "brain-0", model, loaded)
        settings = dataclasses.asdict(config) if config else {}
        plain_settings = dataclasses.asdict(MindConfig())
        changed = {key: value for key, value in settings.items() if value != plain_settings[key]}
        about = {"name": name, "brain": str(brain), "model": model, "created_at": time.time(), "config": changed}
        write_durably(folder / "mind.json", json.dumps(about, indent=1).encode())
        made = Mind(folder)
        made.memory.set_setting(BY_HEART, json.dumps(load_by_heart(origin)))
        return made

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
        self._teaching = Teaching(self.notes)
        self._reflecting = Reflecting(self.notes, self.skills)
        self._asking = Asking(self.notes, self.skills, self.config.notes_open)
        self._conversation = Conversation(self.notes, self.skills)

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
            parts = [self._teaching.teach(part) for part in sentences(checked(text or ""))]
        else:
            question, answer = checked(question or "", "question"), checked(answer or "", "answer")
            parts = [self._teaching.teach(f"{question} {answer}" if text is None else checked(text), question, answer)]
        if len(self.notes.fresh()) >= BACKLOG:
            self.reflect()
        return Taught(*(tuple(t for part in parts for t in getattr(part, kind)) for kind in ("traces", "repeated")))

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
        return self._conversation.hear(text)

    def say_stream(self, text: str, mode: str = "auto", memory: str = "both") -> Iterator[str | Answer | Taught]:
        """Take a message of the chat: yield the reply's text, and then what became of it. Both are kept before that, so that
        nothing is lost where nobody reads on."""
        if mode not in MODES:
            raise MindError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
        message = checked(text)
        kind = self.hear(message) if mode == "auto" else mode
        outcome: Answer | Taught
        if kind == "teach":
            told, found = self.teach(message), self.reflect()
            traces = tuple(self.memory.get(trace.id) for trace in told.traces)  # reflecting may have promoted them
            outcome = replace(told, traces=traces, repeated=(*told.repeated, *found.repeated), replaced=found.replaced)
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
        model, loaded = load_brain(self.folder / f"brain-{self.night}")
        brain = make_room(model, loaded, self.config)
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
            self.reflect()
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
