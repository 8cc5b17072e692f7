"""Bytes are the tokens: any text in any language, no vocabulary to download, and bits per byte compare everywhere.

Above the 256 bytes stand marks. A mark cannot be typed: text is always data, whatever it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

START, END, ANSWER = 256, 257, 258  # a document or question begins; it ends; what follows answers what came before
NOTE, UNKNOWN = 259, 260  # a note begins; "I have not learned that yet." in one token
QUIZ, SORT = 261, 262  # what can be asked of this note; is it told or asked
BYTES = 256
I_DO_NOT_KNOW = "I have not learned that yet."
SPOKEN = {UNKNOWN: I_DO_NOT_KNOW}  # marks that are said aloud
DRAWN = {**SPOKEN, ANSWER: " → ", NOTE: "• ", QUIZ: " ⇒ ", START: " ", SORT: "sort: "}  # to look at

Tokens = NDArray[np.int64]


def encode(text: str) -> list[int]:
    """Give the UTF-8 bytes of `text`, (T,); lone surrogates are kept apart as U+FFFD."""
    return list(text.encode("utf-8", errors="replace"))


def decode(tokens: Sequence[int], marks: Mapping[int, str] | None = None) -> str:
    """Give the text of `tokens`; bytes that are not UTF-8 show as �, marks as `marks` says or not at all."""
    shown = {mark: text.encode() for mark, text in (marks or SPOKEN).items()}
    parts = (bytes([token]) if token < BYTES else shown.get(token, b"") for token in tokens)
    return b"".join(parts).decode("utf-8", errors="replace")


def encode_document(text: bytes) -> Tokens:
    """Give START, the bytes, END: (T + 2,) int64."""
    return np.concatenate(([START], np.frombuffer(text, dtype=np.uint8), [END])).astype(np.int64)


def encode_answer(question: str, answer: str) -> Tokens:
    """Give START, the question, ANSWER, the answer, END, as int64."""
    return np.array([START, *encode(question), ANSWER, *encode(answer), END], dtype=np.int64)


def encode_notes(notes: Sequence[str]) -> list[int]:
    """Give each note after a NOTE mark, oldest first; what reads them goes on with START and a question."""
    return [token for note in notes for token in (NOTE, *encode(note))]
