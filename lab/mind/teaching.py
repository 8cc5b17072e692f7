"""Being taught: what a statement repeats, what it replaces, and what right, wrong and "no, it is …" do to traces."""

from __future__ import annotations

import json
import time
from bisect import bisect
from dataclasses import replace

from lab.memory import Trace, Veto
from lab.memory.index import likeness
from lab.memory.tiers import confidence_of, importance_of
from lab.memory.traces import LTM
from lab.mind.messages import PERSONS, checked, may_be_many, plain, whom
from lab.mind.notes import Notes
from lab.mind.replies import RELEVANT, Answer, MindError, Taught
from lab.mind.skills import Skills

LIKELY = 0.2  # likeness from which an old note is compared with a new one, where no question to it is known
CERTAIN = 0.05  # probability of not knowing above which two notes are not about one thing
COMPARED = 3  # old notes that a new one is compared with
SURPRISES = 100  # statements whose surprise a new one's is ranked among
FEW = 20  # fewer than these rank nothing


class Teaching:
    """Changes the notes of one mind by what it is told; every change is durable when a method returns."""

    def __init__(self, notes: Notes, skills: Skills) -> None:
        self.notes, self.skills = notes, skills
        self._surprises: list[float] = json.loads(notes.store.setting("surprises", "[]") or "[]")
        self._questions: dict[str, tuple[str, str] | None] = {}  # what this brain found in a note

    def teach(self, text: str, question: str | None = None, answer: str | None = None) -> Taught:
        """Store one statement. A repetition strengthens the trace that is there; a contradiction replaces it."""
        with self.notes.lock:
            now = time.time()
            same, old = self._compare(text)
            lifted = self.notes.lifted(text)
            if same:
                again = same.repeats + 1
                new = replace(same, repeats=again, uses=same.uses + 1, used_at=now, confidence=confidence_of(again))
                self.notes.change("repeat", update=[new], lift=lifted)
                return Taught((), (self.notes.store.get(same.id),))
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
                "teach", add=[trace], update=gone, lift=lifted, settings={"surprises": json.dumps(self._surprises)}
            )
            return Taught(tuple(made), (), tuple(old))

    def _compare(self, text: str) -> tuple[Trace | None, list[Trace]]:
        """Find the living trace that says the same as `text`, and those that it contradicts.

        Two notes are about one thing when their questions are one, put plainly, and each note answers it: the one known of
        the old note, and the one that the brain finds in the new one. To keep both is the lesser mistake, so any doubt
        does. Things that can be many (tastes, pets, languages) contradict nothing.
        """
        near = [old for old, score in self.notes.find(text, COMPARED) if score >= RELEVANT]
        for old in near:
            if plain(old.text) == plain(text):
                return old, []
        gone = []
        for old in near:
            known = (*old.asked, *old.cues)
            if not (known or likeness(old.text, text) >= LIKELY) or _strangers(old.text, text):
                continue
            theirs = known[0] if known else self._question_of(old.text)
            agreed = self._agrees(theirs, text, old.text) if theirs else None
            if theirs and agreed is None:  # most notes that look alike: nothing more need be asked
                continue
            mine = self._question_of(text)
            agrees = self._agrees(mine, old.text, text) if mine else None
            if not (theirs or mine) or (mine and agrees is None):
                continue
            if mine and theirs and len({plain(asked) for asked in self.skills.plainly([mine[0], theirs[0]])}) > 1:
                continue
            if agreed is not False and agrees is not False:
                return old, []
            if not may_be_many(text):
                gone.append(old)
        return None, gone

    def _agrees(self, pair: tuple[str, str], note: str, source: str) -> bool | None:
        """Whether `note` gives the answer that `source` gives to its question; None where it is not surely about that."""
        question, answer = pair
        if not whom(question) <= whom(note, first=True) & whom(source, first=True):
            return None
        reply = self.skills.answer([question], [[note]])[0]
        return None if reply.unknown > CERTAIN or reply.text is None else plain(answer) == plain(reply.text)

    def _question_of(self, note: str) -> tuple[str, str] | None:
        if note not in self._questions:
            self._questions[note] = self.skills.question_of(note)
        return self._questions[note]

    def _surprise(self, text: str) -> float:
        """The quantile of this text's surprise among the last ones told."""
        _, loss = self.skills.sort(text)
        rank = bisect(sorted(self._surprises), loss) / len(self._surprises) if len(self._surprises) >= FEW else 0.5
        self._surprises = [*self._surprises, loss][-SURPRISES:]
        return rank

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


def _strangers(one: str, other: str) -> bool:
    """Whether one of two notes is about me or you, and the other is not about the same of us."""
    told, also = whom(one, first=True) & PERSONS, whom(other, first=True) & PERSONS
    return bool(told or also) and not told & also
