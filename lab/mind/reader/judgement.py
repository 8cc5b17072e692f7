"""Judgement: how likely it is that a note answers a question, and that two notes are about one thing.

Logistic models over what a search and a brain's reading found; lab.exam.calibration fits their weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.config import ConfigError
from lab.memory.index import likeness
from lab.mind.language.about import about, lacking, owners_differ
from lab.mind.reader.contract import Found, Limits, Note, questions_alike

if TYPE_CHECKING:
    from lab.mind.reader.marks import MarksReader

EVIDENCE = (
    "always", "log-odds of knowing", "log-likeness", "names and numbers lacking", "the person lacking", "another's",
    "an owner lacking", "what is owned lacking", "a thing lacking", "log of the number of notes", "rather asked of another note",
    "log-probability of meaning the note's question", "log-probability of meaning itself",
)  # fmt: skip
ALIKE = (
    "always", "log-odds that the old note answers", "log-odds that the new note answers", "likeness of the questions", "one question",
    "its question rather asked of the new note", "that of the old note rather asked of it", "likeness of the notes",
    "the old note's question lacking",
)  # fmt: skip
ALONE = 9  # of EVIDENCE that is known of one note by itself
ONE_QUESTION = 0.99  # likeness from which on two questions are one
FLOOR = 1e-4  # a probability nearer to 0 or 1 says no more
LEAST_LIKE = 0.01
FEW = 6  # notes: among fewer a question is as often about something else
RATHER = -10.0  # nats below which a question that is asked of another note rather says no more
MEANT = -5.0  # nats below which what a question hardly means says no more
UNTOLD = -3.0  # nats, in the place of the same where a note's questions are not known: says least
CONCEIVABLE = 0.1  # belief below which a note is not believed at all, whatever else it is asked for
POSSIBLE = 0.3  # belief below which a note does not answer another's question
UNLIKE = 0.25  # likeness below which two notes, neither of which answers the other's question, are not about one thing


FILE = "judgement.json"  # beside a brain's weights; else the one beside this file, which lies between fits to several starters


@dataclass(frozen=True)
class Fitted:
    """Weights of the three models, in the order of EVIDENCE and ALIKE; `alone` has the first of EVIDENCE, of one note by itself."""

    answers: tuple[float, ...]
    alone: tuple[float, ...]
    about_one: tuple[float, ...]
    limits: Limits


def load_fitted(folder: Path | None = None) -> Fitted:
    """Read what was fitted to the brain in `folder`. Raises ConfigError for a file that is not whole."""
    own = folder / FILE if folder else None
    path = own if own and own.is_file() else Path(__file__).with_name(FILE)
    sizes = {"answers": len(EVIDENCE), "alone": ALONE, "about_one": len(ALIKE)}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: tuple(map(float, read[name])) for name in sizes}
        if {name: len(own) for name, own in weights.items()} != sizes:
            raise ValueError("another number")
        return Fitted(**weights, limits=Limits(**read.get("limits", {})))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        rule = f"{path} must hold {sizes} weights; it does not ({error})"
        raise ConfigError(f"{rule}. Fit them with python -m lab bench judgement.") from error


def evidence(reader: MarksReader, asked: Sequence[tuple[str, Found]], among: int) -> list[list[list[float]]]:
    """What speaks for each note found for each question as its answer, in the order of EVIDENCE; `among` is of how many notes.

    What comes after the first ALONE is looked at among those notes of a question that all else makes CONCEIVABLE; the others lack it,
    and all of it where even a brain without a doubt would not make them so.
    """
    best = [[[*_evidence(question, note.text, alike, 0.0)] for note, alike in found] for question, found in asked]
    rows = [[row if _conceivable(reader, row) else [] for row in own] for own in best]
    read = [
        (question, note.text, row)
        for (question, found), own in zip(asked, rows, strict=True)
        for (note, _), row in zip(found, own, strict=True)
        if row
    ]
    doubts = reader.doubts_about([(question, [text]) for question, text, _ in read])
    for (_, _, row), doubt in zip(read, doubts, strict=True):
        row[1] = _log_odds(1 - doubt)
    rivals = [
        (
            question,
            [(row, note) for row, (note, _) in zip(own, found, strict=True) if row and _conceivable(reader, row)],
        )
        for (question, found), own in zip(asked, rows, strict=True)
    ]
    asks = [reader.asking(question, note.text) for question, some in rivals if len(some) > 1 for _, note in some]
    means = [
        reader.meaning(question, its)
        for question, some in rivals
        for _, note in some
        for its in (question, *note.questions)
    ]
    sure = dict(zip((*asks, *means), reader.likely((*asks, *means)), strict=True))
    for question, some in rivals:
        likely = [sure.get(reader.asking(question, note.text), 0.0) for _, note in some]  # 0 without a rival
        for (row, note), one in zip(some, likely, strict=True):
            meant = max((sure[reader.meaning(question, its)] for its in note.questions), default=UNTOLD)
            row += [
                math.log(max(FEW, among)), max(RATHER, one - max(likely)), max(MEANT, meant),
                max(MEANT, sure[reader.meaning(question, question)]),
            ]  # fmt: skip
    return rows


def _evidence(question: str, note: str, alike: float, unknown: float) -> tuple[float, ...]:
    """The first ALONE of EVIDENCE."""
    asked, told = about(question), about(note)
    strangers = not asked.persons & told.persons
    return (
        1.0,
        _log_odds(1 - unknown),
        math.log(min(max(alike, LEAST_LIKE), 1.0)),
        float(sum(f"{one}s" not in told.words for one in (asked.names | asked.numbers) - told.words)),
        float(bool(asked.persons) and strangers and bool(asked.owning or not asked.others)),  # my PIN is not hers
        float(bool(told.owning) and strangers),  # nor are hers mine
        float(owners_differ(asked, told)),
        float(lacking(asked.owned, told)) + lacking(told.owned, asked),
        float(lacking(asked.things, told)) + lacking(told.things, asked),
    )


def beliefs(reader: MarksReader, asked: Sequence[tuple[str, Found]], among: int) -> list[list[float]]:
    """The probability that each note found for each question answers it, `among` so many; 0 where that is not CONCEIVABLE."""
    full = len(EVIDENCE)
    return [
        [_logistic(reader.fitted.answers, one) if len(one) == full else 0.0 for one in rows]
        for rows in evidence(reader, asked, among)
    ]


def _conceivable(reader: MarksReader, row: Sequence[float]) -> bool:
    return _logistic(reader.fitted.alone, row[:ALONE]) >= CONCEIVABLE


def _log_odds(p: float) -> float:
    p = min(max(p, FLOOR), 1 - FLOOR)
    return math.log(p / (1 - p))


def _logistic(weights: Sequence[float], found: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(weight * x for weight, x in zip(weights, found, strict=True))))


def likenesses(reader: MarksReader, new: Note, older: Sequence[Note]) -> list[tuple[float, ...] | None]:
    """What speaks for each older note being about the same as the new one, in the order of ALIKE; None where nothing does.

    Each is asked the other's question: how likely it has an answer, and how likely the brain would ask it that, beside its own.
    Notes whose questions differ in a word ("my favourite film", "book") are about two things.
    """
    forth = _answering(reader, [(new.question, old.text) for old in older])
    near = [likeness(new.text, old.text) for old in older]
    chosen = [
        i
        for i, old in enumerate(older)
        if (forth[i] >= POSSIBLE or near[i] >= UNLIKE)
        and not reader.language.differ_in_a_word(new.question, old.question)
    ]
    some = [older[i] for i in chosen]
    back = _answering(reader, [(old.question, new.text) for old in some])
    asks = [reader.asking(new.question, note.text) for note in (new, *some)]
    asks += [reader.asking(old.question, text) for old in some for text in (new.text, old.text)]
    sure = reader.likely(asks)
    asked, own = sure[: len(some) + 1], sure[len(some) + 1 :]
    found: list[tuple[float, ...] | None] = [None] * len(older)
    for place, (i, old) in enumerate(zip(chosen, some, strict=True)):
        alike, told = questions_alike(new, old), bool(old.questions)
        found[i] = (
            1.0, _log_odds(forth[i]), _log_odds(back[place]) if told else 0.0, alike, float(alike >= ONE_QUESTION),
            max(RATHER, min(0.0, asked[place + 1] - asked[0])),
            max(RATHER, min(0.0, own[2 * place] - own[2 * place + 1])) if told else 0.0, near[i], float(not told),
        )  # fmt: skip
    return found


def _answering(reader: MarksReader, asked: Sequence[tuple[str, str]]) -> list[float]:
    """The belief that each note answers its question, (question, note), with no other note beside it."""
    doubts = reader.doubts_about([(question, [note]) for question, note in asked])
    return [
        _logistic(reader.fitted.alone, _evidence(question, note, likeness(question, note), doubt))
        for (question, note), doubt in zip(asked, doubts, strict=True)
    ]


def about_one(reader: MarksReader, new: Note, older: Sequence[Note]) -> list[float]:
    """The probability that each older note is about the same thing as the new one, which then replaces it."""
    return [_logistic(reader.fitted.about_one, one) if one else 0.0 for one in likenesses(reader, new, older)]
