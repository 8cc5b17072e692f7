"""What a brain that went through the curriculum can do for a mind: read notes, recite, sort, compare, quiz itself.

Each skill is a prompt of marks and bytes (lab.data.curriculum.lessons) and what the brain writes after it. Text never
becomes a mark, so nothing that stands in a note can change what is asked of the brain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import TrainingConfig
from lab.data.curriculum.batches import pad
from lab.data.tokenizer import ANSWER, BYTES, END, QUIZ, SORT, START, UNKNOWN, decode, encode, encode_notes
from lab.learning import choose_machine
from lab.mind.about import about, akin, owners_differ
from lab.models import Brain
from lab.models.contract import widen
from lab.models.sampling import Completion, complete, likely_endings

MOST_BYTES = 240  # of one note, as read
ROWS = 128  # lessons read side by side
LONGEST_ANSWER = 96  # bytes
READING, WORDIER = 48, 16  # bytes that any question, and by which a long one may grow, when it is put plainly
FEW = 3  # places where an answer most likely begins, which are weighed first
WORD = 0.6  # nats by which an answer of one more word is likelier than it seems: a brain stops too early
MOST_WORDS = 8  # of an answer that is found in a note
REPEATING = 12.0  # nats by which an answer made of the question's words alone is less likely
NEVER = 2.0  # no probability is so high
OWN = 12  # questions that the brain draws of a note beside the likeliest
MOST_OWN = 5  # of all these that stay with the note
FLUENT = -0.12  # nats per byte below which a question that the brain asks itself is babble


@dataclass(frozen=True)
class Reply:
    """What the brain answered; text None is "I have not learned that yet"."""

    text: str | None
    probability: float  # of the whole answer
    unknown: float  # probability of not knowing, before the first byte


@dataclass(frozen=True)
class Opened:
    """A question that was read, with notes open or alone: the place where its answer begins."""

    question: str
    notes: tuple[str, ...]
    first: Tensor  # log-probabilities (V,) of the answer's first byte
    state: Any

    @property
    def unknown(self) -> float:
        """The probability of not knowing."""
        return float(self.first[UNKNOWN].exp())


def question_tokens(question: str, notes: Sequence[str] = ()) -> list[int]:
    """The prompt that asks `question`, with `notes` open, oldest first, or from the weights alone."""
    return [*encode_notes([clip(note) for note in notes]), START, *encode(clip(question)), ANSWER]


def lesson_tokens(question: str, answer: str | None) -> list[int]:
    """The lesson that answers `question` from the weights; None is not knowing."""
    return [START, *encode(clip(question)), ANSWER, *([UNKNOWN] if answer is None else encode(answer)), END]


Continuation = tuple[tuple[int, ...], tuple[int, ...]]  # how a prompt may go on: its tokens, and those that come then


def asking(question: str, note: str) -> Continuation:
    """The brain asks a note this question."""
    return (*encode_notes([clip(note)]), QUIZ), (*encode(clip(question)), ANSWER)


def meaning(question: str, other: str) -> Continuation:
    """A question, put plainly, is another one."""
    return (START, *encode(clip(question)), QUIZ), (*encode(clip(other)), END)


def clip(text: str) -> str:
    """At most MOST_BYTES of a text, whole characters."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")


def _spans(note: str) -> list[tuple[bytes, list[int]]]:
    """Where an answer can stand in a note: from the beginning of each word on, the bytes of MOST_WORDS words and how many of
    them lead to the end of each word. What a capital letter only begins a sentence with is there in small letters as well."""
    text = clip(note)
    words = [match.span() for match in _WORD.finditer(text)]
    found = []
    for i, (begin, _) in enumerate(words):
        pieces = [text[begin:end] for _, end in words[i : i + MOST_WORDS]]
        pieces += [piece[:-2] for piece in pieces if piece.endswith(("'s", "’s"))]
        ends = [len(encode(piece)) for piece in pieces if piece]
        span = bytes(encode(max(pieces, key=len)))
        found += [(span, ends)] + ([(span[:1].lower() + span[1:], ends)] if i == 0 and span[:1].isupper() else [])
    return found


_WORD = re.compile(r"[^\s.,;:!?\"'“”‘’()\[\]](?:\S*[^\s.,;:!?\"'“”‘’)\]])?")


def _repeated(span: str, question: str) -> float:
    """The share of an answer's words that stand in the question; none where it asks for one thing or the other."""
    if " or " in question.lower():
        return 0.0
    asked = re.findall(r"\w+", question.lower())
    words = re.findall(r"\w+", span.lower())
    return sum(any(akin(word, one) for one in asked) for word in words) / len(words) if words else 0.0


def _fluency(written: Completion) -> float:
    """Mean log-probability of a token, nats."""
    return written.log_probability / (len(written.tokens) + 1)


class Skills:
    """The skills of one brain."""

    def __init__(self, brain: Brain, unknown_threshold: float = 0.5) -> None:
        self.brain, self.unknown_threshold = brain.eval(), unknown_threshold
        self._machine = choose_machine(TrainingConfig(device=next(brain.parameters()).device.type))

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question from its notes, or all from the weights."""
        if notes is None:
            return self.write(questions)
        opened = (self.open(q, n) for q, n in zip(questions, notes, strict=True))
        return [
            self.read(one) if one.unknown < self.unknown_threshold else Reply(None, one.unknown, one.unknown)
            for one in opened
        ]

    def write(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question as the brain writes, which need not stand in its notes."""
        prompts = [question_tokens(q, n) for q, n in zip(questions, notes or [()] * len(questions), strict=True)]
        written = complete(self.brain, prompts, LONGEST_ANSWER, stop=END, gate=(UNKNOWN, self.unknown_threshold))
        return [self._reply(one.tokens, one.log_probability, float(one.first[UNKNOWN])) for one in written]

    def guess(self, questions: Sequence[str]) -> list[Reply]:
        """What the weights would answer to each question, however much the brain doubts that it knows."""
        prompts = [question_tokens(question) for question in questions]
        written = complete(self.brain, prompts, LONGEST_ANSWER, stop=END, gate=(UNKNOWN, NEVER))
        return [
            Reply(
                decode([t for t in one.tokens if t < BYTES]), math.exp(one.log_probability), float(one.first[UNKNOWN])
            )
            for one in written
        ]

    @torch.no_grad()
    def recites(self, pairs: Sequence[tuple[str, str | None]]) -> list[bool]:
        """Whether each question is answered from the weights with just this answer, as `answer` would; None is not knowing.

        One pass over question and answer: greedy decoding gives an answer if and only if each of its bytes is the likeliest.
        """
        found = [False] * len(pairs)
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1] or ""))
        for begin in range(0, len(order), ROWS):
            chosen = order[begin : begin + ROWS]
            lessons = [lesson_tokens(*pairs[i]) for i in chosen]
            batch = pad(lessons)
            logits = self.brain(batch[:, :-1])[0].float()
            for row, (i, lesson) in enumerate(zip(chosen, lessons, strict=True)):
                place = lesson.index(ANSWER)
                doubts = float(logits[row, place].softmax(-1)[UNKNOWN]) >= self.unknown_threshold
                logits[row, place, UNKNOWN] = -math.inf
                said = logits[row, place : len(lesson) - 1].argmax(-1)
                found[i] = doubts if pairs[i][1] is None else not doubts and said.tolist() == lesson[place + 1 :]
        return found

    def _reply(self, tokens: list[int], log_probability: float, unknown: float) -> Reply:
        if unknown >= self.unknown_threshold or not tokens:
            return Reply(None, unknown, unknown)
        return Reply(decode([t for t in tokens if t < BYTES]), math.exp(log_probability), unknown)

    @torch.no_grad()
    def open(self, question: str, notes: Sequence[str] = ()) -> Opened:
        """Read a question, with its notes open or alone, up to where the answer begins."""
        logits, state = self.brain(torch.tensor([question_tokens(question, notes)]))
        return Opened(question, tuple(notes), logits[0, -1].float().log_softmax(-1), state)

    @torch.no_grad()
    def doubts(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[float]:
        """The probability of not knowing each question, with its notes open, or from the weights where it has none."""
        prompts = [question_tokens(question, notes) for question, notes in asked]
        if not prompts:
            return []
        with self._machine.autocast():
            logits, _ = self.brain(pad(prompts))
        last = logits[range(len(prompts)), [len(prompt) - 1 for prompt in prompts]]
        return [float(one) for one in last.float().softmax(-1)[:, UNKNOWN]]

    @torch.no_grad()
    def likely(self, ways: Sequence[Continuation]) -> list[float]:
        """The log-probability of each continuation, nats; all are read in one pass, in which each comes once."""
        unique = {way: row for row, way in enumerate(dict.fromkeys(ways))}
        if not unique:
            return []
        batch = pad([[*head, *tail] for head, tail in unique])
        with self._machine.autocast():
            logits, _ = self.brain(batch[:, :-1])
        sure = logits.float().log_softmax(-1).gather(2, batch[:, 1:, None])[..., 0]
        spans = ((len(head) - 1, len(head) - 1 + len(tail)) for head, tail in unique)
        total = [float(row[begin:end].sum()) for row, (begin, end) in zip(sure, spans, strict=True)]
        return [total[unique[way]] for way in ways]

    @torch.no_grad()
    def read(self, opened: Opened) -> Reply:
        """Give the words of the notes that most likely answer, whether or not they do (`unknown`).

        All words that stand together are weighed, since what begins well may end badly, but for those that begin too badly to
        win; so an answer from notes can always be found in one. One that says the question again is less likely. Without a word
        to weigh the text is None.
        """
        spans = [span for note in opened.notes for span in _spans(note)]
        if not spans:
            return Reply(None, opened.unknown, opened.unknown)
        most = [float(opened.first[span[0]]) + WORD * span.count(b" ") for span, _ in spans]  # none scores higher
        order = sorted(range(len(spans)), key=lambda n: most[n], reverse=True)
        score, text, sure = self._likeliest(opened, [spans[n] for n in order[:FEW]])
        rest = [spans[n] for n in order[FEW:] if most[n] > score]
        if rest:
            score, text, sure = max((score, text, sure), self._likeliest(opened, rest))
        return Reply(text, math.exp(sure), opened.unknown)

    def _likeliest(self, opened: Opened, spans: list[tuple[bytes, list[int]]]) -> tuple[float, str, float]:
        """The answer that one of the spans begins with and that scores highest: its score, its text and its log-probability."""
        tokens = pad([list(span) for span, _ in spans])  # (N, T)
        sure = self.brain(tokens, widen(opened.state, len(spans)))[0].float().log_softmax(-1)  # (N, T, V)
        further = sure[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
        each = torch.cat((opened.first[tokens[:, :1]], further), 1).cumsum(1)
        ended = (each + sure[..., END]).tolist()  # [n][t]: the first t + 1 bytes of span n are the whole answer
        found = [
            (ended[n][end - 1], span[:end].decode("utf-8", "replace"))
            for n, (span, ends) in enumerate(spans)
            for end in ends
        ]
        return max(
            (one - REPEATING * _repeated(text, opened.question) + WORD * text.count(" "), text, one)
            for one, text in found
        )

    @torch.no_grad()
    def sort(self, text: str) -> tuple[str, float]:
        """Say what a text is, "t" told, "q" asked or "s" small talk, and how surprising its bytes are (nats each)."""
        tokens = [SORT, *encode(clip(text)), ANSWER]
        logits, _ = self.brain(torch.tensor([tokens]))
        losses = F.cross_entropy(logits[0, :-2].float(), torch.tensor(tokens[1:-1]))
        kinds = encode("tqs")
        return "tqs"[int(logits[0, -1, kinds].argmax())], float(losses)

    def questions_of(self, notes: Sequence[str]) -> list[tuple[tuple[str, str], ...]]:
        """Give for each note the questions that it answers, the likeliest first, with their answers; none where the brain finds
        none. What the note says to the first is read in it, and to the others as the brain expects it."""
        found = self.quiz(notes, OWN, torch.Generator().manual_seed(0))
        asked = [(i, pairs[0][0]) for i, pairs in enumerate(found) if pairs]
        replies = self.answer([question for _, question in asked], [[notes[i]] for i, _ in asked])
        pairs_of: list[tuple[tuple[str, str], ...]] = [()] * len(notes)
        for (i, question), reply in zip(asked, replies, strict=True):
            others = [pair for pair in found[i][1:MOST_OWN] if pair[1] and pair[1].lower() in notes[i].lower()]
            pairs_of[i] = () if reply.text is None else ((question, reply.text), *others)
        return pairs_of

    def plainly(self, questions: Sequence[str]) -> list[str]:
        """Put each question in the plain wording of what it asks; it stays as it is where the brain finds none."""
        prompts = [[START, *encode(clip(question)), QUIZ] for question in questions]
        written = complete(self.brain, prompts, 2 * LONGEST_ANSWER, stop=END)
        fluent = (decode(one.tokens).strip() if one.ended and _fluency(one) >= FLUENT else "" for one in written)
        return [text or question for text, question in zip(fluent, questions, strict=True)]

    def readings(self, question: str, at_least: float) -> dict[str, float]:
        """What a question may ask: all plain wordings that have a probability of `at_least`, with it."""
        prompt = [START, *encode(clip(question)), QUIZ]
        longest = max(READING, len(prompt) + WORDIER)  # one that babbles would let all others wait
        found: dict[str, float] = {}
        for tokens, likely in likely_endings(self.brain, prompt, longest, stop=END, at_least=at_least):
            text = decode(tokens).strip()
            if text:
                found[text] = found.get(text, 0.0) + math.exp(likely)
        return found

    def quiz(self, notes: Sequence[str], count: int, generator: torch.Generator) -> list[list[tuple[str, str]]]:
        """Find up to `count` + 1 questions in each note, the most fluent first, each with the answer the brain expects. One that
        leaves out an owner whom the note names asks for something else."""
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
                fluency = _fluency(one)
                if one.ended and ANSWER in one.tokens and fluency >= FLUENT:
                    place = one.tokens.index(ANSWER)
                    question, answer = decode(one.tokens[:place]).strip(), decode(one.tokens[place + 1 :])
                    if owners_differ(about(question), about(notes[i])):
                        continue
                    pairs[question] = max(pairs.get(question, (-math.inf, "")), (fluency, answer))
            found.append(
                [(question, answer) for question, (_, answer) in sorted(pairs.items(), key=lambda item: -item[1][0])]
            )
        return found
