"""Made-up subjects and values of every kind that relations.toml names: people, things, codes, times, prices, words.

A kind that is a list in words.toml is drawn from it. The others are put together here, so that there is no end of them
and most are never seen twice.
"""

from __future__ import annotations

import functools
import random
import re
import string
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@functools.cache
def words() -> dict[str, tuple[str, ...]]:
    """Give every list of words.toml; a list with a bar in it is cut at bars, others at spaces."""
    read: dict[str, str] = tomllib.loads((FOLDER / "words.toml").read_text(encoding="utf-8"))
    lists = {}
    for name, text in read.items():
        parts = text.replace("\n", " ").split("|") if "|" in text else text.split()
        lists[name] = tuple(part.strip() for part in parts)
    return lists


@dataclass(frozen=True)
class Value:
    """What a relation says of its subject. `key` is the part that question and statement share ("sister")."""

    text: str
    key: str = ""
    key_plain: str = ""  # the key as a question has it ("see" of "saw")


def _pick(rng: random.Random, kind: str) -> str:
    return rng.choice(words()[kind])


def made_word(rng: random.Random) -> str:
    """A word of two or three syllables that probably nobody uses."""
    word = "".join(_pick(rng, "syllable") for _ in range(rng.choice((2, 2, 3))))
    return word + rng.choice(("", "", "n", "r", "s", "x", "k", "l"))


def first_name(rng: random.Random) -> str:
    return made_word(rng).capitalize() if rng.random() < 0.25 else _pick(rng, "first_name")


def full_name(rng: random.Random) -> str:
    surname = made_word(rng).capitalize() if rng.random() < 0.25 else _pick(rng, "surname")
    return f"{first_name(rng)} {surname}" if rng.random() < 0.5 else first_name(rng)


def number(rng: random.Random) -> str:
    return str(rng.randint(2, 10 ** rng.randint(1, 3)))


def count(rng: random.Random) -> str:
    return rng.choice(
        (
            str(rng.randint(1, 30)),
            *["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        )
    )


def _shaped(rng: random.Random, shape: str) -> str:
    draw = {"d": string.digits, "u": string.ascii_uppercase, "l": string.ascii_lowercase}
    return "".join(rng.choice(draw[letter]) if letter in draw else letter for letter in shape)


def price(rng: random.Random) -> str:
    amount = rng.choice(
        (str(rng.randint(1, 99)), str(rng.randint(1, 20) * 50), f"{rng.randint(1, 49)}.{rng.randint(1, 19) * 5:02d}")
    )
    return rng.choice(
        (f"${amount}", f"{amount} euros", f"{amount} dollars", f"{amount} pounds", f"€{amount}", f"{amount} crowns")
    )


def time(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice(("00", "15", "30", "45", "05", "20", "50"))
    spoken = rng.choice(("half past", "quarter past", "quarter to", "ten past"))
    names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return rng.choice(
        (f"{hour} {rng.choice(('am', 'pm'))}", f"{hour + rng.choice((0, 11))}:{minute}", f"{hour} o'clock",
         f"{hour}:{minute} {rng.choice(('am', 'pm'))}", f"{spoken} {names[hour - 1]}", "noon", "midnight")
    )  # fmt: skip


def day(rng: random.Random) -> str:
    month, date = _pick(rng, "month"), rng.randint(1, 28)
    ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(date, "th")
    return rng.choice(
        (f"{month} {date}", f"{date} {month}", f"the {date}{ending} of {month}", f"{month} {date}{ending}",
         f"{date} {month} {rng.randint(2020, 2035)}")
    )  # fmt: skip


def title(rng: random.Random) -> str:
    pattern = rng.choice(("The {}", "The {} of {}s", "{} and {}", "A {} in the {}", "The Last {}"))
    return pattern.format(_pick(rng, "title_word"), _pick(rng, "title_word"))


def company(rng: random.Random) -> str:
    return _fill(rng, "company")


# {kind} is a value of that kind, <…> a code: d a digit, u a capital, l a small letter, all else itself
PATTERNS: dict[str, tuple[str, ...]] = {
    "titled_name": ("Dr {surname}", "Mr {surname}", "Mrs {surname}", "Ms {surname}", "Dr. {surname}"),
    "nickname": ("{Made}", "{first_name}y", "{Animal}"),
    "company": ("{company_word} {company_kind}", "{Made} {company_kind}", "{Made}", "{surname} and Sons"),
    "code": (
        "<dddd>", "<ddddd>", "<uudd>", "<u-ddd>", "<uudddd>", "<dd-dd-dd>", "<udud>", "<dddu>", "<uuu-dd>", "<u7dd>", "<Qd#d>",
    ),
    "pin": ("<dddd>", "<dddddd>"),
    "phone": ("<ddd-dddd>", "<dddddddd>", "<ddd ddd ddd>", "<+dd ddd dddd>", "<0dd dd dd dd>", "<ddd-ddd-dddd>"),
    "handle": ("{made_word}{number}", "{made_word}_{number}", "{made_word}.{number}"),
    "password": ("{made_word}{number}", "<lludddl>", "{one_colour}-{one_pet}-{number}", "{Made}!{age}"),
    "street": ("{age} {surname} Street", "{title_word} Road {age}", "{age} {Made} Lane"),
    "school": tuple(
        f"{{{name}}} {kind}"
        for name in ("surname", "city", "Made")
        for kind in ("High", "School", "College", "Academy", "University", "Primary School")
    ),
    "height": ("1.{two_digits} m", "1{two_digits} cm", "{foot} feet {inch}"),
    "seat": ("<du>", "<ddu>", "<u-dd>", "<dd>"),
    "room": ("<ddd>", "<dd>", "<udd>", "<d.dd>"),
    "bus": ("<dd>", "<d>", "<ddd>", "<udd>"),
    "club": ("the {city} {title_word}s", "FC {Made}", "{city} United"),
    "made_city": ("{Made}", "{Made}", "{Made}", "Port {Made}", "New {Made}"),
    "floor": (
        *(f"the {name} floor" for name in ("first", "second", "third", "fourth", "fifth", "top", "ground", "ninth")),
        *["floor {age}"] * 8, *["level {foot}"] * 8,
    ),
    "platform": tuple(
        f"{kind} {number}"
        for kind in ("platform", "gate", "pier", "track", "dock", "stop")
        for number in ("{foot}", "{inch}", "<ud>", "<u>")
    ),
    "score": ("<d:d>", "<d to d>", "<d-d>"),
    "phrase": ("{company_word} {title_word} {company_kind}",),
    "big_number": ("{age} million", "{number},000", "<ddddd>"),
}  # fmt: skip


def _fill(rng: random.Random, kind: str) -> str:
    pattern = rng.choice(PATTERNS[kind])
    pattern = re.sub(r"\{(\w+)\}", lambda match: make_text(match[1], rng), pattern)
    return re.sub(r"<([^<>]+)>", lambda match: _shaped(rng, match[1]), pattern)


def email(rng: random.Random) -> str:
    host = rng.choice(("mail.com", "post.org", f"{made_word(rng)}.net", "home.io"))
    return f"{first_name(rng).lower()}{rng.choice(('', '.', '_'))}{rng.choice((made_word(rng), number(rng)))}@{host}"


def _measure(*units: str) -> Callable[[random.Random], str]:
    def amount(rng: random.Random) -> str:
        return rng.choice((str(rng.randint(2, 90)), f"{rng.randint(1, 9)}.{rng.randint(1, 9)}"))

    return lambda rng: f"{amount(rng)} {rng.choice(units)}"


def _either(*kinds: str) -> Callable[[random.Random], str]:
    return lambda rng: make_text(rng.choice(kinds), rng)


def _whole(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(low, high))


TEXTS: dict[str, Callable[[random.Random], str]] = {
    **{kind: functools.partial(_fill, kind=kind) for kind in PATTERNS},
    "first_name": first_name, "full_name": full_name, "made_word": made_word, "count": count, "price": price, "time": time,
    "day": day, "email": email, "number": number,
    "Made": lambda rng: made_word(rng).capitalize(),
    "Animal": lambda rng: _pick(rng, "animal").capitalize(),
    "surname": lambda rng: make_text("Made", rng) if rng.random() < 0.3 else _pick(rng, "surname"),
    "city": lambda rng: make_text("Made", rng) if rng.random() < 0.2 else _pick(rng, "city"),
    "title": lambda rng: make_text("Made", rng) if rng.random() < 0.17 else title(rng),
    "one_colour": lambda rng: _pick(rng, "colour").replace(" ", ""), "one_pet": lambda rng: _pick(rng, "pet").replace(" ", ""),
    "age": _whole(1, 99), "year": _whole(1500, 2030), "two_digits": _whole(40, 99), "foot": _whole(1, 9), "inch": _whole(1, 30),
    "kilos": _measure("kg", "kilos", "pounds", "tons", "grams"), "length": _measure("cm", "m", "metres", "inches", "feet"),
    "distance": _measure("km", "miles", "minutes on foot", "metres", "blocks"),
    "duration": _measure("minutes", "hours", "days", "weeks"), "kind": _either("made_kind"),
    "liked": _either("food", "drink", "hobby", "sport", "things"),
    "attribute_value": _either("attribute_is", "number", "code", "first_name", "colour", "made_word", "day", "time", "object"),
}  # fmt: skip


def make_text(kind: str, rng: random.Random) -> str:
    """Make a value of `kind` as text."""
    return TEXTS[kind](rng) if kind in TEXTS else _pick(rng, kind)


def make_value(kind: str, rng: random.Random) -> Value:
    """Make a value of `kind`, with its key where the kind has one."""
    if kind == "kin_pair":
        return Value(full_name(rng), rng.choice((_pick(rng, "kin"), _pick(rng, "role"))))
    if kind == "counted":
        return Value(count(rng), _pick(rng, "countable"))
    if kind == "pair":
        text = rng.choice((_pick(rng, "favourite_is"), made_word(rng).capitalize(), _pick(rng, "attribute_is")))
        return Value(text, _pick(rng, "favourite_of"))
    if kind == "attribute":
        return Value(make_text("attribute_value", rng), _pick(rng, "attribute"))
    if kind == "nonsense":
        return Value(make_text("attribute_value", rng), made_word(rng))
    if kind == "verb_pair":
        did, do = _pick(rng, "verb").split("/")
        return Value(
            rng.choice(
                (
                    f"{rng.choice(('the', 'my', 'a'))} {_pick(rng, 'thing_noun')}",
                    _pick(rng, "things"),
                    _pick(rng, "food"),
                    f"{first_name(rng)}'s {_pick(rng, 'thing_noun')}",
                )
            ),
            did,
            do,
        )
    if kind == "done_by":
        return Value(
            rng.choice((first_name(rng), full_name(rng), f"my {_pick(rng, 'kin')}", f"the {_pick(rng, 'job')}")),
            _pick(rng, "done"),
        )
    return Value(make_text(kind, rng))
