"""What a person typed: whether it can be taken, and how it is cut."""

from __future__ import annotations

import re

from lab.memory.index import SPELLINGS
from lab.mind.replies import MindError

LONGEST = 2000  # characters of one message
SENTENCE = 160  # bytes; a longer message is cut into its sentences, a trace each
ASKS = re.compile(
    r"^(what|who|whom|whose|where|when|which|why|how|do you know|tell me|can you tell|remind me|what's|whats|whos)\b",
    re.I,
)

TELLS = re.compile(
    r"^((hi|hello|hey)\W+)?(i|im|we|my|our|call me)\b(?! (do not|don['’]?t|dont) )(?! (see|understand)\b)", re.I
)

MANY = re.compile(
    r"\b(like|love|enjoy|hate|dislike|stand|play|speak|collect|own|keep|know|buy|bought|sell|make|need|fear|afraid|allergic|"
    r"allergy|pet|hobby|saw|ate|found|built|sold|broke|met|visited|friend|went)(s|es)?\b", re.I,
)  # fmt: skip


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


def sentences(text: str) -> list[str]:
    """Cut a long message into its sentences, a trace each; a short one stays whole."""
    if len(text.encode("utf-8", "replace")) <= SENTENCE:
        return [text]
    return [part for part in re.split(r"(?<=[.!?;])\s+(?=\S)", text) if part]


def plain(text: str) -> str:
    """The words of a text alone, to compare."""
    return re.sub(r"[^\w]+", " ", text.lower()).strip()


SPELT = SPELLINGS | {"s": "is", "m": "am", "re": "are", "ve": "have", "ll": "will"}  # what's: what is


def differ_in_a_word(one: str, other: str) -> bool:
    """Whether two questions are the same but for one word, so that they ask for two things: my film, my book; not where that
    word is only written in another way: my colour, my color; what is, what's."""
    a, b = ([SPELT.get(word, word) for word in plain(text).split(" ")] for text in (one, other))
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1


def looks_asked(text: str) -> bool:
    """Whether a text begins or ends as questions do."""
    return text.rstrip().endswith("?") or ASKS.match(text) is not None


def looks_told(text: str) -> bool:
    """Whether a text begins as people do who tell of themselves."""
    return TELLS.match(text) is not None


def may_be_many(text: str) -> bool:
    """Whether a statement is of a kind that can be true of several things at once."""
    return MANY.search(text) is not None


CLAUSES = re.compile(r"\s*(?:[,;]|\band\b|\bbut\b)\s*", re.I)
CLAUSE = re.compile(r"(i|im|my|we|our|you|your|he|his|she|her|it|its|they|their|the)\b(\W+\w+){2}", re.I)


def says_more(text: str, answer: str) -> bool:
    """Whether a statement says something beside the clause that has `answer`: "My name is Alice and I live in Oslo." """
    clauses = [(answer.lower() in clause.lower(), clause) for clause in CLAUSES.split(text)]
    return any(has for has, _ in clauses) and any(not has and CLAUSE.match(clause) for has, clause in clauses)
