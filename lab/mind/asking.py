"""Being asked: notes first, then the weights, and an honest "I have not learned that yet"."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

from lab.memory import Trace
from lab.mind.judgement import Recollection, belief, trust
from lab.mind.messages import checked, plain
from lab.mind.notes import Notes
from lab.mind.replies import WEIGHTS as FROM_WEIGHTS
from lab.mind.replies import Answer, MindError, unknown
from lab.mind.skills import Reply, Skills

SURE = 0.9  # probability of an answer from which on its question is learnt by heart as well
AS_SURE = 0.05  # difference of two beliefs below which the newer note is read first
BELIEVED = 0.6  # probability from which on a note is taken to answer
TRUSTED = 0.55  # probability from which on what the weights recall is taken to answer
READINGS = 24  # ways in which a question is put that the weights do not surely know
HEARD = 4  # most such questions of a trace
MEMORIES = ("both", "notes", "weights")


class Asking:
    """Answers from the notes and the weights of one mind."""

    def __init__(self, notes: Notes, skills: Skills, notes_open: int) -> None:
        self.notes, self.skills, self.notes_open = notes, skills, notes_open
        self._last = ("", "")  # a question and how it is put plainly

    def stream(self, text: str, memory: str = "both") -> Iterator[str | Answer]:
        """Yield the answer piece by piece as it is written, and at last the Answer."""
        question = checked(text)
        if memory not in MEMORIES:
            raise MindError(f"memory must be one of {', '.join(MEMORIES)}; got {memory!r}.")
        with self.notes.lock:  # never while a piece is out: whoever reads the next one may be another thread
            vetoed = self.notes.vetoed(question)
            answer = self._from_notes(question, memory, vetoed) if memory != "weights" else None
        if answer:
            yield answer.text
        doubt = 1.0
        if answer is None and memory != "notes":
            reply = yield from self._from_weights(question, vetoed)
            if reply.text is None:
                reply = self._recall(question, vetoed) or reply
                yield from [reply.text] if reply.text is not None else []
            doubt = reply.unknown
            if reply.text is not None:
                answer = Answer(reply.text, FROM_WEIGHTS, reply.probability, (), question, memory)
        if answer is None:
            answer = unknown(question, memory, doubt)
            yield answer.text
        yield answer

    def _from_notes(self, question: str, memory: str, vetoed: list[str]) -> Answer | None:
        """The answer of the note that most likely has it, in words of that note; None where none is likely to.

        A question that no note seems to answer is put plainly, and asked again.
        """
        found = self.notes.find(question, self.notes_open)
        taught = next((t for t, _ in found if t.answer and plain(t.question or "") == plain(question)), None)
        if taught and taught.answer:
            return self._used(Answer(taught.answer, taught.tier, taught.confidence, (taught,), question, memory))
        likeliest = self._likeliest(question, found, vetoed)
        if likeliest is None:
            plainly = self._plainly(question)
            likeliest = self._likeliest(plainly, self.notes.find(plainly, self.notes_open), vetoed)
        if likeliest is None:
            return None
        sure, trace, text = likeliest
        return self._used(Answer(text, trace.tier, sure * trace.confidence, (trace,), question, memory))

    def _likeliest(
        self, question: str, found: list[tuple[Trace, float]], vetoed: list[str]
    ) -> tuple[float, Trace, str] | None:
        """Of the notes found: the belief in the one that most likely answers, the newest of equals, the note, and what it
        says; what is vetoed is no answer."""
        doubts = self.skills.doubts(question, [trace.text for trace, _ in found])
        believed = [
            (belief(question, trace.text, likeness, doubt), trace)
            for (trace, likeness), doubt in zip(found, doubts, strict=True)
        ]
        believed.sort(key=lambda one: one[0], reverse=True)
        alike = [one for one in believed if one[0] >= believed[0][0] - AS_SURE]
        newest = sorted(alike, key=lambda one: one[1].id, reverse=True)
        for sure, trace in [*newest, *believed[len(alike) :]]:
            if sure < BELIEVED:
                break
            text = self.skills.read(self.skills.open(question, [trace.text])).text
            if text is not None and text.lower() not in vetoed:
                return sure, trace, text
        return None

    def _plainly(self, question: str) -> str:
        """The question in its plain wording, or as it is."""
        last = self._last
        if last[0] != question:
            last = self._last = question, self.skills.plainly([question])[0]
        return last[1]

    def _from_weights(self, question: str, vetoed: list[str]) -> Generator[str, None, Reply]:
        """Stream the weights' answer; where an answer to such a question was called wrong, wait for the whole first."""
        reply: Reply | None = None
        for piece in self.skills.answer_stream(question):
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

    def _recall(self, question: str, vetoed: list[str]) -> Reply | None:
        """What the weights answer to what the question may mean, where that most likely answers it.

        A question is put in several ways; what the weights say to each is put before the brain as a note would be.
        """
        found = [one for one in recollections(self.skills, question) if one.answer.lower() not in vetoed]
        best = max(found, key=lambda one: trust(question, one), default=None)
        if best is None or trust(question, best) < TRUSTED:
            return None
        return Reply(best.answer, trust(question, best), best.unknown)

    def _used(self, answer: Answer) -> Answer:
        """Note that a trace answered; it may earn its promotion."""
        (trace,) = answer.traces
        heard = trace.heard
        if answer.confidence >= SURE * trace.confidence and plain(answer.question) not in {
            plain(q) for q, _ in trace.asked
        }:
            heard = (*heard, (answer.question, answer.text))[-HEARD:]
        self.notes.change("", update=[replace(trace, uses=trace.uses + 1, used_at=time.time(), heard=heard)])
        return replace(answer, traces=(self.notes.store.get(trace.id),))


def recollections(skills: Skills, question: str) -> list[Recollection]:
    """What the weights answer to all that a question may mean, each put before the brain as a note would be."""
    readings = skills.readings(question, READINGS)
    replies = skills.guess(readings)
    found = [(reading, reply) for reading, reply in zip(readings, replies, strict=True) if reply.text]
    doubts = skills.doubts(question, [f"{reading} {reply.text}" for reading, reply in found])
    return [
        Recollection(reading, reply.text or "", reply.probability, reply.unknown, doubt)
        for (reading, reply), doubt in zip(found, doubts, strict=True)
    ]
