"""Bytes are the tokens: any text in any language, no vocabulary to download.

Above the 256 bytes stand marks, and room for one more. A mark cannot be typed: text is always data, whatever it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lab.text.contract import I_DO_NOT_KNOW, Tokens

BYTES = 256
MARKS = {"start": 256, "end": 257, "answer": 258, "note": 259, "unknown": 260, "quiz": 261, "sort": 262}
SPOKEN = {MARKS["unknown"]: I_DO_NOT_KNOW}  # the mark that is said aloud


class Bytes:
    """See the contract."""

    name: ClassVar[str] = "bytes"
    size = 264
    marks: Mapping[str, int] = MARKS

    @property
    def bytes_of(self) -> NDArray[np.int32]:
        return (np.arange(self.size) < BYTES).astype(np.int32)

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", errors="replace"))

    def pack(self, raw: bytes) -> Tokens:
        return np.frombuffer(raw, dtype=np.uint8).astype(np.int64)

    def decode(self, tokens: Sequence[int], marks: Mapping[int, str] = SPOKEN) -> str:
        parts = (bytes([token]) if token < BYTES else marks.get(token, "").encode() for token in tokens)
        return b"".join(parts).decode("utf-8", errors="replace")

    def save(self, folder: Path) -> None:
        """Nothing is needed beside the name, which `save_template` writes."""
