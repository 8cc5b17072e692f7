"""Reflecting: what a mind finds out about what it was told, once that is safe on disk.

Each new note is asked for a question that it answers, in a batch, and is found by it from then on; how surprising it is may
promote it. Two notes are about one thing when each answers the other's question and they are alike (lab.mind.reader); then
the later one replaces the earlier, or says it again. To keep both is the lesser mistake, so any doubt does.
"""

from __future__ import annotations

import json
import time
from bisect import bisect
from dataclasses import replace

from lab.memory import Trace, Veto
from lab.memory.store import parsed
from lab.memory.tiers import confidence_of
from lab.memory.traces import NOTES as ONLY_NOTED
from lab.mind.messages import plain
from lab.mind.notes import REFLECTED, Notes
from lab.mind.reader import Note, Reader, questions_alike
from lab.mind.replies import Taught

COMPARED = 3  # notes that are compared for their words, beside those that its question finds
READ = 3  # questions of a note that an older one is asked
SURPRISES = 100  # notes whose surprise a new one's is ranked among
FEW = 20  # fewer than these rank nothing


class Reflecting:
    """Compares the notes of one mind; every change is durable when `reflect` returns."""

    def __init__(self, notes: Notes, reader: Reader) -> None:
        self.notes, self.reader = notes, reader
        kept = parsed(notes.store.setting("surprises"))
        self._surprises = [one for one in kept if isinstance(one, float)] if isinstance(kept, list) else []

    def reflect(self) -> Taught:
        """Reflect on all that was told since the last time; gives what was said again, and what was replaced."""
        with self.notes.lock:
            fresh = self.notes.fresh()
            if not fresh:
                return Taught(())
            asked = self.reader.questions_of([note.text for note in fresh])
            own = [
                replace(note, cues=note.cues or pairs, surprise=self._surprise(note))
                for note, pairs in zip(fresh, asked, strict=True)
            ]
            self.notes.change("", update=own, settings={"surprises": json.dumps(self._surprises)})
            found = [self._compare(self.notes.live[note.id]) for note in fresh if note.id in self.notes.live]
            self.notes.mark_compared(fresh[-1].id)
            return Taught.of(found)

    def _surprise(self, note: Trace) -> float:
        """The quantile of this note's surprise among those of the last ones told."""
        loss = self.reader.surprise(note.text)
        rank = bisect(sorted(self._surprises), loss) / len(self._surprises) if len(self._surprises) >= FEW else 0.5
        self._surprises = [*self._surprises, loss][-SURPRISES:]
        return rank

    def _compare(self, note: Trace) -> Taught:
        """Find the older notes that are about the same: the one that this one repeats, those that it replaces, and those that only
        look so, which are kept beside it."""
        known, language, limits = (*note.asked, *note.cues), self.reader.language, self.reader.limits
        if not known:
            return Taught(())
        gone, beside = list[Trace](), list[Trace]()
        for old, alike, sure in self._about_the_same(note):
            read = [(answer, self.reader.read(question, old.text).text or "") for question, answer in known[:READ]]
            same = [pair for pair in read if not language.other_subject(note.text, pair[0], old.text, pair[1])]
            if any(plain(said) == plain(answer) for answer, said in same[:1]):
                if alike >= limits.same_question and sure >= limits.surely_one:
                    return Taught((), (self._repeat(note, old),))
            elif not language.may_be_many(note.text):
                surely = same and sure >= limits.surely_one and not language.says_more(old.text, same[0][1])
                (gone if surely else beside).append(old)
        if gone:
            self._replace(note, gone)
        return Taught((), (), tuple(gone), tuple(beside))

    def _about_the_same(self, note: Trace) -> list[tuple[Trace, float, float]]:
        """The older notes that may be about the same thing, with the likeness of their questions and how sure that is."""
        new = Note.of(note)
        near = {trace.id: trace for trace, _ in self.notes.find(note.text, COMPARED)}
        near |= {trace.id: trace for trace, _ in self.notes.find(new.question, self.notes.config.notes_open)}
        older = [trace for number, trace in near.items() if number < note.id]
        its = [Note.of(old) for old in older]
        sure = self.reader.about_one(new, its)
        alike = (questions_alike(new, what) for what in its)
        return [found for found in zip(older, alike, sure, strict=True) if found[2] >= self.reader.limits.perhaps_one]

    def _repeat(self, note: Trace, old: Trace) -> Trace:
        """Let `note` only make the old one surer."""
        times = old.repeats + note.repeats
        surer = replace(old, repeats=times, uses=old.uses + 1, used_at=time.time(), confidence=confidence_of(times))
        self.notes.change(REFLECTED, update=[surer, replace(note, superseded_by=old.id)])
        return self.notes.store.get(old.id)

    def _replace(self, note: Trace, gone: list[Trace]) -> None:
        """Put `note` in the place of others: what their weights answer is to be answered by it from the next night on."""
        learnt = [pair for old in gone if old.stage != ONLY_NOTED for pair in (*old.cues, *old.asked)]
        questions = list(dict.fromkeys(question for question, _ in learnt))
        replies = self.reader.answer(questions, [[note.text]] * len(questions)) if questions else []
        said = {question: reply.text for question, reply in zip(questions, replies, strict=True)}
        heard = tuple((question, text) for question, text in said.items() if text)
        vetoes = [Veto(question, answer, time.time(), note.id) for question, answer in learnt if not said[question]]
        self.notes.change(
            REFLECTED,
            update=[replace(note, heard=(*note.heard, *heard)), *(replace(old, superseded_by=note.id) for old in gone)],
            veto=vetoes,
        )
