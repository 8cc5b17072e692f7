"""A mind's notes: the traces on disk, those that live, the index that finds them, and the answers that were vetoed.

Every change is on disk before the index follows it.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.config import MindConfig
from lab.disk import write_durably
from lab.memory import RecallIndex, Trace, TraceStore, Veto, strength_now
from lab.memory.index import likeness
from lab.memory.tiers import importance_of, wants_promotion
from lab.memory.traces import ARCHIVE, LTM, STM, WEIGHTS
from lab.memory.traces import NOTES as ONLY_NOTED
from lab.mind.messages import checked, plain
from lab.mind.replies import MindError

VETOED = 0.45  # likeness of a question to one whose answer was called wrong
REFLECTED = "reflect"  # the step that says what a note repeats or replaces; it is undone with the teaching
COMPARED = "compared"  # the setting with the number up to which notes were reflected on
LIFTED = 0.2  # likeness of a statement to a vetoed question from which on it may be so again


class Notes:
    """The notes of one mind; `lock` is held while they are read and changed together."""

    def __init__(self, path: Path, config: MindConfig) -> None:
        """Open the file. Raises MemoryError when it is damaged or locked."""
        self.store, self.config, self.lock = TraceStore(path), config, threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Take everything up as the disk has it."""
        self.index = RecallIndex()
        self.live: dict[int, Trace] = {}
        self._indexed: dict[int, list[str]] = {}
        self._last = 0
        for trace in self.store.traces():
            self._place(trace)
        self.vetoes = self.store.vetoes()
        if self.store.setting(COMPARED) is None:
            self.store.set_setting(COMPARED, str(self._last))

    def _place(self, trace: Trace) -> None:
        """Let the index and the living traces say what `trace` says.

        Found are its text and the questions that were taught or learnt with it; not those it once answered, since a
        wrong answer would then be found again and again.
        """
        self._last = max(self._last, trace.id)
        if not trace.alive:
            self._drop(trace.id)
            return
        self.live[trace.id] = trace
        texts = list(dict.fromkeys([trace.text, trace.question or "", *(question for question, _ in trace.cues)]))
        if self._indexed.get(trace.id) != texts:
            self.index.remove(trace.id)
            self.index.add(trace.id, texts)
            self._indexed[trace.id] = texts

    def _drop(self, number: int) -> None:
        self.index.remove(number)
        self.live.pop(number, None)
        self._indexed.pop(number, None)

    def change(
        self, what: str, *, add: Sequence[Trace] = (), update: Sequence[Trace] = (), veto: Sequence[Veto] = (),
        lift: Sequence[Veto] = (), settings: dict[str, str] | None = None,
    ) -> list[Trace]:  # fmt: skip
        """Write one step durably (with a name: one that `undo` takes back), then let the index follow; gives the added."""
        now = time.time()
        update = [replace(t, tier=LTM) if wants_promotion(t, self.config) else t for t in update]
        add = [replace(t, tier=LTM) if wants_promotion(t, self.config) else t for t in add]
        with self.lock:
            update = [*update, *self._room_for(add, update)]
            with self.store.transaction():
                added = self.store.change(what, now, add=add, update=update, veto=veto, lift=lift)
                for name, value in (settings or {}).items():
                    self.store.set_setting(name, value)
                touched = [*added, *(self.store.get(t.id) for t in update)]
                after = {**self.live, **{t.id: t for t in touched}}
                if what:
                    self._note_usage([t for t in after.values() if t.alive], now)
            for trace in touched:
                self._place(trace)
            self.vetoes = self.store.vetoes() if veto or lift else self.vetoes
            return added

    def _room_for(self, add: Sequence[Trace], update: Sequence[Trace]) -> list[Trace]:
        """Give the weakest traces of a full STM, in LTM."""
        coming = sum(t.tier == STM for t in add)
        busy = {t.id for t in update}
        stm = [t for t in self.live.values() if t.tier == STM and t.id not in busy]
        surplus = len(stm) + coming - self.config.stm_capacity if coming else 0
        now = time.time()
        weakest = sorted(stm, key=lambda t: strength_now(t, self.config, now))[: max(0, surplus)]
        return [replace(t, tier=LTM) for t in weakest]

    def _note_usage(self, live: list[Trace], now: float) -> None:
        tiers = {"stm": STM, "ltm": LTM, "archive": ARCHIVE}
        row = {name: sum(t.tier == tier for t in live) for name, tier in tiers.items()}
        self.store.append("usage", {"at": now, **row, "weights": sum(t.stage == WEIGHTS for t in live)})

    def find(self, text: str, count: int) -> list[tuple[Trace, float]]:
        """Give the living traces that are most like `text`, with their scores, best first."""
        return [(self.live[key], score) for key, score in self.index.search(text, count)]

    def fresh(self) -> list[Trace]:
        """Give the living traces that nobody has reflected on yet, oldest first."""
        begin = int(self.store.setting(COMPARED, "0") or 0) + 1
        return [self.live[number] for number in range(begin, self._last + 1) if number in self.live]

    def mark_compared(self, number: int) -> None:
        """Note that the traces up to `number` were reflected on."""
        self.store.set_setting(COMPARED, str(number))

    def traces(self, *, all: bool = False) -> list[Trace]:
        """Give the living traces, oldest first; with `all` also replaced, disputed and forgotten ones."""
        return self.store.traces() if all else sorted(self.live.values(), key=lambda t: t.id)

    def vetoed(self, question: str) -> list[str]:
        """Give the answers, in small letters, that must not be given to `question` again."""
        return [veto.answer.lower() for veto in self.vetoes if likeness(veto.question, question) >= VETOED]

    def lifted(self, text: str) -> list[Veto]:
        """Give the vetoes that a statement lifts: it may make an answer right again that was wrong before."""
        return [v for v in self.vetoes if v.answer.lower() in text.lower() and likeness(v.question, text) > LIFTED]

    def forget(self, number: int) -> Trace:
        """Let a trace answer no more; the next night takes it out of the weights."""
        now, old = time.time(), self.store.get(number)
        found = old.cues[:1] if old.stage == ONLY_NOTED else old.cues  # what was not learnt has guesses among them
        vetoes = [Veto(question, answer, now, number) for question, answer in (*found, *old.asked)]
        self.change("forget", update=[replace(old, forgotten_at=now)], veto=vetoes)
        return self.store.get(number)

    def edit(self, number: int, text: str) -> tuple[Trace, Trace]:
        """Say a trace otherwise; gives the new one and the old, which stays as history."""
        now, old = time.time(), self.store.get(number)
        new = Trace(
            checked(text), now, tier=LTM if old.tier == ARCHIVE else old.tier, confidence=old.confidence, importance=old.importance,
            surprise=old.surprise, uses=old.uses, repeats=old.repeats, used_at=now,
        )  # fmt: skip
        (made,) = self.change("edit", add=[new], update=[replace(old, superseded_by=-1)])
        return made, old

    def undo(self) -> str | None:
        """Take the last step of a person back, with what was reflected since; gives what it was, None for nothing."""
        with self.lock:
            undone = self._undo()
            while undone == REFLECTED:
                undone = self._undo()
            self.vetoes = self.store.vetoes()
            return undone

    def _undo(self) -> str | None:
        """Take the last step back; what it reflected on, and a number that may come again, is to be reflected on anew."""
        with self.store.transaction():
            undone = self.store.undo()
            if undone is None:
                return None
            what, touched = undone
            known = {n: self.store.get(n) for n in touched if self.store.has(n)}
            again = [number for number in touched if number not in known] + (
                [max(touched)] if what == REFLECTED else []
            )
            self.mark_compared(min([int(self.store.setting(COMPARED, "0") or 0), *(number - 1 for number in again)]))
        for number in touched:
            self._drop(number)
            if number in known:
                self._place(known[number])
        return what

    def write(self, path: Path) -> int:
        """Write all traces as JSON lines; gives how many."""
        found = self.traces(all=True)
        write_durably(path, "".join(json.dumps(dataclasses.asdict(t)) + "\n" for t in found).encode())
        return len(found)

    def read(self, path: Path) -> int:
        """Take up the living traces of a file, a statement or a JSON object with `text` a line; gives how many are new."""
        now, known = time.time(), {plain(t.text) for t in self.live.values()}
        fresh: dict[str, Trace] = {}
        for row in _rows(path):
            text = checked(row["text"])
            if plain(text) not in known and not (row.get("superseded_by") or row.get("forgotten_at")):
                fresh[plain(text)] = Trace(
                    text,
                    now,
                    question=row.get("question"),
                    answer=row.get("answer"),
                    tier=LTM,
                    importance=importance_of(text),
                    used_at=now,
                )
        self.change("import", add=list(fresh.values()))
        self.mark_compared(self._last)
        return len(fresh)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file as objects with a text. Raises MindError for one that is neither statement nor object."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MindError(f"a file to import must be readable text; {path.name} is not ({error}).") from error
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("{"):
            rows += [{"text": line}] if line.strip() else []
            continue
        try:
            row = json.loads(line)
            rows.append({**row, "text": str(row["text"])})
        except (ValueError, KeyError, TypeError) as error:
            rule = "a line must be a statement or JSON with text"
            raise MindError(f"{rule}; line {number} of {path.name} is not ({error}). Mend it.") from error
    return rows
