"""About: whom and what a text is about, as far as its words show, and what of it another text lacks."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

PERSONS = {
    "i": "i", "im": "i", "me": "i", "my": "i", "mine": "i", "you": "you", "your": "you", "yours": "you",
}  # fmt: skip
OWNING = frozenset({"my", "mine", "your", "yours"})
OWNED = re.compile(r"\b(?:my|your|our|his|her|its|their) ([^\W_]+)")
OWNER = re.compile(r"([^\W_]+)'s\b")
# an owner's apostrophe may be left out: my moms birthday
KIN = (
    "mother|mum|mom|father|dad|parent|sister|brother|wife|husband|partner|son|daughter|kid|uncle|aunt|cousin|nephew|niece|grand[a-z]+|"
    "girlfriend|boyfriend|friend|boss|neighbou?r|teacher|doctor|dentist|dog|cat"
)
CARELESS_OWNER = re.compile(rf"\b(?:my|your|our|his|her|their) (?:[^\W_]+ )?({KIN})s(?= [^\W_])")
# "it's" and "what's" are no owner's
NO_OWNER = frozenset({"what", "who", "where", "when", "how", "there", "here", "it", "that", "he", "she", "let"})
SUBJECT = re.compile(r"\b(?:does|did) ([^\W_]+)(?<!ing)\b")  # names as people type them: what does anna like
NO_NAME = frozenset({
    "my", "your", "our", "his", "her", "its", "their", "the", "a", "an", "he", "she", "it", "we", "they", "this", "that", "one",
    "someone", "somebody", "anyone", "everyone", "everybody", "all", "people", "first",
})  # fmt: skip
THING = re.compile(r"\b(?:the|a|an) ([^\W_]+)")
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class About:
    """Whom and what a text is about; all words in small letters."""

    words: frozenset[str]  # Tom's is there as tom and as toms
    persons: frozenset[str]  # I and you
    owning: frozenset[str]  # those of them that own something: my, your
    names: frozenset[str]  # words with a capital letter, but for the first, and whoever does something in a question
    numbers: frozenset[str]  # words with a digit
    owners: frozenset[str]  # the niece of "my niece's cat"
    owned: frozenset[str]  # the niece of "my niece's cat" and of "my niece"
    things: frozenset[str]  # the bank of "the bank"

    @property
    def others(self) -> bool:
        """Whether it is about somebody or something beside I and you."""
        return bool(self.names or self.owners or self.owned or self.things)


@functools.lru_cache(maxsize=4096)
def about(text: str) -> About:
    """Whom and what a text is about."""
    text = (text.capitalize() if text.isupper() else text).replace("’", "'")  # who shouts names nobody
    low = " ".join(text.lower().split())
    spoken = WORD.findall(text.replace("'s", ""))
    words = frozenset(WORD.findall(low))
    careless = frozenset(WORD.findall(low.replace("'", "")))  # Tom's is typed toms as well
    said = frozenset(word.lower() for word in spoken)
    return About(
        words | careless, frozenset(PERSONS[word] for word in said & PERSONS.keys()), frozenset(PERSONS[word] for word in said & OWNING),
        frozenset(word.lower() for word in spoken[1:] if word[0].isupper() and word.lower() not in PERSONS)
        | frozenset(SUBJECT.findall(low)) - NO_NAME - PERSONS.keys(),
        frozenset(word for word in words if any(map(str.isdigit, word))),
        frozenset((*OWNER.findall(low), *CARELESS_OWNER.findall(low))) - NO_OWNER,
        frozenset(OWNED.findall(low)), frozenset(THING.findall(low)),
    )  # fmt: skip


def lacking(words: Iterable[str], other: About) -> bool:
    """Whether any of `words` does not stand in the other text, in another form either: toms is Tom's."""
    return any(f"{word}s" not in other.words and not any(akin(word, one) for one in other.words) for word in words)


def owners_differ(one: About, other: About) -> bool:
    """Whether one text is about what somebody owns whom the other does not name: my mom's birthday, my birthday."""
    return lacking(one.owners, other) or lacking(other.owners, one)


def akin(one: str, other: str) -> bool:
    """Whether two words are the same but for an ending: contain, contains."""
    short, long = sorted((one, other), key=len)
    return long == short or (len(short) >= 4 and long.startswith(short) and len(long) <= len(short) + 3)
