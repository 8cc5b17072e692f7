"""What is English, Korean …: how people tell and ask. A language is a file here; a reader says which one it reads."""

from __future__ import annotations

from typing import Protocol

from lab.mind.language.english import English


class Language(Protocol):
    """What the words of a message show, before any brain reads it."""

    def sentences(self, text: str) -> list[str]:
        """Cut a long message into its sentences, a trace each; a short one stays whole."""

    def looks_asked(self, text: str) -> bool:
        """Whether a text begins or ends as questions do."""

    def looks_told(self, text: str) -> bool:
        """Whether a text begins as people do who tell of themselves."""

    def is_small_talk(self, text: str) -> bool:
        """Whether a text is a phrase of small talk, or nearly."""

    def may_be_many(self, text: str) -> bool:
        """Whether a statement is of a kind that can be true of several things at once."""

    def says_more(self, text: str, answer: str) -> bool:
        """Whether a statement says something beside the clause that has `answer`."""

    def differ_in_a_word(self, one: str, other: str) -> bool:
        """Whether two texts are the same but for one word, so that they are about two things."""

    def fixed_words(self, text: str) -> set[str]:
        """The words of a text that tell one of several things from the next: numbers, days, months, ordinals."""

    def other_subject(self, one: str, value: str, other: str, its: str) -> bool:
        """Whether two statements, with what each says, are about two things; a doubt counts too."""


ENGLISH: Language = English()

__all__ = ["ENGLISH", "Language"]
