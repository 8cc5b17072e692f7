"""Batches of whole lessons: a lesson is never cut, since an answer without its notes would teach guessing.

Lessons are made a pool at a time, laid side by side by length, and padded. The place is (pool, batch in the pool).
Letters: B lessons, T tokens.
"""

from __future__ import annotations

import random
from dataclasses import replace

from lab.config import DataConfig
from lab.data.batches import Batch, Cursor, pad_lessons
from lab.data.curriculum.lessons import LEVELS, make_exchanges
from lab.text import Lesson, Template

POOL = 2048  # lessons made and sorted together
GROWTH = (4, 16, 48)  # pools before each next level of LEVELS
VALIDATION_SEED = "validation"


class LessonBatches:
    """Endless batches of lessons from `cursor` on; `cursor` is always the place of the next batch."""

    def __init__(self, config: DataConfig, seed: int | str, template: Template, cursor: Cursor | None = None) -> None:
        self.seed, self.template = seed, template
        self.length, self.tokens = config.seq_len, config.seq_len * config.batch_size
        self.cursor = cursor or Cursor()
        self._pool: tuple[int, list[list[Lesson]]] | None = None

    def next(self) -> Batch:
        """Give the next batch, of at most seq_len × batch_size tokens."""
        place = self.cursor
        if self._pool is None or self._pool[0] != place.block:
            self._pool = (place.block, self._make(place.block))
        batches = self._pool[1]
        last = place.position + 1 == len(batches)
        self.cursor = Cursor(block=place.block + 1) if last else replace(place, position=place.position + 1)
        return pad_lessons(batches[place.position], self.template)

    def _make(self, block: int) -> list[list[Lesson]]:
        rng = random.Random(f"{self.seed} {block}")
        level = sum(block >= step for step in GROWTH) if isinstance(self.seed, int) else len(LEVELS) - 1
        made = (self.template.lesson(*make_exchanges(rng, level)) for _ in range(POOL))
        lessons = sorted((lesson for lesson in made if len(lesson) <= self.length), key=len)
        batches: list[list[Lesson]] = [[]]
        for lesson in lessons:
            if (len(batches[-1]) + 1) * len(lesson) > self.tokens:
                batches.append([])
            batches[-1].append(lesson)
        rng.shuffle(batches)
        return batches
