"""Subjects in English: whether two statements are about one thing, by the words that tell one of several things from the next."""

from __future__ import annotations

import re

from lab.memory.index import SPELLINGS
from lab.mind.language.about import PERSONS, akin

SPELT = SPELLINGS | {"s": "is", "m": "am", "re": "are", "ve": "have", "ll": "will"}  # what's: what is
FIXED = re.compile(  # words that tell one of several things from the next
    r".*\d.*|(mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|november|"
    r"december|spring|summer|autumn|winter|first|second|third|(four|fif|six|seven|eigh|nin|ten)th|last|one|two|three|four|five|six|seven|"
    r"eight|nine|ten|eleven|twelve|left|right|upper|lower|top|bottom|north|south|east|west|today|tomorrow|yesterday|morning|noon|"
    r"afternoon|evening|night"
)
IDLE = re.compile(  # words in which statements about one thing may differ
    r"now|currently|actually|just|again|still|anymore|longer|no|not|instead|really|new|newest|changed|the|a|an|to|in|on|at"
)
BEING = ("is", "are", "was", "were", "has")
BEFORE_THINGS = re.compile("the|an?|my|your|his|her|our|their|of|for")
SINCE = frozenset({"since", "from", "until", "till", "starting", "as"})  # what comes then says when it is so
TOKEN = re.compile(r"[^\W_]+(?:[.:][^\W_]+)*")


def fixed_words(text: str) -> set[str]:
    """The words of a text that tell one of several things from the next: numbers, days, months, ordinals."""
    return {word for word in TOKEN.findall(text.lower()) if FIXED.fullmatch(word)}


def other_subject(one: str, value: str, other: str, its: str) -> bool:
    """Whether two statements, with what each says, are about two things: beside that they differ in a number, a name, a date or an
    ordinal, or, where all other words are the same, in a thing. One that only one of them has is a doubt, and counts too."""
    mine, theirs = (fixed_words(" ".join(_beside(text, said))) for text, said in ((one, value), (other, its)))
    if mine - theirs and theirs - mine:  # also where what the one says is what the other is about
        return True
    words, others = _beside(one, value, its), _beside(other, its, value)
    lack, lacks = _lacking(words, others), _lacking(others, words)
    doubtful = [words[i] for i in lack if i] + [others[i] for i in lacks if i]
    if (lack and lacks) or any(re.match(r"[A-Z]|.*\d", word) for word in doubtful):
        return True
    own, its_own = ([_spelt(word) for word in some if not IDLE.fullmatch(word.lower())] for some in (words, others))
    apart = [i for i, (word, its_word) in enumerate(zip(own, its_own, strict=False)) if not akin(word, its_word)]
    if len(own) != len(its_own) or len(apart) != 1:
        return False
    place = [*map(_spelt, words)].index(own[apart[0]])
    before, after = ("".join(words[max(0, i) : i + 1]).lower() for i in (place - 1, place + 1))
    return BEFORE_THINGS.fullmatch(before) is not None or after in BEING


def _spelt(word: str) -> str:
    return SPELT.get(word.lower(), word.lower())


def _beside(text: str, *values: str) -> list[str]:
    """The words of a text without those of the values, where they stand together."""
    words = TOKEN.findall(_unowned(text))
    for value in values:
        gone = TOKEN.findall(_unowned(value.lower()))
        for i in range(len(words) - len(gone), -1, -1):
            if gone and [word.lower() for word in words[i : i + len(gone)]] == gone:
                del words[i : i + len(gone)]
                break
    return words


def _unowned(text: str) -> str:
    return text.replace("'s", "").replace("’s", "")


def _lacking(words: list[str], others: list[str]) -> list[int]:
    """Where numbers, names, dates and ordinals stand that the other statement lacks; the first word may be a name."""
    known = [*map(_spelt, others)]
    return [
        i
        for i, word in enumerate(words)
        if (FIXED.fullmatch(word.lower()) or word[0].isupper())
        and not IDLE.fullmatch(word.lower())
        and word.lower() not in (*PERSONS, *BEING)
        and not any(akin(_spelt(word), one) for one in known)
        and not (i and words[i - 1].lower() in SINCE)
    ]
