"""Being taught: a statement is stored, and right, wrong and "no, it is …" change what is there."""

from __future__ import annotations

import time
from dataclasses import replace

from lab.memory import Trace, Veto
from lab.memory.tiers import confidence_of, importance_of
from lab.memory.traces import LTM
from lab.mind.messages import checked, plain
from lab.mind.notes import Notes
from lab.mind.replies import Answer, MindError, Taught

NEAR = 3  # notes among which one of the same words is looked for


class Teaching:
    """Changes the notes of one mind by what it is told; every change is durable when a method returns."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def teach(self, text: str, question: str | None = None, answer: str | None = None) -> Taught:
        """Store one statement. Said again word for word it strengthens the trace that is there."""
        with self.notes.lock:
            now = time.time()
            lifted = self.notes.lifted(text)
            same = next((old for old, _ in self.notes.find(text, NEAR) if plain(old.text) == plain(text)), None)
            if same:
                again = same.repeats + 1
                new = replace(same, repeats=again, uses=same.uses + 1, used_at=now, confidence=confidence_of(again))
                self.notes.change("repeat", update=[new], lift=lifted)
                return Taught((), (self.notes.store.get(same.id),))
            trace = Trace(text, now, question=question, answer=answer, importance=importance_of(text), used_at=now)
            return Taught(tuple(self.notes.change("teach", add=[trace], lift=lifted)))

    def feedback(self, answer: Answer, verdict: str, correction: str | None = None) -> Taught | None:
        """Take "right" or "wrong" for an answer, with the right one where it is known. Raises MindError for another."""
        if verdict not in ("right", "wrong"):
            raise MindError(f"a verdict must be right or wrong; got {verdict!r}.")
        with self.notes.lock:
            now = time.time()
            traces = [self.notes.store.get(t.id) for t in answer.traces]
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
