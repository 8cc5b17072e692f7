"""A mind's notes: the traces on disk, those that live, the index that finds them, and the answers that were vetoed.

Every change is on disk before the index follows it. What only looks takes a copy of the living traces instead of the lock: it
need not wait for whoever thinks.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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
        """Open the file. Raises MemoryError when it is lost, damaged or locked."""
        self.store, self.config, self.lock = TraceStore(path, known=True), config, threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Take everything up as the disk has it."""
        with self.lock:
            found = self.store.traces()
            self.live: dict[int, Trace] = {trace.id: trace for trace in found if trace.alive}
            self.index = RecallIndex({number: _texts(trace) for number, trace in self.live.items()})
            self._last = found[-1].id if found else 0
            self.vetoes = self.store.vetoes()
            if self.store.setting(COMPARED) is None:
                self.store.set_setting(COMPARED, str(self._last))

    def _place(self, trace: Trace) -> None:
        """Let the index and the living traces say what `trace` says."""
        self._last = max(self._last, trace.id)
        if not trace.alive:
            self._drop(trace.id)
            return
        before = self.live.get(trace.id)
        self.live[trace.id] = trace
        if before is None or _texts(before) != _texts(trace):
            self.index.remove(trace.id)
            self.index.add(trace.id, _texts(trace))

    def _drop(self, number: int) -> None:
        self.index.remove(number)
        self.live.pop(number, None)

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
                if what:
                    after = {**self.live, **{t.id: t for t in touched}}
                    self._note_usage([t for t in after.values() if t.alive], now)
            for trace in touched:
                self._place(trace)
            self.vetoes = self.store.vetoes() if veto or lift else self.vetoes
            return added

    def _room_for(self, add: Sequence[Trace], update: Sequence[Trace]) -> list[Trace]:
        """Give the weakest traces of a full STM, in LTM."""
        coming = sum(t.tier == STM for t in add)
        if not coming:
            return []
        busy = {t.id for t in update}
        stm = [t for t in self.live.values() if t.tier == STM and t.id not in busy]
        surplus = len(stm) + coming - self.config.stm_capacity
        now = time.time()
        weakest = sorted(stm, key=lambda t: strength_now(t, self.config, now))[: max(0, surplus)]
        return [replace(t, tier=LTM) for t in weakest]

    def _note_usage(self, live: list[Trace], now: float) -> None:
        tiers = {"stm": STM, "ltm": LTM, "archive": ARCHIVE}
        row = {name: sum(t.tier == tier for t in live) for name, tier in tiers.items()}
        self.store.append("usage", {"at": now, **row, "weights": sum(t.stage == WEIGHTS for t in live)})

    def find(self, text: str, count: int) -> list[tuple[Trace, float]]:
        """Give the living traces that are most like `text`, with their scores, best first."""
        found = [(self.live.get(key), score) for key, score in self.index.search(text, count)]
        return [(trace, score) for trace, score in found if trace]  # one may be gone since

    def fresh(self) -> list[Trace]:
        """Give the living traces that nobody has reflected on yet, oldest first."""
        with self.lock:
            begin = self.store.number(COMPARED, self._last) + 1
            return [self.live[number] for number in range(begin, self._last + 1) if number in self.live]

    def mark_compared(self, number: int) -> None:
        """Note that the traces up to `number` were reflected on."""
        self.store.set_setting(COMPARED, str(number))

    def traces(self, *, all: bool = False) -> list[Trace]:
        """Give the living traces, oldest first; with `all` also replaced, disputed and forgotten ones."""
        return self.store.traces() if all else sorted(self.live.copy().values(), key=lambda t: t.id)

    def learnt(self) -> int:
        """How many living traces the weights hold, as far as is known."""
        return sum(trace.stage != ONLY_NOTED for trace in self.live.copy().values())

    def vetoed(self, question: str) -> list[str]:
        """Give the answers, in small letters, that must not be given to `question` again."""
        return [veto.answer.lower() for veto in self.vetoes if likeness(veto.question, question) >= VETOED]

    def lifted(self, text: str, vetoes: Sequence[Veto] | None = None) -> list[Veto]:
        """Give the vetoes, of all or of some, that a statement lifts: it may make an answer right again that was wrong before."""
        some = self.vetoes if vetoes is None else vetoes
        return [v for v in some if v.answer.lower() in text.lower() and likeness(v.question, text) > LIFTED]

    def forget(self, number: int) -> Trace:
        """Let a trace answer no more; the next night takes it out of the weights."""
        with self.lock:
            now, old = time.time(), self.store.get(number)
            found = old.cues[:1] if old.stage == ONLY_NOTED else old.cues  # what was not learnt has guesses among them
            vetoes = [Veto(question, answer, now, number) for question, answer in (*found, *old.asked)]
            self.change("forget", update=[replace(old, forgotten_at=now)], veto=vetoes)
            return self.store.get(number)

    def edit(self, number: int, text: str) -> tuple[Trace, Trace]:
        """Say a trace otherwise; gives the new one and the old, which stays as history."""
        with self.lock:
            now, old = time.time(), self.store.get(number)
            new = Trace(
                checked(text), now, tier=LTM if old.tier == ARCHIVE else old.tier, confidence=old.confidence,
                importance=old.importance, surprise=old.surprise, uses=old.uses, repeats=old.repeats, used_at=now,
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
            self.mark_compared(min([self.store.number(COMPARED), *(number - 1 for number in again)]))
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
        now, rows = time.time(), _rows(path)
        with self.lock:
            known = {plain(t.text) for t in self.live.values()}
            fresh = {
                plain(text): (text, question, answer) for text, question, answer in rows if plain(text) not in known
            }
            self.change("import", add=[
                Trace(text, now, question=question, answer=answer, tier=LTM, importance=importance_of(text), used_at=now)
                for text, question, answer in fresh.values()
            ])  # fmt: skip
            self.mark_compared(self._last)
            return len(fresh)


def _texts(trace: Trace) -> tuple[str, ...]:
    """What a trace is found by: its text and the questions that were taught or learnt with it; not those it once answered,
    since a wrong answer would then be found again and again."""
    return tuple(dict.fromkeys(filter(None, (trace.text, trace.question, *(question for question, _ in trace.cues)))))


def _rows(path: Path) -> list[tuple[str, str | None, str | None]]:
    """What the lines of a file say that counts still: texts, with their questions and answers. Raises MindError for a line that
    is neither statement nor object, or holds something else than text."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")  # no other sign ends a line
    except (OSError, UnicodeDecodeError) as error:
        raise MindError(f"a file to import must be readable text; {path.name} is not ({error}).") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line) if line.lstrip().startswith("{") else {"text": line}
            text, question, answer = row["text"], row.get("question"), row.get("answer")
            if not isinstance(text, str) or not all(isinstance(one, str | None) for one in (question, answer)):
                raise TypeError("text, question and answer must be text")
            if not any(row.get(name) for name in ("superseded_by", "forgotten_at", "disputed_at")):
                both = checked(question) if question else None, checked(answer) if answer else None
                rows.append((checked(text), *both))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            rule = "a line must be a statement or JSON with text"
            raise MindError(f"{rule}; line {number} of {path.name} is not ({error}). Mend it.") from error
    return rows
