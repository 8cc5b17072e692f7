"""What a brain that went through the curriculum can do for a mind: read notes, recite, sort, compare, quiz itself.

Each skill is a prompt of marks and bytes (lab.data.curriculum.lessons) and what the brain writes after it. Text never
becomes a mark, so nothing that stands in a note can change what is asked of the brain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data.tokenizer import ANSWER, BYTES, END, QUIZ, SAME, SORT, START, UNKNOWN, decode, encode, encode_notes
from lab.models import Brain
from lab.models.sampling import complete

MOST_BYTES = 240  # of one note, as read
LONGEST_ANSWER = 96  # bytes


@dataclass(frozen=True)
class Reply:
    """What the brain answered; text None is "I have not learned that yet"."""

    text: str | None
    probability: float  # of the whole answer
    unknown: float  # probability of not knowing, before the first byte


def question_tokens(question: str, notes: Sequence[str] = ()) -> list[int]:
    """The prompt that asks `question`, with `notes` open, oldest first, or from the weights alone."""
    return [*encode_notes([clip(note) for note in notes]), START, *encode(clip(question)), ANSWER]


def lesson_tokens(question: str, answer: str | None) -> list[int]:
    """The lesson that answers `question` from the weights; None is not knowing."""
    return [START, *encode(clip(question)), ANSWER, *([UNKNOWN] if answer is None else encode(answer)), END]


def clip(text: str) -> str:
    """At most MOST_BYTES of a text, whole characters."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")


class Skills:
    """The skills of one brain."""

    def __init__(self, brain: Brain, unknown_threshold: float = 0.5) -> None:
        self.brain, self.unknown_threshold = brain.eval(), unknown_threshold

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question with its notes open, or all from the weights."""
        opened = notes or [()] * len(questions)
        prompts = [question_tokens(q, n) for q, n in zip(questions, opened, strict=True)]
        return [
            self._reply(found.tokens, found.log_probability, found.first)
            for found in complete(self.brain, prompts, LONGEST_ANSWER, stop=END)
        ]

    def _reply(self, tokens: list[int], log_probability: float, first: Tensor) -> Reply:
        unknown = float(first[UNKNOWN])
        if unknown >= self.unknown_threshold or tokens[:1] == [UNKNOWN] or not tokens:
            return Reply(None, unknown, unknown)
        return Reply(decode([t for t in tokens if t < BYTES]), math.exp(log_probability), unknown)

    @torch.no_grad()
    def answer_stream(self, question: str, notes: Sequence[str] = ()) -> Iterator[str | Reply]:
        """Yield the answer in whole characters as it is written, and at last the Reply."""
        logits, state = self.brain(torch.tensor([question_tokens(question, notes)]))
        written: list[int] = []
        pending: list[int] = []
        total, first = 0.0, torch.empty(0)
        while len(written) < LONGEST_ANSWER:
            sure = logits[0, -1].float().log_softmax(-1)
            if not written:
                first = sure.exp()
                if float(first[UNKNOWN]) >= self.unknown_threshold:
                    break
            token = int(sure.argmax())
            total += float(sure[token])
            if token == END:
                break
            written.append(token)
            if token < BYTES:
                pending.append(token)
                piece = decode(pending)
                if not piece.endswith("�") or len(pending) >= 4:
                    yield piece
                    pending.clear()
            logits, state = self.brain(torch.tensor([[token]]), state)
        yield self._reply(written, total, first)

    @torch.no_grad()
    def sort(self, text: str) -> tuple[str, float]:
        """Say what a text is, "t" told, "q" asked or "s" small talk, and how surprising its bytes are (nats each)."""
        tokens = [SORT, *encode(clip(text)), ANSWER]
        logits, _ = self.brain(torch.tensor([tokens]))
        losses = F.cross_entropy(logits[0, :-2].float(), torch.tensor(tokens[1:-1]))
        kinds = encode("tqs")
        return "tqs"[int(logits[0, -1, kinds].argmax())], float(losses)

    @torch.no_grad()
    def compare(self, new: str, olds: Sequence[str]) -> list[str]:
        """Say of each old note whether the new one repeats it ("r"), replaces it ("y") or is about something else."""
        prompts = [[*encode_notes([clip(old), clip(new)]), SAME, ANSWER] for old in olds]
        kinds = encode("ryn")
        found = []
        for prompt in prompts:
            logits, _ = self.brain(torch.tensor([prompt]))
            found.append("ryn"[int(logits[0, -1, kinds].argmax())])
        return found

    def quiz(self, notes: Sequence[str], count: int, generator: torch.Generator) -> list[list[tuple[str, str]]]:
        """Ask of each note `count` questions, some more than once, each with the answer that the brain expects."""
        prompts = [[*encode_notes([clip(note)]), QUIZ] for note in notes for _ in range(count)]
        # the first of each note is the likeliest question, the others are drawn
        plain = complete(self.brain, prompts[::count], 2 * LONGEST_ANSWER, stop=END) if prompts else []
        drawn = complete(
            self.brain, prompts, 2 * LONGEST_ANSWER, stop=END, temperature=0.9, generator=generator, rows=128
        )
        found: list[list[tuple[str, str]]] = []
        for i in range(len(notes)):
            pairs = []
            for one in [plain[i], *drawn[i * count : (i + 1) * count]]:
                if one.ended and ANSWER in one.tokens:
                    place = one.tokens.index(ANSWER)
                    pairs.append((decode(one.tokens[:place]).strip(), decode(one.tokens[place + 1 :])))
            found.append(pairs)
        return found
