"""What a person typed: whether it can be taken, and how it is cut."""

from __future__ import annotations

import re

from lab.memory.index import SPELLINGS
from lab.mind.about import PERSONS, akin
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
    words, others = _beside(one, value, its), _beside(other, its, value)
    lack, lacks = _lacking(words, others), _lacking(others, words)
    doubtful = [words[i] for i in lack if i] + [others[i] for i in lacks if i]
    if (lack and lacks) or any(re.match(r"[A-Z]|.*\d", word) for word in doubtful):
        return True
    mine, yours = ([_spelt(word) for word in some if not IDLE.fullmatch(word.lower())] for some in (words, others))
    apart = [i for i, (word, its_word) in enumerate(zip(mine, yours, strict=False)) if not akin(word, its_word)]
    if len(mine) != len(yours) or len(apart) != 1:
        return False
    place = [*map(_spelt, words)].index(mine[apart[0]])
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
