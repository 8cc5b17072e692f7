"""English as people type it."""

from __future__ import annotations

import functools
import re

from lab.data.curriculum.lessons import small_talk
from lab.memory.index import likeness
from lab.mind.language import subjects
from lab.mind.language.subjects import SPELT

SENTENCE = 160  # bytes; a longer message is cut into its sentences, a trace each
SMALL_TALK = 0.8  # likeness to a phrase of small talk from which on a text is one
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
CLAUSES = re.compile(r"\s*(?:[,;]|\band\b|\bbut\b)\s*", re.I)
CLAUSE = re.compile(r"(i|im|my|we|our|you|your|he|his|she|her|it|its|they|their|the)\b(\W+\w+){2}", re.I)


@functools.cache
def _phrases() -> tuple[str, ...]:
    """What people say in small talk."""
    return tuple(phrase for heard, _ in small_talk().values() for phrase in heard)


class English:
    """See the contract, Language."""

    def sentences(self, text: str) -> list[str]:
        if len(text.encode("utf-8", "replace")) <= SENTENCE:
            return [text]
        return [part for part in re.split(r"(?<=[.!?;])\s+(?=\S)", text) if part]

    def looks_asked(self, text: str) -> bool:
        return text.rstrip().endswith("?") or ASKS.match(text) is not None

    def looks_told(self, text: str) -> bool:
        return TELLS.match(text) is not None

    def is_small_talk(self, text: str) -> bool:
        return max(likeness(text, phrase) for phrase in _phrases()) >= SMALL_TALK

    def may_be_many(self, text: str) -> bool:
        return MANY.search(text) is not None

    def says_more(self, text: str, answer: str) -> bool:
        """ "My name is Alice and I live in Oslo." """
        clauses = [(answer.lower() in clause.lower(), clause) for clause in CLAUSES.split(text)]
        return any(has for has, _ in clauses) and any(not has and CLAUSE.match(clause) for has, clause in clauses)

    def differ_in_a_word(self, one: str, other: str) -> bool:
        """My film, my book; not where that word is only written in another way: my colour, my color; what is, what's."""
        a, b = (
            [SPELT.get(word, word) for word in re.sub(r"[^\w]+", " ", text.lower()).split()] for text in (one, other)
        )
        return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1

    fixed_words = staticmethod(subjects.fixed_words)
    other_subject = staticmethod(subjects.other_subject)
