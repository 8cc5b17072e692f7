"""Being asked: notes first, then the weights, and an honest "I have not learned that yet"."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

from lab.memory import Trace
from lab.mind.messages import checked, plain
from lab.mind.notes import Notes
from lab.mind.reader import Note, Reader
from lab.mind.replies import WEIGHTS as FROM_WEIGHTS
from lab.mind.replies import Answer, MindError, unknown

SURE = 0.9  # probability of an answer from which on its question is learnt by heart as well
HEARD = 4  # most such questions of a trace
MEMORIES = ("both", "notes", "weights")


class Asking:
    """Answers from the notes and the weights of one mind."""

    def __init__(self, notes: Notes, reader: Reader, notes_open: int) -> None:
        self.notes, self.reader, self.notes_open = notes, reader, notes_open
        self._read = ("", dict[str, float]())  # the last question with its readings

    def stream(self, text: str, memory: str = "both") -> Iterator[str | Answer]:
        """Yield the answer's text once it is settled, and at last the Answer."""
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
            text, sure = self._from_weights(question, vetoed)
            doubt = 1 - sure
            if text:
                answer = Answer(text, FROM_WEIGHTS, sure, (), question, memory)
                yield text
        if answer is None:
            answer = unknown(question, memory, doubt)
            yield answer.text
        yield answer

    def _from_notes(self, question: str, memory: str, vetoed: list[str]) -> Answer | None:
        """The answer of the note that most likely has it, in words of that note; None where none is likely to.

        A question that no note seems to answer is put plainly, in the ways that it is often read, and asked again.
        """
        (found,) = self._find([question], self.notes_open)
        taught = next((t for t, _ in found if t.answer and plain(t.question or "") == plain(question)), None)
        if taught and taught.answer:
            return self._used(Answer(taught.answer, taught.tier, taught.confidence, (taught,), question, memory))
        (likeliest,) = self._likeliest([question], [found], vetoed, self.reader.limits.believed)
        if likeliest is None:
            half = (self.notes_open + 1) // 2  # what is put plainly is more like its note
            often = {reading: p for reading, p in self._readings(question).items() if p >= self.reader.limits.often}
            each = self._likeliest([*often], self._find([*often], half), vetoed, self.reader.limits.believed_plainly)
            likely = [(one[0] * math.sqrt(p), one) for one, p in zip(each, often.values(), strict=True) if one]
            likeliest = max(likely, key=lambda one: one[0])[1] if likely else None
        if likeliest is None:
            return None
        sure, trace, text = likeliest
        return self._used(Answer(text, trace.tier, sure * trace.confidence, (trace,), question, memory))

    def _find(self, questions: list[str], count: int) -> list[list[tuple[Trace, float]]]:
        """The notes to open for each question, at most `count`, with their likeness to it."""
        return [self.notes.find(question, count) for question in questions]

    def _likeliest(
        self, questions: list[str], found: list[list[tuple[Trace, float]]], vetoed: list[str], believed_from: float
    ) -> list[tuple[float, Trace, str] | None]:
        """For each question, of the notes found the one that most likely answers, the newest of equals: the belief in it, the
        note, and what it says; what is vetoed is no answer. None where none is believed from 1 - `believed_from` ×
        unknown_threshold on."""
        asked = [
            (q, [(Note.of(trace), alike) for trace, alike in some]) for q, some in zip(questions, found, strict=True)
        ]
        enough, chosen = 1 - believed_from * self.reader.unknown_threshold, list[tuple[float, Trace, str] | None]()
        believed = self.reader.believe(asked, len(self.notes.live))
        for question, some, sure_of in zip(questions, found, believed, strict=True):
            likely = [(sure, trace) for sure, (trace, _) in zip(sure_of, some, strict=True) if sure > 0]
            fixed = self.reader.language.fixed_words
            lacks = [len(fixed(question) - fixed(trace.text)) for _, trace in likely]  # room 5 is not room 6
            likely = [one for one, lack in zip(likely, lacks, strict=True) if lack == min(lacks)]
            one = self._said(question, [(sure, trace) for sure, trace in likely if sure >= enough], vetoed)
            chosen.append(one and (self._newer(question, one, likely, enough, vetoed) or one))
        return chosen

    def _said(
        self, question: str, believed: list[tuple[float, Trace]], vetoed: list[str]
    ) -> tuple[float, Trace, str] | None:
        """What the likeliest note says that says something which is not vetoed, the newest of those that are about as likely."""
        ranked = sorted(believed, key=lambda one: one[0], reverse=True)
        alike = [
            one
            for one in ranked
            if one[0] >= ranked[0][0] - self.reader.limits.as_sure and not self._of_another(one[1], ranked[0][1])
        ]
        newest = sorted(alike, key=lambda one: one[1].id, reverse=True)
        for sure, trace in [*newest, *(one for one in ranked if one not in alike)]:
            text = self.reader.read(question, trace.text).text
            if text is not None and text.lower() not in vetoed:
                return sure, trace, text
        return None

    def _newer(
        self,
        question: str,
        answer: tuple[float, Trace, str],
        likely: list[tuple[float, Trace]],
        enough: float,
        vetoed: list[str],
    ) -> tuple[float, Trace, str] | None:
        """What a note says that is newer than the one which answers, may answer too and may be about the same thing: two
        slight signs that agree. None where there is no such note, or it says the same. One that is believed by itself, from
        `enough` on, may have questions of its own."""
        sure, old, known = answer
        newer = [
            trace
            for belief, trace in likely
            if trace.id > old.id
            and not self._of_another(trace, old)
            and (belief >= enough or not _asked_rather(question, old, trace))
        ]
        about = [self.reader.about_one(Note.of(trace), [Note.of(old)])[0] for trace in newer]
        for same, trace in sorted(zip(about, newer, strict=True), key=lambda one: one[0], reverse=True):
            text = self.reader.read(question, trace.text).text
            if same < self.reader.limits.maybe_one or text is None or text.lower() in (known.lower(), *vetoed):
                continue
            if not self.reader.language.other_subject(old.text, known, trace.text, text):
                return sure * same, trace, text
        return None

    def _of_another(self, one: Trace, other: Trace) -> bool:
        """Whether two notes are known to answer different questions, however alike."""
        asked, also = (*one.asked, *one.cues), (*other.asked, *other.cues)
        return bool(asked and also) and self.reader.language.differ_in_a_word(asked[0][0], also[0][0])

    def _readings(self, question: str) -> dict[str, float]:
        """What the question may ask, put plainly, with the probability of each."""
        kept = self._read  # another thread may put its own there
        if kept[0] != question:
            kept = self._read = question, self.reader.readings(question, self.reader.limits.seldom)
        return kept[1]

    def _from_weights(self, question: str, vetoed: list[str]) -> tuple[str, float]:
        """What the weights most likely answer to what the question may mean, empty where too little speaks for it, and how likely.

        For an answer speaks each reading that it is said to: √share × knowing × probability^as_likely. The question as it is has
        half of the share, and its readings the other, by their probabilities. What could not say enough by itself is not asked. The
        more notes were learnt, the more must speak for an answer.
        """
        shares = {question: 0.5}
        for reading, probability in self._readings(question).items():
            shares[reading] = shares.get(reading, 0.0) + probability / 2
        limits = self.reader.limits
        enough = (limits.said + limits.said_more * self.notes.learnt()) * (1 - self.reader.unknown_threshold)
        doubts = self.reader.doubts([*shares])
        tried = [
            reading
            for (reading, share), doubt in zip(shares.items(), doubts, strict=True)
            if math.sqrt(share) * (1 - doubt) >= enough
        ]
        said: dict[str, tuple[float, float, str]] = {}
        for reading, reply in zip(tried, self.reader.guess(tried), strict=True):
            if reply.text and reply.text.lower() not in vetoed:
                say, likely, text = said.get(reply.text.lower(), (0.0, 0.0, reply.text))
                share, knowing = shares[reading], 1 - reply.unknown
                say += math.sqrt(share) * knowing * reply.probability**limits.as_likely
                said[text.lower()] = say, likely + share * knowing * reply.probability, text
        say, sure, text = max(said.values(), default=(0.0, 0.0, ""))
        return text if say >= enough else "", sure

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


def _asked_rather(question: str, old: Trace, new: Trace) -> bool:
    """Whether an older note is known to answer a question that a newer one, which has questions too, is not known to."""
    asked, also = ([plain(q) for q, _ in (*one.asked, *one.cues)] for one in (old, new))
    return bool(also) and plain(question) in asked and plain(question) not in also
