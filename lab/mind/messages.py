"""What a person typed: whether it can be taken, and what of it is compared."""

from __future__ import annotations

import re

from lab.mind.replies import MindError

LONGEST = 2000  # characters of one message


def checked(text: str, what: str = "message") -> str:
    """Give a text that can be stored, without odd ends. Raises MindError for an empty, too long or binary one."""
    if len(text) > LONGEST:
        raise MindError(f"a {what} must be at most {LONGEST:,} characters; got {len(text):,}. Say it in shorter parts.")
    if any((letter < " " and letter not in "\t\n\r") or "\ud800" <= letter <= "\udfff" for letter in text):
        raise MindError(f"a {what} must be text; got control characters or half a sign. Type or paste plain text.")
    clean = " ".join(text.split())
    if not clean:
        raise MindError(f"a {what} must say something; got nothing. Type a sentence.")
    return clean


def plain(text: str) -> str:
    """The words of a text alone, to compare."""
    return re.sub(r"[^\w]+", " ", text.lower()).strip()
