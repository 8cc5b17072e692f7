"""A night: what sleep does to a brain, as a generator that needs a brain and traces and knows no mind.

NREM  every trace due is turned into questions by the brain itself, those that it answers consistently with the note open
      are learnt by heart, while dreams hold what was known before; then each trace is asked in words not trained.
REM   a check on what was known before; where some of it slipped, small steps on the same lessons, what slipped and dreams
      bring it back; a night that lost too much all the same is taken back.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lab.config import MindConfig
from lab.data.tokenizer import START, encode
from lab.events import ByHeart, Dreamt, NightEnded, NightEvent, NightStep, Phase, Quizzed, TraceAudited
from lab.learning import Dream, alter, consolidate, copy_brain, dream, hold, make_room
from lab.memory.index import STOP, likeness
from lab.mind.retention import ENOUGH, SAME_QUESTION, hold_to
from lab.mind.skills import Skills, clip, lesson_tokens, question_tokens
from lab.models import Brain
from lab.models.checkpoint import load_brain, save_brain

REM_STEPS = 12  # small ones, of one round, where something slipped
REM_ROUNDS = 3
REM_RATE = 0.3  # of the night's rate
DOUBT = 0.3  # probability of not knowing above which a question and its note do not fit
BEGUN, BEGUN_EACH = (
    0.05,
    4,
)  # dreams that begin as tonight's questions do, beside all others, and at least so many a trace
ALTERED, ALTERED_EACH = 0.15, 12  # the same of those that ask one of its questions with another word in it
OLD_LESSONS = 400  # lessons of earlier nights that are rehearsed


@dataclass(frozen=True)
class Due:
    """A trace to be learnt by heart; `asked` are questions and answers that a person taught or asked about it."""

    trace: int
    text: str
    asked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Agenda:
    """What a night is about: traces to learn, and (question, wrong answer) pairs to unlearn."""

    due: tuple[Due, ...]
    unlearn: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()  # questions and answers of earlier nights
    by_heart: tuple[tuple[str, str], ...] = ()  # what was known before anything was taught
    gone: tuple[tuple[str, str], ...] = ()  # what was taught once, and was replaced, disputed or forgotten

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Agenda:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Agenda(
            tuple(Due(row["trace"], row["text"], tuple((q, a) for q, a in row["asked"])) for row in read["due"]),
            tuple((q, a) for q, a in read["unlearn"]),
            tuple((q, a) for q, a in read["kept"]),
            *(tuple((q, a) for q, a in read.get(name, ())) for name in ("by_heart", "gone")),
        )


def sleep(
    brain: Brain, agenda: Agenda, config: MindConfig, *, seed: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[NightEvent]:
    """Yield what happens; the last event is NightEnded, whose `kept` says whether `brain`, which was changed in place,
    is better than it was. Cancelled or taken back, the brain has its old weights again."""
    began = time.monotonic()
    draws = torch.Generator().manual_seed(seed)
    before = copy_brain(brain)
    skills = Skills(before, config.unknown_threshold)

    def spent() -> float:
        return time.monotonic() - began

    yield Phase("NREM", "asking itself", spent())
    lessons = make_lessons(skills, agenda.due, config, draws)
    for due in agenda.due:
        yield Quizzed(due.trace, [list(pair) for pair in lessons.get(due.trace, [])])
    yield Phase("NREM", "dreaming", spent())
    dreams: list[Dream] = []
    cues = _cues(skills, lessons, config.dreams, draws) if config.dreams else []
    more = len(agenda.by_heart) < ENOUGH
    for batch in dream(before, config.dreams, draws, cues=cues, again=more, stop=stop) if config.dreams else ():
        dreams += batch
        yield Dreamt(len(dreams), config.dreams + len(cues), spent())
    tonight = [pair for pairs in lessons.values() for pair in pairs] + [*agenda.unlearn]
    held = hold_to(skills, dreams, agenda.by_heart, tonight, agenda.gone, seed, config.dreams)
    yield ByHeart([list(pair) for pair in held.by_heart], len(held.slipped))
    anchor = hold(before, held.dreams)
    yield Phase("NREM", "learning by heart", spent())
    taught, audits = _divide(_newest(lessons), agenda.due)
    trained = [lesson_tokens(q, a) for pairs in taught.values() for q, a in pairs]
    trained += [lesson_tokens(q, None) for q, _ in agenda.unlearn for _ in range(2)]
    said = {question.lower() for pairs in taught.values() for question, _ in pairs}
    kept = [(q, a) for q, a in agenda.kept if q.lower() not in said][-OLD_LESSONS:]
    trained += [lesson_tokens(q, a) for q, a in (*kept, *held.slipped)]
    asked = [due for due in agenda.due if due.trace in audits]
    recall_before = _audit(skills, asked, audits)
    after = Skills(brain, config.unknown_threshold)
    brain.train()
    steps = min(config.night_steps, 60 + 3 * len(trained)) if trained else 0
    for progress in consolidate(brain, trained, anchor, config, steps=steps, seed=seed, stop=stop) if steps else ():
        yield NightStep(
            progress.step, progress.of, progress.loss, progress.penalty / (config.dream_weight or 1.0), spent()
        )
    yield Phase("REM", "rehearsing dreams", spent())
    brain.eval()
    retained, slips = held.retained(after), held.slips(after)
    gentle = replace(config, night_lr=REM_RATE * config.night_lr)
    for round_ in range(REM_ROUNDS if anchor and steps and config.dream_weight else 0):
        if stop() or (not slips and (retained is None or retained >= 1 - config.retention_drop / 2)):
            break
        again = [*trained, *(lesson_tokens(question, answer) for question, answer in slips)]
        brain.train()
        for progress in consolidate(brain, again, anchor, gentle, steps=REM_STEPS, seed=seed + 1 + round_, stop=stop):
            yield NightStep(
                progress.step, progress.of, progress.loss, progress.penalty / (config.dream_weight or 1.0), spent()
            )
        brain.eval()
        retained, slips = held.retained(after), held.slips(after, slips)
    passed = _audit(after, asked, audits)
    for due in asked:
        yield TraceAudited(due.trace, audits[due.trace][0], passed[due.trace], recall_before[due.trace])
    good = not stop() and (retained is None or retained >= 1 - config.retention_drop - held.noise())
    if not good:
        brain.load_state_dict(before.state_dict())
    yield NightEnded(
        kept=good, cancelled=stop(), seconds=spent(), replayed=len(trained), dreams=len(held.dreams), retained=retained,
        recall_before=_share(recall_before), recall_after=_share(passed) if good else _share(recall_before),
    )  # fmt: skip


def sleep_in(folder: Path, *, stop: Callable[[], bool] = lambda: False) -> Iterator[NightEvent]:
    """Sleep the night that a mind prepared in `folder` (minds/NAME/nights/N), for whoever has the time.

    The new brain is on disk, whole, before the last event is yielded. The mind itself is not opened.
    """
    home, night = folder.parents[1], int(folder.name)
    about = json.loads((home / "mind.json").read_text(encoding="utf-8"))
    config = MindConfig(**about.get("config", {}))
    model, loaded = load_brain(home / f"brain-{night - 1}")
    brain = make_room(model, loaded, config)
    agenda = Agenda.load(folder / "agenda.json")
    for event in sleep(brain, agenda, config, seed=night, stop=stop):
        if isinstance(event, NightEnded) and event.kept:
            save_brain(home / f"brain-{night}", model, brain)
        yield event


def night_events(records: Sequence[dict[str, Any]]) -> list[NightEvent]:
    """Give the events that a night's log holds."""
    kinds = {
        kind.__name__.lower(): kind for kind in (Phase, Quizzed, Dreamt, ByHeart, NightStep, TraceAudited, NightEnded)
    }
    found: list[NightEvent] = []
    for record in records:
        fields = {name: value for name, value in record.items() if name not in ("n", "kind")}
        found.append(kinds[record["kind"]](**fields))
    return found


def make_lessons(
    skills: Skills, due: Sequence[Due], config: MindConfig, draws: torch.Generator
) -> dict[int, list[tuple[str, str]]]:
    """Turn each trace into questions and answers by the brain's own reading.

    Learnt are the questions that were taught, and of the brain's own those that ask the same when they are put plainly, the
    plain one among them, where the brain answers them alike with the note open.
    """
    lessons = {one.trace: [*one.asked] for one in due}
    drawn = skills.quiz([one.text for one in due], config.quizzes, draws)
    pairs = {one.trace: [pair for pair in found if all(pair)] for one, found in zip(due, drawn, strict=True)}
    tried = [(one, *pair) for one in due for pair in (*one.asked, *pairs[one.trace])]
    plainly = dict(zip([q for _, q, _ in tried], skills.plainly([q for _, q, _ in tried]), strict=True))
    asked: list[tuple[Due, str, str]] = []
    for one in due:
        known = [*one.asked, *pairs[one.trace]]
        meant = plainly[known[0][0]] if known else ""
        own = {meant: known[0][1]} if known else {}
        own |= {q: a for q, a in pairs[one.trace] if likeness(plainly[q], meant) >= SAME_QUESTION}
        taught = {question.lower() for question, _ in one.asked}
        asked += [(one, question, answer) for question, answer in own.items() if question.lower() not in taught]
    replies = skills.answer([question for _, question, _ in asked], [[one.text] for one, _, _ in asked])
    for (one, question, answer), reply in zip(asked, replies, strict=True):
        same = reply.text is not None and reply.text.lower() == answer.lower() and answer.lower() in one.text.lower()
        if same and reply.unknown <= DOUBT:
            lessons[one.trace].append((question, answer))
    return lessons


def _newest(lessons: dict[int, list[tuple[str, str]]]) -> dict[int, list[tuple[str, str]]]:
    """Where two traces answer one question, leave it to the later one."""
    latest = {question.lower(): trace for trace in sorted(lessons) for question, _ in lessons[trace]}
    return {
        trace: [(question, answer) for question, answer in pairs if latest[question.lower()] == trace]
        for trace, pairs in lessons.items()
    }


def _divide(
    lessons: dict[int, list[tuple[str, str]]], due: Sequence[Due]
) -> tuple[dict[int, list[tuple[str, str]]], dict[int, tuple[str, str]]]:
    """Keep one question of each trace that has three or more back for the audit."""
    taught, audits = {}, {}
    for one in due:
        pairs = lessons.get(one.trace, [])
        if not pairs:
            continue
        audits[one.trace] = pairs[-1]
        taught[one.trace] = pairs[:-1] if len(pairs) >= 3 else pairs
    return taught, audits


def _cues(
    skills: Skills, lessons: dict[int, list[tuple[str, str]]], dreams: int, draws: torch.Generator
) -> list[list[int]]:
    """Beginnings of the questions that will be learnt, and these questions with one word dreamt anew: what is asked like
    them must stay as it is, mostly unknown."""
    learnt = [pairs for pairs in lessons.values() if pairs]
    begins, altered = list[str](), list[tuple[str, int]]()
    for pairs in learnt:
        for i in range(max(BEGUN_EACH, int(BEGUN * dreams) // len(learnt))):
            words = pairs[i % len(pairs)][0].split(" ")
            begins.append(" ".join(words[: int(torch.randint(1, max(2, len(words)), (1,), generator=draws))]))
        for i in range(max(ALTERED_EACH, int(ALTERED * dreams) // len(learnt))):
            question = pairs[i % len(pairs)][0]
            words = re.sub(r"[^\w ]", "", question.lower()).split(" ")
            things = [place for place, word in enumerate(words) if word not in STOP]
            if things:
                altered.append((question, things[int(torch.randint(0, len(things), (1,), generator=draws))]))
    known = {question for pairs in learnt for question, _ in pairs}
    others = alter(skills.brain, [q for q, _ in altered], [place for _, place in altered], draws) if altered else []
    return [
        *([START, *encode(clip(begin))] for begin in begins),
        *(question_tokens(question) for question in dict.fromkeys(others) if question not in known),
    ]


def _audit(skills: Skills, asked: list[Due], audits: dict[int, tuple[str, str]]) -> dict[int, bool]:
    replies = skills.answer([audits[due.trace][0] for due in asked])
    return {
        due.trace: reply.text is not None and reply.text.lower() == audits[due.trace][1].lower()
        for due, reply in zip(asked, replies, strict=True)
    }


def _share(passed: dict[int, bool]) -> float | None:
    return sum(passed.values()) / len(passed) if passed else None
