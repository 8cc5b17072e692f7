"""What training reads, behind one face: packed documents, or whole lessons whose answers weigh more than the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lab.config import DataConfig
from lab.data.batches import Batch, Batches, Cursor, validation_batches
from lab.data.corpus import CURRICULUM, open_corpus
from lab.data.curriculum.batches import GROWTH, VALIDATION_SEED, LessonBatches
from lab.text import Template


class Reader(Protocol):
    """Endless batches; `cursor` is always the place of the next one."""

    cursor: Cursor

    def next(self) -> Batch: ...


@dataclass(frozen=True)
class Source:
    """`read(seed, cursor)` gives batches, `validate(n)` up to n batches that are never trained on; `lessons` says whether a row is
    a whole lesson; `later` is where a brain that has learnt before begins to read, past what is easy."""

    read: Callable[[int, Cursor | None], Reader]
    validate: Callable[[int], list[Batch]]
    lessons: bool = False
    later: Cursor | None = None


def open_source(config: DataConfig, template: Template) -> Source:
    """Open what `config` names, for brains that speak by `template`. Raises ConfigError when there is none or it cannot be read."""
    if config.data.strip() == CURRICULUM:
        held_back = LessonBatches(config, VALIDATION_SEED, template)
        return Source(
            lambda seed, cursor: LessonBatches(config, seed, template, cursor),
            lambda n: [held_back.next() for _ in range(n)],
            True,
            Cursor(block=GROWTH[-1]),
        )
    corpus = open_corpus(config)
    return Source(
        lambda seed, cursor: Batches(corpus, config, seed, template, cursor),
        lambda n: validation_batches(corpus, config, template, n),
    )
