"""The reader of brains that went through the lab's curriculum: each skill is an exchange, and what the brain writes after its prompt.

Text never becomes a mark, so nothing that stands in a note can change what is asked of the brain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import ConfigError, TrainingConfig
from lab.data import pad
from lab.learning import choose_machine
from lab.mind.language import ENGLISH
from lab.mind.language.about import about, akin, owners_differ
from lab.mind.reader import judgement
from lab.mind.reader.contract import Found, Note, Pair, Reply, clip
from lab.models import Brain, State
from lab.models.sampling import Completion, complete, likely_endings
from lab.text import Exchange
from lab.text.bytes import Bytes
from lab.text.marks import Marks

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
class Opened:
    """A question that was read, with notes open or alone: the place where its answer begins."""

    question: str
    notes: tuple[str, ...]
    first: Tensor  # log-probabilities (V,) of the answer's first token
    state: State
    unknown: float  # probability of not knowing


Continuation = tuple[tuple[int, ...], tuple[int, ...]]  # how a prompt may go on: its tokens, and those that come then


def _spans(note: str) -> list[tuple[bytes, list[int]]]:
    """Where an answer can stand in a note: from the beginning of each word on, the bytes of MOST_WORDS words and how many of
    them lead to the end of each word. What a capital letter only begins a sentence with is there in small letters as well."""
    text = clip(note)
    words = [match.span() for match in _WORD.finditer(text)]
    found = []
    for i, (begin, _) in enumerate(words):
        pieces = [text[begin:end] for _, end in words[i : i + MOST_WORDS]]
        pieces += [piece[:-2] for piece in pieces if piece.endswith(("'s", "’s"))]
        ends = [len(piece.encode()) for piece in pieces if piece]
        span = max(pieces, key=len).encode()
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


class MarksReader:
    """See the contract. `folder` may hold what was fitted to this brain."""

    language = ENGLISH

    def __init__(self, brain: Brain, unknown_threshold: float = 0.5, folder: Path | None = None) -> None:
        assert isinstance(brain.template, Marks)
        if not isinstance(brain.template.tokenizer, Bytes):  # spans are read byte by byte
            name = brain.template.tokenizer.name
            raise ConfigError(f"a mind's brain must read bytes; got one that reads {name}. Train one that does.")
        self.brain, self.unknown_threshold, self.template = brain.eval(), unknown_threshold, brain.template
        self.fitted = judgement.load_fitted(folder)
        self.limits = self.fitted.limits
        self._decode = brain.template.tokenizer.decode
        self._machine = choose_machine(TrainingConfig(device=next(brain.parameters()).device.type))

    def _prompt(self, question: str, notes: Sequence[str] = (), skill: str = "answer") -> list[int]:
        return self.template.prompt(Exchange(clip(question), None, tuple(map(clip, notes)), skill))

    def _spell(self, question: str, answer: str | None) -> tuple[int, ...]:
        """The lesson that answers `question` from the weights; None is not knowing."""
        return self.template.lesson(Exchange(clip(question), answer)).tokens

    def asking(self, question: str, note: str) -> Continuation:
        """A note is asked this question."""
        return tuple(self._prompt("", [note], "quiz")), tuple(self.template.asked(clip(question)))

    def meaning(self, question: str, other: str) -> Continuation:
        """A question, put plainly, is another one."""
        tail = (*self.template.tokenizer.encode(clip(other)), self.template.stop)
        return tuple(self._prompt(question, skill="plain")), tail

    def believe(self, asked: Sequence[tuple[str, Found]], among: int) -> list[list[float]]:
        return judgement.beliefs(self, asked, among)

    def about_one(self, new: Note, older: Sequence[Note]) -> list[float]:
        return judgement.about_one(self, new, older)

    def hear(self, text: str) -> str:
        kind, _ = self._sort(text)
        if self.language.looks_asked(text):
            return "talk" if kind == "s" else "ask"
        if kind == "s" and self.language.looks_told(text) and not self.language.is_small_talk(text):
            return "teach"  # "I'm Alice" is no phrase of small talk, whatever a brain takes it for
        return {"t": "teach", "q": "ask", "s": "talk"}[kind]

    def surprise(self, text: str) -> float:
        """Mean loss of the text's tokens, nats."""
        return self._sort(text)[1]

    def answer(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question from its notes, or all from the weights."""
        if notes is None:
            return self.write(questions)
        opened = (self.open(q, n) for q, n in zip(questions, notes, strict=True))
        return [
            self.read_opened(one) if one.unknown < self.unknown_threshold else Reply(None, one.unknown, one.unknown)
            for one in opened
        ]

    def write(self, questions: Sequence[str], notes: Sequence[Sequence[str]] | None = None) -> list[Reply]:
        """Answer each question as the brain writes, which need not stand in its notes."""
        prompts = [self._prompt(q, n) for q, n in zip(questions, notes or [()] * len(questions), strict=True)]
        written = self._complete(prompts, gate=self.unknown_threshold)
        return [self._reply(one) for one in written]

    def guess(self, questions: Sequence[str]) -> list[Reply]:
        """What the weights would answer to each question, however much the brain doubts that it knows."""
        written = self._complete([self._prompt(question) for question in questions], gate=NEVER)
        return [Reply(self._decode(one.tokens, {}), math.exp(one.log_probability), self._doubt(one)) for one in written]

    def _complete(self, prompts: Sequence[Sequence[int]], gate: float) -> list[Completion]:
        """Answers; "I have not learned that" comes first where it is as likely as `gate`, and else not at all."""
        stop, unknown = self.template.stop, self.template.unknown
        return complete(self.brain, prompts, LONGEST_ANSWER, stop=stop, gate=(unknown, gate))

    def _doubt(self, written: Completion) -> float:
        return float(written.first[self.template.unknown])

    def _reply(self, written: Completion) -> Reply:
        unknown = self._doubt(written)
        if unknown >= self.unknown_threshold or not written.tokens:
            return Reply(None, unknown, unknown)
        return Reply(self._decode(written.tokens, {}), math.exp(written.log_probability), unknown)

    @torch.no_grad()
    def recites(self, pairs: Sequence[tuple[str, str | None]]) -> list[bool]:
        """Whether each question is answered from the weights with just this answer, as `answer` would; None is not knowing.

        One pass over question and answer: greedy decoding gives an answer if and only if each of its bytes is the likeliest.
        """
        found = [False] * len(pairs)
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1] or ""))
        for begin in range(0, len(order), ROWS):
            chosen = order[begin : begin + ROWS]
            lessons = [self._spell(*pairs[i]) for i in chosen]
            logits = self.brain(self._pad(lessons)[:, :-1])[0].float()
            for row, (i, lesson) in enumerate(zip(chosen, lessons, strict=True)):
                place = len(self._prompt(pairs[i][0])) - 1
                doubts = float(self.template.doubt(logits[row, place].log_softmax(-1))) >= self.unknown_threshold
                logits[row, place, self.template.unknown] = -math.inf
                said = logits[row, place : len(lesson) - 1].argmax(-1)
                found[i] = doubts if pairs[i][1] is None else not doubts and (*said.tolist(),) == lesson[place + 1 :]
        return found

    def _pad(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Rows of tokens side by side, (B, T), where the brain is."""
        return self._machine.place(pad(rows, self.template.stop))

    @torch.no_grad()
    def open(self, question: str, notes: Sequence[str] = ()) -> Opened:
        """Read a question, with its notes open or alone, up to where the answer begins."""
        logits, state = self.brain(self._pad([self._prompt(question, notes)]))
        first = logits[0, -1].float().log_softmax(-1)
        return Opened(question, tuple(notes), first, state, float(self.template.doubt(first)))

    def doubts(self, questions: Sequence[str]) -> list[float]:
        return self.doubts_about([(question, ()) for question in questions])

    @torch.no_grad()
    def doubts_about(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[float]:
        """The probability of not knowing each question, with its notes open, or from the weights where it has none."""
        prompts = [self._prompt(question, notes) for question, notes in asked]
        if not prompts:
            return []
        with self._machine.autocast():
            logits, _ = self.brain(self._pad(prompts))
        last = logits[range(len(prompts)), [len(prompt) - 1 for prompt in prompts]]
        return [float(doubt) for doubt in self.template.doubt(last.float().log_softmax(-1))]

    @torch.no_grad()
    def likely(self, ways: Sequence[Continuation]) -> list[float]:
        """The log-probability of each continuation, nats; all are read in one pass, in which each comes once."""
        unique = {way: row for row, way in enumerate(dict.fromkeys(ways))}
        if not unique:
            return []
        batch = self._pad([[*head, *tail] for head, tail in unique])
        with self._machine.autocast():
            logits, _ = self.brain(batch[:, :-1])
        sure = logits.float().log_softmax(-1).gather(2, batch[:, 1:, None])[..., 0]
        spans = ((len(head) - 1, len(head) - 1 + len(tail)) for head, tail in unique)
        total = [float(row[begin:end].sum()) for row, (begin, end) in zip(sure, spans, strict=True)]
        return [total[unique[way]] for way in ways]

    def read(self, question: str, note: str) -> Reply:
        return self.read_opened(self.open(question, [note]))

    @torch.no_grad()
    def read_opened(self, opened: Opened) -> Reply:
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
        tokens = self._pad([list(span) for span, _ in spans])  # (N, T)
        sure = self.brain(tokens, opened.state.rows([0] * len(spans)))[0].float().log_softmax(-1)  # (N, T, V)
        further = sure[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
        each = torch.cat((opened.first[tokens[:, :1]], further), 1).cumsum(1)
        ended = (
            each + sure[..., self.template.stop]
        ).tolist()  # [n][t]: the first t + 1 bytes of span n are the whole answer
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
    def _sort(self, text: str) -> tuple[str, float]:
        """Say what a text is, "t" told, "q" asked or "s" small talk, and how surprising its bytes are (nats each)."""
        tokens = self._pad([self._prompt(text, skill="sort")])
        logits, _ = self.brain(tokens)
        losses = F.cross_entropy(logits[0, :-2].float(), tokens[0, 1:-1])
        kinds = self.template.tokenizer.encode("tqs")
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
        prompts = [self._prompt(question, skill="plain") for question in questions]
        written = complete(self.brain, prompts, 2 * LONGEST_ANSWER, stop=self.template.stop)
        fluent = (self._decode(one.tokens).strip() if one.ended and _fluency(one) >= FLUENT else "" for one in written)
        return [text or question for text, question in zip(fluent, questions, strict=True)]

    def readings(self, question: str, at_least: float) -> dict[str, float]:
        """What a question may ask: all plain wordings that have a probability of `at_least`, with it."""
        prompt = self._prompt(question, skill="plain")
        longest = max(READING, len(prompt) + WORDIER)  # one that babbles would let all others wait
        found: dict[str, float] = {}
        for tokens, likely in likely_endings(self.brain, prompt, longest, stop=self.template.stop, at_least=at_least):
            text = self._decode(tokens).strip()
            if text:
                found[text] = found.get(text, 0.0) + math.exp(likely)
        return found

    def quiz(self, notes: Sequence[str], count: int, draws: torch.Generator) -> list[list[Pair]]:
        """See the contract. One that leaves out an owner whom the note names asks for something else."""
        stop = self.template.stop
        heads = [self._prompt("", [note], "quiz") for note in notes]
        prompts = [head for head in heads for _ in range(count)]
        plain = complete(self.brain, heads, 2 * LONGEST_ANSWER, stop=stop)
        drawn = complete(self.brain, prompts, 2 * LONGEST_ANSWER, stop=stop, temperature=0.5, generator=draws, rows=128)
        found: list[list[Pair]] = []
        for i, (note, head) in enumerate(zip(notes, heads, strict=True)):
            pairs: dict[str, tuple[float, str]] = {}
            for written in [plain[i], *drawn[i * count : (i + 1) * count]]:
                exchange, fluency = self.template.parse([*head, *written.tokens]), _fluency(written)
                if not exchange or not written.ended or fluency < FLUENT:
                    continue
                question = exchange.question.strip()
                if not owners_differ(about(question), about(note)):
                    pairs[question] = max(pairs.get(question, (-math.inf, "")), (fluency, exchange.reply))
            ranked = sorted(pairs.items(), key=lambda item: -item[1][0])
            found.append([(question, answer) for question, (_, answer) in ranked])
        return found
