"""Being asked: notes first, then the weights, and an honest "I have not learned that yet"."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

from lab.mind.messages import checked, plain
from lab.mind.notes import Notes
from lab.mind.replies import RELEVANT, Answer, MindError, unknown
from lab.mind.replies import WEIGHTS as FROM_WEIGHTS
from lab.mind.skills import Reply, Skills

SURE = 0.9  # probability of an answer from which on its question is learnt by heart as well
HEARD = 4  # most such questions of a trace
MEMORIES = ("both", "notes", "weights")


class Asking:
    """Answers from the notes and the weights of one mind."""

    def __init__(self, notes: Notes, skills: Skills, notes_open: int) -> None:
        self.notes, self.skills, self.notes_open = notes, skills, notes_open

    def stream(self, text: str, memory: str = "both") -> Iterator[str | Answer]:
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
        found = self.notes.find(question, self.notes_open)
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
        return replace(answer, traces=(self.notes.store.get(trace.id),))
