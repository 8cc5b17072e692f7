"""The recall index: finds the traces that are most like a question, exactly, by their character n-grams.

Words are cut into n-grams of 3 to 5 letters between spaces, which forgives case, endings and typing errors. A text's
vector has tf weights and length 1; the score is its product with the question's, weighted with squared idf, and 1 for
the same text, however many there are. Postings are plain arrays, so 100,000 traces are searched in milliseconds without
an approximation. Beside its own text a trace may have cues: questions that the brain found in it, which is the brain's
own encoding of it, in words; the best of text and cues counts.
Letters: N texts, K features of the query.
"""

from __future__ import annotations

import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GRAMS = (3, 4, 5)
COMMON = 0.25  # an n-gram that more than this share of many texts has says nothing
MANY = 2000
OTHERS = 400  # texts that are imagined beside those that are there: what two notes share need not be common
STOP = frozenset("is the a an of to do does did what who where when which how are am was be it in on at for".split())  # noqa: SIM905
SPELLINGS = {
    "favorite": "favourite", "color": "colour", "neighbor": "neighbour", "movie": "film", "whats": "what",
    "wheres": "where", "whos": "who", "my": "i", "me": "i", "mine": "i", "your": "you", "im": "i",
}  # fmt: skip


def features(text: str) -> Counter[int]:
    """Count the hashed n-grams and words of a text."""
    found: Counter[int] = Counter()
    for word in re.findall(r"[^\W_]+", text.lower().replace("'s", "").replace("’s", "")):
        word = SPELLINGS.get(word, word)
        weight = 1 if word in STOP else 3
        found[_hash("=" + word)] += weight
        if word in STOP:
            continue
        padded = f" {word} "
        for size in GRAMS:
            for i in range(len(padded) - size + 1):
                found[_hash(padded[i : i + size])] += 1
    return found


def likeness(one: str, other: str) -> float:
    """The cosine of two texts' n-grams, 0 to 1."""
    a, b = features(one), features(other)
    length = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return sum(n * b[feature] for feature, n in a.items()) / length if length else 0.0


def _hash(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "replace"))


class RecallIndex:
    """Texts under keys; a key may have several texts. Nothing here is on disk: it is made anew when a mind opens."""

    def __init__(self) -> None:
        self._postings: dict[int, tuple[array[int], array[float]]] = {}
        self._keys = array("q")
        self._alive = bytearray()
        self._rows: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: int, texts: Iterable[str]) -> None:
        """Let `key` be found by each of `texts`, beside those it has."""
        texts = [text for text in texts if text]
        for text in texts:
            row = len(self._keys)
            self._keys.append(key)
            self._alive.append(1)
            self._rows.setdefault(key, []).append(row)
            counts = features(text)
            length = math.sqrt(sum((1 + math.log(n)) ** 2 for n in counts.values())) or 1.0
            for feature, n in counts.items():
                rows, weights = self._postings.setdefault(feature, (array("i"), array("f")))
                rows.append(row)
                weights.append((1 + math.log(n)) / length)

    def remove(self, key: int) -> None:
        """Let `key` never be found again; unknown keys are fine."""
        for row in self._rows.pop(key, []):
            self._alive[row] = 0

    def search(self, text: str, count: int) -> list[tuple[int, float]]:
        """Give up to `count` keys with their scores, from 0 to about 1, best first."""
        total = len(self._keys)
        if not total or not self._rows:
            return []
        scores = self._lexical(text, total) * np.frombuffer(self._alive, dtype=np.uint8)
        keys = np.frombuffer(self._keys, dtype=np.int64)
        wanted = min(total, 8 * count + 8)
        best = np.argpartition(scores, total - wanted)[total - wanted :]
        found: dict[int, float] = {}
        for row in best[np.lexsort((best, scores[best]))[::-1]]:  # of equal scores the newest first
            if scores[row] > 0:
                found.setdefault(int(keys[row]), float(scores[row]))
        return list(found.items())[:count]

    def _lexical(self, text: str, total: int) -> NDArray[np.float64]:
        """How much of the query's tf·idf weight each text has, (N,)."""
        rows_found, weights_found = [], []
        length = whole = 0.0
        for feature, n in features(text).items():
            rows, weights = self._postings.get(feature, (array("i"), array("f")))
            rarity, tf = math.log(1 + (total + OTHERS) / (1 + len(rows))), 1 + math.log(n)
            length, whole = length + tf**2, whole + (tf * rarity) ** 2
            if not rows or (total > MANY and len(rows) > COMMON * total):
                continue
            rows_found.append(np.frombuffer(rows, dtype=np.int32))
            weights_found.append(np.frombuffer(weights, dtype=np.float32) * (tf * rarity**2))
        if not rows_found:
            return np.zeros(total)
        rows_all, weights_all = np.concatenate(rows_found), np.concatenate(weights_found)
        return np.bincount(rows_all, weights=weights_all, minlength=total) * np.float64(math.sqrt(length) / whole)
