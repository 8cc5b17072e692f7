"""The recall index: finds the traces that are most like a question, exactly, by their character n-grams.

Words are cut into n-grams of 3 to 5 letters between spaces, which forgives case, endings and typing errors. A text's
vector has tf weights and length 1; the score is its product with the question's, weighted with squared idf, and 1 for
the same text, however many there are. Postings are plain arrays, so 100,000 traces are searched in milliseconds without
an approximation; those of the texts that a mind opens with are built at once, by one product of sparse matrices (texts by
words, words by n-grams). Beside its own text a trace may have cues: questions that the brain found in it, which is the brain's
own encoding of it, in words; the best of text and cues counts.
Letters: N texts, K features of the query.
"""

from __future__ import annotations

import math
import re
import threading
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

GRAMS = (3, 4, 5)
COMMON = 0.25  # an n-gram that more than this share of many texts has says nothing
MANY = 2000
OTHERS = 400  # texts that are imagined beside those that are there: what two notes share need not be common
STOP = frozenset("is the a an of to do does did what who where when which how are am was be it in on at for".split())  # noqa: SIM905
WORD = re.compile(r"[^\W_]+")
SPELLINGS = {
    "favorite": "favourite", "color": "colour", "neighbor": "neighbour", "movie": "film", "whats": "what",
    "wheres": "where", "whos": "who", "my": "i", "me": "i", "mine": "i", "your": "you", "im": "i",
}  # fmt: skip


def features(text: str) -> Counter[int]:
    """Count the hashed n-grams and words of a text."""
    found: Counter[int] = Counter()
    for word in WORD.findall(_plain(text)):
        word = SPELLINGS.get(word, word)
        found[_hash("=" + word)] += _weight(word)
        for gram in _grams(word):
            found[_hash(gram)] += 1
    return found


def _plain(text: str) -> str:
    return text.lower().replace("'s", "").replace("’s", "")


def _weight(word: str) -> int:
    return 1 if word in STOP else 3


def _grams(word: str) -> list[str]:
    """The n-grams of a word; none of one that says little."""
    padded = f" {word} "
    return [] if word in STOP else [padded[i : i + n] for n in GRAMS for i in range(len(padded) - n + 1)]


def likeness(one: str, other: str) -> float:
    """The cosine of two texts' n-grams, 0 to 1."""
    a, b = features(one), features(other)
    length = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return sum(n * b[feature] for feature, n in a.items()) / length if length else 0.0


def _hash(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "replace"))


class RecallIndex:
    """Texts under keys; a key may have several texts. Nothing here is on disk: it is made anew when a mind opens.

    Threads may share it: one that adds and one that searches wait for each other.
    """

    def __init__(self, texts: Mapping[int, Sequence[str]] | None = None) -> None:
        """Begin with the texts of each key; they are read when somebody first searches, all at once."""
        self._lock = threading.Lock()
        self._postings: dict[int, tuple[array[int], array[float]]] = {}  # of what was added since
        self._first = sparse.csc_array((0, 0), dtype=np.float32)  # of the texts that it began with: (N, n-grams)
        self._features = np.zeros(0, dtype=np.int64)  # its columns, in order
        self._keys = array("q")
        self._alive = bytearray()
        self._rows: dict[int, list[int]] = {}
        self._unread: list[str] = []  # its texts, until somebody searches
        for key, own in (texts or {}).items():
            self._rows[key] = [*range(len(self._unread), len(self._unread) + len(own))]
            self._keys.extend([key] * len(own))
            self._unread += own
        self._alive.extend(b"\1" * len(self._keys))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: int, texts: Iterable[str]) -> None:
        """Let `key` be found by each of `texts`, beside those it has."""
        for text in filter(None, texts):
            counts = features(text)
            length = math.sqrt(sum((1 + math.log(n)) ** 2 for n in counts.values())) or 1.0
            with self._lock:
                row = len(self._keys)
                self._keys.append(key)
                self._alive.append(1)
                self._rows.setdefault(key, []).append(row)
                for feature, n in counts.items():
                    rows, weights = self._postings.setdefault(feature, (array("i"), array("f")))
                    rows.append(row)
                    weights.append((1 + math.log(n)) / length)

    def remove(self, key: int) -> None:
        """Let `key` never be found again; unknown keys are fine."""
        with self._lock:
            for row in self._rows.pop(key, []):
                self._alive[row] = 0

    def search(self, text: str, count: int) -> list[tuple[int, float]]:
        """Give up to `count` keys with their scores, from 0 to about 1, best first."""
        with self._lock:  # an array that is looked at cannot grow
            return self._search(text, count)

    def _search(self, text: str, count: int) -> list[tuple[int, float]]:
        if self._unread:
            self._first, self._features = _weights_of(self._unread)
            self._unread = []
        total = len(self._keys)
        if not total or not self._rows:
            return []
        scores = self._lexical(text, total)
        near = np.flatnonzero(scores)
        near = near[np.frombuffer(self._alive, dtype=np.uint8)[near] > 0]
        wanted = min(len(near), 8 * count + 8)
        best = near[np.argpartition(scores[near], len(near) - wanted)[len(near) - wanted :]] if wanted else near
        keys = np.frombuffer(self._keys, dtype=np.int64)
        found: dict[int, float] = {}
        for row in best[np.lexsort((best, scores[best]))[::-1]]:  # of equal scores the newest first
            found.setdefault(int(keys[row]), float(scores[row]))
        return list(found.items())[:count]

    def _lexical(self, text: str, total: int) -> NDArray[np.float64]:
        """How much of the query's tf·idf weight each text has, (N,)."""
        rows_found, weights_found = list[NDArray[np.int32]](), list[NDArray[np.float32]]()
        length = whole = 0.0
        asked = features(text)
        columns = np.searchsorted(self._features, [*asked])
        for (feature, n), column in zip(asked.items(), columns, strict=True):
            found = [(np.frombuffer(r, np.int32), np.frombuffer(w, np.float32)) for r, w in self._added(feature)]
            if column < len(self._features) and self._features[column] == feature:
                begin, end = self._first.indptr[column : column + 2]
                found.append((self._first.indices[begin:end], self._first.data[begin:end]))
            among = sum(len(rows) for rows, _ in found)
            rarity, tf = math.log(1 + (total + OTHERS) / (1 + among)), 1 + math.log(n)
            length, whole = length + tf**2, whole + (tf * rarity) ** 2
            if total <= MANY or among <= COMMON * total:
                rows_found += [rows for rows, _ in found]
                weights_found += [weights * np.float32(tf * rarity**2) for _, weights in found]
        if not rows_found:
            return np.zeros(total)
        rows_all, weights_all = np.concatenate(rows_found), np.concatenate(weights_found)
        return np.bincount(rows_all, weights=weights_all, minlength=total) * np.float64(math.sqrt(length) / whole)

    def _added(self, feature: int) -> list[tuple[array[int], array[float]]]:
        found = self._postings.get(feature)
        return [found] if found else []


def _weights_of(texts: Sequence[str]) -> tuple[sparse.csc_array, NDArray[np.int64]]:
    """The tf weights of texts, each of length 1, (N, F) float32, and the F features in order."""
    lines = _plain("\n".join(text.replace("\n", " ") for text in texts)).split("\n")
    spoken, words = _counts(map(WORD.findall, lines))
    spelt = [SPELLINGS.get(word, word) for word in words]
    by_word, grams = _counts([f"={word}", *_grams(word)] for word in spelt)
    found, column = np.unique(np.array([*map(_hash, grams)], np.int64), return_inverse=True)
    by_word.indices = column.astype(np.int32)[by_word.indices]
    by_word.data[by_word.indptr[:-1]] = [_weight(word) for word in spelt]
    weights = spoken @ by_word
    weights.data = 1 + np.log(weights.data)
    rows = np.repeat(np.arange(len(texts)), np.diff(weights.indptr))
    weights.data /= np.sqrt(np.bincount(rows, weights.data**2))[rows]
    return weights.tocsc(), found


def _counts(rows: Iterable[Sequence[str]]) -> tuple[sparse.csr_array, list[str]]:
    """What stands in each row, (N, M) float32, one entry for each time, and the M strings that stand anywhere."""
    numbers: dict[str, int] = {}
    places, ends = array("i"), array("i", [0])  # no list of a row is kept: many small ones are slow to collect
    for row in rows:
        places.extend([numbers.setdefault(one, len(numbers)) for one in row])
        ends.append(len(places))
    ones, shape = np.ones(len(places), np.float32), (len(ends) - 1, len(numbers))
    return sparse.csr_array((ones, np.array(places), np.array(ends)), shape=shape), [*numbers]
