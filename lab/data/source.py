"""What training reads, behind one face: packed documents, or whole lessons whose answers weigh more than the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lab.config import DataConfig
from lab.data.batches import Batches, Cursor, validation_batches
from lab.data.corpus import CURRICULUM, open_corpus
from lab.data.curriculum.batches import GROWTH, VALIDATION_SEED, LessonBatches, weigh


class Reader(Protocol):
    """Endless batches; `cursor` is always the place of the next one."""

    cursor: Cursor

    def next(self) -> Tensor: ...


@dataclass(frozen=True)
class Source:
    """`read(seed, cursor)` gives batches (B, T + 1), `validate(n)` up to n batches that are never trained on;
    `weigh` gives the weight of each target (B, T), or is None where all count alike; `later` is where a brain that has
    learnt before begins to read, past what is easy."""

    read: Callable[[int, Cursor | None], Reader]
    validate: Callable[[int], list[Tensor]]
    weigh: Callable[[Tensor], Tensor] | None = None
    later: Cursor | None = None


def open_source(config: DataConfig) -> Source:
    """Open what `config` names. Raises ConfigError when there is none or it cannot be read."""
    if config.data.strip() == CURRICULUM:
        held_back = LessonBatches(config, VALIDATION_SEED)
        return Source(
            lambda seed, cursor: LessonBatches(config, seed, cursor),
            lambda n: [held_back.next() for _ in range(n)],
            weigh,
            Cursor(block=GROWTH[-1]),
        )
    corpus = open_corpus(config)
    return Source(
        lambda seed, cursor: Batches(corpus, config, seed, cursor), lambda n: validation_batches(corpus, config, n)
    )
