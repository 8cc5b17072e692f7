"""Bytes are the tokens: any text in any language, no vocabulary to download, and bits per byte compare everywhere.

Above the 256 bytes stand marks. A mark cannot be typed: text is always data, whatever it says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

START, END, ANSWER = 256, 257, 258  # a document begins; it ends; what follows answers what came before
BYTES = 256

Tokens = NDArray[np.int64]


def encode(text: str) -> list[int]:
    """Give the UTF-8 bytes of `text`, (T,); lone surrogates are kept apart as U+FFFD."""
    return list(text.encode("utf-8", errors="replace"))


def decode(tokens: list[int]) -> str:
    """Give the text of `tokens`, without marks; bytes that are not UTF-8 show as �."""
    return bytes(token for token in tokens if token < BYTES).decode("utf-8", errors="replace")


def encode_document(text: bytes) -> Tokens:
    """Give START, the bytes, END: (T + 2,) int64."""
    return np.concatenate(([START], np.frombuffer(text, dtype=np.uint8), [END])).astype(np.int64)


def encode_answer(question: str, answer: str) -> Tokens:
    """Give START, the question, ANSWER, the answer, END, as int64."""
    return np.array([START, *encode(question), ANSWER, *encode(answer), END], dtype=np.int64)
