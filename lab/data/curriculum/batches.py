"""Batches of whole lessons: a lesson is never cut, since an answer without its notes would teach guessing.

Lessons are made a pool at a time, laid side by side by length, and padded. The place is (pool, batch in the pool).
Letters: B lessons, T tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lab.config import DataConfig
from lab.data.batches import Cursor
from lab.data.curriculum.lessons import LEVELS, make_lesson
from lab.data.tokenizer import ANSWER, END, NOTE, QUIZ, SORT, START

POOL = 2048  # lessons made and sorted together
GROWTH = (4, 16, 48)  # pools before each next level of LEVELS
VALIDATION_SEED = "validation"
ELSEWHERE = 0.1  # weight of a token that belongs to no answer


class LessonBatches:
    """Endless batches of lessons from `cursor` on; `cursor` is always the place of the next batch."""

    def __init__(self, config: DataConfig, seed: int | str, cursor: Cursor | None = None) -> None:
        self.seed, self.length, self.tokens = seed, config.seq_len, config.seq_len * config.batch_size
        self.cursor = cursor or Cursor()
        self._pool: tuple[int, list[list[list[int]]]] | None = None

    def next(self) -> Tensor:
        """Give the next batch, (B, T) int64, of at most seq_len × batch_size tokens; short lessons end in ENDs."""
        place = self.cursor
        if self._pool is None or self._pool[0] != place.block:
            self._pool = (place.block, self._make(place.block))
        batches = self._pool[1]
        last = place.position + 1 == len(batches)
        self.cursor = Cursor(block=place.block + 1) if last else replace(place, position=place.position + 1)
        return pad(batches[place.position])

    def _make(self, block: int) -> list[list[list[int]]]:
        rng = random.Random(f"{self.seed} {block}")
        level = sum(block >= step for step in GROWTH) if isinstance(self.seed, int) else len(LEVELS) - 1
        made = (make_lesson(rng, level) for _ in range(POOL))
        lessons = sorted((lesson for lesson in made if len(lesson) <= self.length), key=len)
        batches: list[list[list[int]]] = [[]]
        for lesson in lessons:
            if (len(batches[-1]) + 1) * len(lesson) > self.tokens:
                batches.append([])
            batches[-1].append(lesson)
        rng.shuffle(batches)
        return batches


def pad(lessons: Sequence[Sequence[int]]) -> Tensor:
    """Lessons side by side, (B, T) int64, the short ones filled with END."""
    batch = np.full((len(lessons), max(map(len, lessons))), END, dtype=np.int64)
    for row, lesson in zip(batch, lessons, strict=True):
        row[: len(lesson)] = lesson
    return torch.from_numpy(batch)


def weigh(batch: Tensor) -> Tensor:
    """batch (B, T) → the weight of each target batch[:, 1:], (B, T - 1): answers 1, padding 0, all else ELSEWHERE."""
    read, target = batch[:, :-1], batch[:, 1:]
    places = torch.arange(read.shape[1], device=batch.device).expand_as(read)
    opens = (read == ANSWER) | (read == QUIZ)
    closes = (read == END) | (read == START) | (read == NOTE) | (read == SORT)
    last_open = places.where(opens, places.new_tensor(-1)).cummax(1).values
    last_close = places.where(closes, places.new_tensor(-1)).cummax(1).values
    weights = torch.where(last_open > last_close, 1.0, ELSEWHERE)
    return weights.masked_fill((read == END) & (target == END), 0.0)
