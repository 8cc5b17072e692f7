"""What a brain that went through the curriculum can do for a mind: read notes, recite, sort, compare, quiz itself.

Each skill is a prompt of marks and bytes (lab.data.curriculum.lessons) and what the brain writes after it. Text never
becomes a mark, so nothing that stands in a note can change what is asked of the brain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data.tokenizer import ANSWER, BYTES, END, QUIZ, SORT, START, UNKNOWN, decode, encode, encode_notes
from lab.models import Brain
from lab.models.sampling import complete, guided

MOST_BYTES = 240  # of one note, as read
LONGEST_ANSWER = 96  # bytes
FLUENT = -0.12  # nats per byte below which a question that the brain asks itself is babble


@dataclass(frozen=True)
class Reply:
    """What the brain answered; text None is "I have not learned that yet"."""

    text: str | None
    probability: float  # of the whole answer
    unknown: float  # probability of not knowing, before the first byte
    note: int = 0  # which of the notes was read


def question_tokens(question: str, notes: Sequence[str] = ()) -> list[int]:
    """The prompt that asks `question`, with `notes` open, oldest first, or from the weights alone."""
    return [*encode_notes([clip(note) for note in notes]), START, *encode(clip(question)), ANSWER]


def lesson_tokens(question: str, answer: str | None) -> list[int]:
    """The lesson that answers `question` from the weights; None is not knowing."""
    return [START, *encode(clip(question)), ANSWER, *([UNKNOWN] if answer is None else encode(answer)), END]


def clip(text: str) -> str:
    """At most MOST_BYTES of a text, whole characters."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")


class Span:
    """Holds an answer to words that stand in a note, whole words, small and capital letters alike.

    So an answer from notes can always be found in one, and a copying error cannot happen half way.
    """

    def __init__(self, notes: Sequence[str]) -> None:
        text = "\n".join(clip(note) for note in notes).encode("utf-8", "replace") + b"\n"
        self._text, self._begun = text, False
        self._places = [i for i in range(len(text)) if text[i : i + 1].strip() and (i == 0 or not _inside(text, i))]

    def allowed(self) -> list[int]:
        if not self._begun:
            return list({case for i in self._places for case in _cases(self._text[i])})
        if not self._places:
            return [END]
        ends = [END] if any(_ends(self._text, i) for i in self._places) else []
        return ends + list({case for i in self._places if self._text[i] != 10 for case in _cases(self._text[i])})

    def push(self, token: int) -> None:
        self._begun = True
        self._places = [i + 1 for i in self._places if token < BYTES and token in _cases(self._text[i])]


def _cases(byte: int) -> set[int]:
    return {byte, byte ^ 32} if bytes([byte]).isalpha() else {byte}


def _inside(text: bytes, place: int) -> bool:
    """Whether `place` is within a word: no answer begins there."""
    return bool(_WORD.match(text[place : place + 1]) and _WORD.match(text[place - 1 : place]))


def _ends(text: bytes, place: int) -> bool:
    """Whether a word is over before `place`: at a space, a line's end, or the stop before one."""
    return _END.match(text, place) is not None


_WORD = re.compile(rb"[\w\x80-\xff]")
_END = re.compile(rb"[.,;:!?\"')]*\s|'s\b")


class Skills:
    """The skills of one brain."""

    def __init__(self, brain: Brain, unknown_threshold: float = 0.5) -> None:
        self.brain, self.unknown_threshold = brain.eval(), unknown_threshold

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question with its notes open, or all from the weights."""
        opened = notes or [()] * len(questions)
        prompts = [question_tokens(q, n) for q, n in zip(questions, opened, strict=True)]
        guides = [Span(n) if n else None for n in opened]
        written = complete(
            self.brain, prompts, LONGEST_ANSWER, stop=END, guides=guides, gate=(UNKNOWN, self.unknown_threshold)
        )
        return [self._reply(one.tokens, one.log_probability, one.first) for one in written]

    def _reply(self, tokens: list[int], log_probability: float, first: Tensor) -> Reply:
        unknown = float(first[UNKNOWN])
        if unknown >= self.unknown_threshold or not tokens:
            return Reply(None, unknown, unknown)
        return Reply(decode([t for t in tokens if t < BYTES]), math.exp(log_probability), unknown)

    @torch.no_grad()
    def answer_stream(self, question: str, notes: Sequence[tuple[str, float]] = ()) -> Iterator[str | Reply]:
        """Yield the answer in whole characters as it is written, and at last the Reply.

        Each note (text, likeness to the question) is opened alone, and the one that most likely answers is read: likeness
        times the probability of knowing. A small brain reads one note far better than several at once. Without notes
        the weights answer.
        """
        first, state, chosen = self._open(question, []) if not notes else self._choose(question, notes)
        unknown = float(first.exp()[UNKNOWN])
        guide = Span([notes[chosen][0]]) if notes else None
        written: list[int] = []
        pending: list[int] = []
        total, sure = 0.0, first
        while unknown < self.unknown_threshold and len(written) < LONGEST_ANSWER:
            sure[UNKNOWN] = -math.inf
            token = guided(sure, guide) if guide else int(sure.argmax())
            total += float(sure[token])
            if token == END:
                break
            written.append(token)
            pending.append(token)
            piece = decode(pending)
            if not piece.endswith("�") or len(pending) >= 4:
                yield piece
                pending.clear()
            logits, state = self.brain(torch.tensor([[token]]), state)
            sure = logits[0, -1].float().log_softmax(-1)
        yield replace(self._reply(written, total, torch.full((UNKNOWN + 1,), unknown)), note=chosen)

    def _open(self, question: str, notes: list[str]) -> tuple[Tensor, Any, int]:
        """Log-probabilities (V,) of the first byte of the answer, and the state there."""
        logits, state = self.brain(torch.tensor([question_tokens(question, notes)]))
        return logits[0, -1].float().log_softmax(-1), state, 0

    def _choose(self, question: str, notes: Sequence[tuple[str, float]]) -> tuple[Tensor, Any, int]:
        opened = [self._open(question, [text]) for text, _ in notes]
        hopes = [
            likeness * (1 - float(first[UNKNOWN].exp()))
            for (first, _, _), (_, likeness) in zip(opened, notes, strict=True)
        ]
        best = max(range(len(notes)), key=hopes.__getitem__)
        return opened[best][0], opened[best][1], best

    @torch.no_grad()
    def sort(self, text: str) -> tuple[str, float]:
        """Say what a text is, "t" told, "q" asked or "s" small talk, and how surprising its bytes are (nats each)."""
        tokens = [SORT, *encode(clip(text)), ANSWER]
        logits, _ = self.brain(torch.tensor([tokens]))
        losses = F.cross_entropy(logits[0, :-2].float(), torch.tensor(tokens[1:-1]))
        kinds = encode("tqs")
        return "tqs"[int(logits[0, -1, kinds].argmax())], float(losses)

    def question_of(self, note: str) -> tuple[str, str] | None:
        """Give the likeliest question that a note answers, with its answer; None where the brain finds none."""
        (pairs,) = self.quiz([note], 0, torch.Generator())
        if not pairs:
            return None
        question, _ = pairs[0]
        reply = self.answer([question], [[note]])[0]
        return None if reply.text is None else (question, reply.text)

    def quiz(self, notes: Sequence[str], count: int, generator: torch.Generator) -> list[list[tuple[str, str]]]:
        """Find up to `count` + 1 questions in each note, the most fluent first, each with the answer the brain expects."""
        plain_prompts = [[*encode_notes([clip(note)]), QUIZ] for note in notes]
        prompts = [prompt for prompt in plain_prompts for _ in range(count)]
        plain = complete(self.brain, plain_prompts, 2 * LONGEST_ANSWER, stop=END)
        drawn = complete(
            self.brain, prompts, 2 * LONGEST_ANSWER, stop=END, temperature=0.5, generator=generator, rows=128
        )  # fmt: skip
        found: list[list[tuple[str, str]]] = []
        for i in range(len(notes)):
            pairs: dict[str, tuple[float, str]] = {}
            for one in [plain[i], *drawn[i * count : (i + 1) * count]]:
                fluency = one.log_probability / (len(one.tokens) + 1)
                if one.ended and ANSWER in one.tokens and fluency >= FLUENT:
                    place = one.tokens.index(ANSWER)
                    question, answer = decode(one.tokens[:place]).strip(), decode(one.tokens[place + 1 :])
                    pairs[question] = max(pairs.get(question, (-math.inf, "")), (fluency, answer))
            found.append(
                [(question, answer) for question, (_, answer) in sorted(pairs.items(), key=lambda item: -item[1][0])]
            )
        return found
