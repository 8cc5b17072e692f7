"""Batches: lessons side by side, or documents laid end to end and cut into sequences of T + 1 tokens, with an exact place.

Documents are shuffled inside blocks: the whole corpus where it fits, 1,024 at a time where it is streamed. The place
is four whole numbers, so a run that resumes reads on at the very next byte.
Letters: B sequences, T tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from lab.config import ConfigError, DataConfig
from lab.data.corpus import Corpus, Document
from lab.text import Lesson, Template, Tokens

WHOLE_BLOCK = 65536  # documents of a file or of facts that are shuffled together
STREAM_BLOCK = 1024  # documents of a hub stream


@dataclass(frozen=True)
class Cursor:
    """The place in the data: next token `offset` of document `position` in the order of `block`, in `epoch`."""

    epoch: int = 0
    block: int = 0
    position: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Batch:
    """Tokens (B, T + 1) int64, and the weight of each target (B, T), 0 where it is padding; None where all count alike."""

    tokens: Tensor
    weights: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        return Batch(self.tokens.to(device), None if self.weights is None else self.weights.to(device))


def pad(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """Rows of tokens side by side, (B, T) int64, the short ones filled up."""
    batch = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, tokens in zip(batch, rows, strict=True):
        row[: len(tokens)] = tokens
    return torch.from_numpy(batch)


def pad_lessons(lessons: Sequence[Lesson], template: Template) -> Batch:
    """Lessons side by side; nothing is learnt from what fills the short ones up."""
    tokens = pad([lesson.tokens for lesson in lessons], template.stop)
    weights = np.zeros(tokens.shape, dtype=np.float32)
    for row, lesson in zip(weights, lessons, strict=True):
        row[: len(lesson)] = lesson.weights
    return Batch(tokens, torch.from_numpy(weights[:, 1:]))


def encode_document(document: Document, template: Template) -> Tokens:
    """Give a document's tokens, (T,) int64."""
    if isinstance(document.content, bytes):
        return template.document(document.content)
    return np.array(template.lesson(*document.content).tokens, dtype=np.int64)


class Batches:
    """Endless training batches from `cursor` on; `cursor` is always the place of the next batch."""

    def __init__(
        self, corpus: Corpus, config: DataConfig, seed: int, template: Template, cursor: Cursor | None = None
    ) -> None:
        self.corpus, self.seed, self.template = corpus, seed, template
        self.length, self.rows = config.seq_len, config.batch_size
        self.cursor = cursor or Cursor()
        self._size = STREAM_BLOCK if corpus.streamed else WHOLE_BLOCK
        self._source: Iterator[Document] | None = None
        self._loaded: tuple[int, list[Tokens], bool] | None = None  # block, its training documents, is it the last
        self._order: tuple[tuple[int, int], list[int]] | None = None

    def next(self) -> Batch:
        """Give the next batch; input and target overlap in all but one token."""
        return Batch(torch.from_numpy(np.stack([self._sequence() for _ in range(self.rows)])))

    def _sequence(self) -> Tokens:
        """T + 1 tokens from the cursor on; the cursor moves by T, so that every token is a target once."""
        parts: list[Tokens] = []
        need, place = self.length + 1, self.cursor
        while need:
            documents, order = self._block(place)
            if place.position >= len(order):
                place = self._after(place)
                continue
            document = documents[order[place.position]]
            part = document[place.offset : place.offset + need]
            parts.append(part)
            need -= len(part)
            if need == 0:  # the last token is the first of the next sequence
                self.cursor = dataclasses.replace(place, offset=place.offset + len(part) - 1)
            place = dataclasses.replace(place, position=place.position + 1, offset=0)
        return np.concatenate(parts)

    def _after(self, place: Cursor) -> Cursor:
        assert self._loaded is not None
        last = self._loaded[2]
        return Cursor(place.epoch + 1) if last else Cursor(place.epoch, place.block + 1)

    def _block(self, place: Cursor) -> tuple[list[Tokens], list[int]]:
        """The training documents of a block and their order in this epoch."""
        if self._loaded is None or self._loaded[0] != place.block:
            self._loaded = self._load(place.block)
        documents = self._loaded[1]
        key = (place.epoch, place.block)
        if self._order is None or self._order[0] != key:
            shuffle = np.random.default_rng((self.seed, *key))
            self._order = (key, shuffle.permutation(len(documents)).tolist())
        return documents, self._order[1]

    def _load(self, block: int) -> tuple[int, list[Tokens], bool]:
        follows = self._loaded is not None and self._loaded[0] + 1 == block
        if self._source is None or not follows:
            self._source = self.corpus.documents(block * self._size)
        found = list(islice(self._source, self._size))
        documents = [encode_document(document, self.template) for document in found if not document.validation]
        last = len(found) < self._size
        if last:
            self._source = None
        if not documents and block == 0:
            raise ConfigError(_too_little(self.corpus, len(found)), "data")
        return block, documents, last


def _too_little(corpus: Corpus, found: int) -> str:
    rule = "data must hold at least 2 documents, one to learn and one to validate"
    return f"{rule}; {corpus.name} has {found or 'no text to validate'}. Add text or choose other data."


def validation_batches(corpus: Corpus, config: DataConfig, template: Template, batches: int) -> list[Batch]:
    """Give up to `batches` batches of validation documents, always the same ones for the same data.

    The documents are shuffled first, so that a few batches show all of the data. Text that is shorter than one
    sequence is repeated to fill it.
    """
    look = STREAM_BLOCK if corpus.streamed else WHOLE_BLOCK
    found = [document for document in islice(corpus.documents(0), look) if document.validation]
    kept = [encode_document(document, template) for document in found]
    if not any(template.tokenizer.bytes_of[tokens].any() for tokens in kept):
        raise ConfigError(_too_little(corpus, 0), "data")
    order = np.random.default_rng(0).permutation(len(kept))
    T, B = config.seq_len, config.batch_size
    stream = np.concatenate([kept[i] for i in order])[: batches * B * T + 1]
    stream = np.resize(stream, max(len(stream), T + 1))
    rows = [stream[i : i + T + 1] for i in range(0, len(stream) - T, T)]
    return [Batch(torch.from_numpy(np.stack(rows[i : i + B]))) for i in range(0, len(rows), B)]


def preview(corpus: Corpus, count: int = 5) -> list[Document]:
    """Give the first documents, to look at before training."""
    return list(islice(corpus.documents(0), count))
