"""The template of the lab's own brains: every part of an exchange is opened by a mark.

answer    NOTE note NOTE note START question ANSWER answer END     from the notes, or without them from the weights
          … the same, when nothing answers: ANSWER UNKNOWN END
quiz      NOTE note QUIZ question ANSWER answer END                what can be asked of a note
plain     START question QUIZ question END                         the same question in its plain wording
sort      SORT text ANSWER letter END                              t told, q asked, s small talk
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lab.text.contract import I_DO_NOT_KNOW, Exchange, Lesson, Opening, Tokenizer, Tokens

ELSEWHERE = 0.1  # weight of a token that belongs to no answer


class Marks:
    """See the contract."""

    name: ClassVar[str] = "marks"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, marks = tokenizer, tokenizer.marks
        self.start, self.stop, self.answer, self.note = (marks[name] for name in ("start", "end", "answer", "note"))
        self.unknown, self.quiz, self.sort = (marks[name] for name in ("unknown", "quiz", "sort"))
        self._opens = {self.answer, self.quiz}
        self._closes = {self.stop, self.start, self.note, self.sort}

    def __deepcopy__(self, memo: dict[int, Any]) -> Marks:
        return self  # nothing in it changes: a brain's copy shares it

    def prompt(self, exchange: Exchange) -> list[int]:
        encode, question = self.tokenizer.encode, exchange.question
        tokens = [token for note in exchange.notes for token in (self.note, *encode(note))]
        if exchange.skill == "quiz":
            return [*tokens, self.quiz]
        first, last = {"plain": (self.start, self.quiz), "sort": (self.sort, self.answer)}.get(
            exchange.skill, (self.start, self.answer)
        )
        return [*tokens, first, *encode(question), last]

    def asked(self, question: str) -> list[int]:
        """Give how a quiz goes on that asks this question, up to its answer."""
        return [*self.tokenizer.encode(question), self.answer]

    def lesson(self, *exchanges: Exchange) -> Lesson:
        tokens: list[int] = []
        for i, exchange in enumerate(exchanges):
            shared = Exchange(exchange.question, exchange.answer, (), exchange.skill) if i else exchange
            tokens += self.prompt(shared)
            tokens += self.asked(exchange.question) if exchange.skill == "quiz" else []
            tokens += [self.unknown] if exchange.answer is None else self.tokenizer.encode(exchange.answer)
            tokens.append(self.stop)
        return self.restore(tokens)

    def restore(self, tokens: Sequence[int]) -> Lesson:
        weights, within = [], ELSEWHERE
        for token in tokens:
            weights.append(within)
            within = 1.0 if token in self._opens else ELSEWHERE if token in self._closes else within
        return Lesson(tuple(tokens), tuple(weights))

    def parse(self, tokens: Sequence[int]) -> Exchange | None:
        tokens, notes = list(tokens), list[str]()
        while tokens and tokens[0] == self.note:
            end = next((i for i, token in enumerate(tokens[1:], 1) if token in self._opens | self._closes), len(tokens))
            notes.append(self.tokenizer.decode(tokens[1:end]))
            tokens = tokens[end:]
        tokens = tokens[: tokens.index(self.stop)] if self.stop in tokens else tokens  # the first of several
        if tokens and tokens[0] == self.start and self.answer not in tokens and self.quiz in tokens:
            asked, said = self._cut(tokens[1:], self.quiz)
            return Exchange(self._words(asked), self._words(said), tuple(notes), "plain")
        skills = {self.start: "answer", self.quiz: "quiz", self.sort: "sort"}
        if not tokens or tokens[0] not in skills or self.answer not in tokens:
            return None
        asked, said = self._cut(tokens[1:], self.answer)
        answer = None if self.unknown in tokens else self._words(said)
        return Exchange(self._words(asked), answer, tuple(notes), skills[tokens[0]])

    def _cut(self, tokens: list[int], mark: int) -> tuple[list[int], list[int]]:
        """What stands before the first of a mark, and what after it."""
        place = tokens.index(mark)
        return tokens[:place], tokens[place + 1 :]

    def _words(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens)

    def document(self, text: bytes) -> Tokens:
        return np.concatenate(([self.start], self.tokenizer.pack(text), [self.stop])).astype(np.int64)

    def begin(self, text: str) -> list[int]:
        return [self.start, *self.tokenizer.encode(text)]

    def head(self, tokens: Sequence[int], longest: int) -> list[int]:
        tokens = list(tokens[: tokens.index(self.stop)]) if self.stop in tokens else list(tokens)
        return tokens[: tokens.index(self.answer) + 1] if self.answer in tokens else tokens[:longest]

    def asks(self, prompt: Sequence[int]) -> bool:
        return prompt[-1] == self.answer

    def show(self, tokens: Sequence[int]) -> str:
        drawn: Mapping[int, str] = {
            self.unknown: I_DO_NOT_KNOW, self.answer: " → ", self.note: "• ", self.quiz: " ⇒ ", self.start: " ", self.sort: "sort: ",
        }  # fmt: skip
        return self.tokenizer.decode(tokens, drawn).strip()

    def openings(self) -> tuple[Opening, ...]:
        return (  # the rest begins as what had an answer: what is known by heart can be harmed
            Opening((self.start,), 0.29, never=(self.quiz,)),
            Opening((self.start,), 0.14, never=(self.answer,)),
            Opening((self.note,), 0.25, 160),
            Opening((self.sort,), 0.04, 64),
        )

    def closed(self) -> Opening:
        return Opening((self.start,))

    def closes(self, token: int) -> bool:
        return token in self._opens

    def doubt(self, log_probabilities: Any) -> Any:
        return log_probabilities[..., self.unknown].exp()
