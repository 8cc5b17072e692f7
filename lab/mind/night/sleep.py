"""A night: what sleep does to a brain, as a generator that needs a learner and traces and knows no mind.

NREM  every trace due is turned into questions by the brain itself, those that it answers consistently with the note open
      are learnt by heart, while dreams hold what was known before; then each trace is asked in words not trained.
REM   a check on what was known before; where some of it slipped, small steps on the same lessons, what slipped and dreams
      bring it back; a night that lost too much all the same is taken back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from lab.config import MindConfig
from lab.events import ByHeart, Dreamt, NightEnded, NightEvent, NightStep, Phase, Quizzed, TraceAudited
from lab.learning import Dream, Progress
from lab.memory.index import STOP, likeness
from lab.mind.night.agenda import Agenda, Due
from lab.mind.night.learner import Learner
from lab.mind.night.retention import ENOUGH, SAME_QUESTION, Holding, hold_to
from lab.mind.reader import Pair, Reader

REM_STEPS = 12  # small ones, of one round, where something slipped
REM_ROUNDS = 3
REM_RATE = 0.3  # of the night's rate
BEGUN, BEGUN_EACH = (
    0.05,
    4,
)  # dreams that begin as tonight's questions do, beside all others, and at least so many a trace
ALTERED, ALTERED_EACH = 0.15, 12  # the same of those that ask one of its questions with another word in it
OLD_LESSONS = 400  # lessons of earlier nights that are rehearsed

Lessons = dict[int, list[Pair]]  # by trace


def sleep(
    learner: Learner, agenda: Agenda, config: MindConfig, *, seed: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[NightEvent]:
    """Yield what happens; the last event is NightEnded, whose `kept` says whether the learner's brain is better than it was.

    Cancelled or taken back, it has its old weights again."""
    night = _Night(learner, agenda, config, seed, stop)
    yield night.phase("NREM", "asking itself")
    yield from night.ask_itself()
    yield night.phase("NREM", "dreaming")
    yield from night.dream()
    yield night.phase("NREM", "learning by heart")
    yield from night.learn()
    yield night.phase("REM", "rehearsing dreams")
    yield from night.rehearse()
    yield from night.audit()
    yield night.end()


class _Night:
    """What one night knows of itself, phase after phase."""

    def __init__(
        self, learner: Learner, agenda: Agenda, config: MindConfig, seed: int, stop: Callable[[], bool]
    ) -> None:
        self.learner, self.agenda, self.config, self.seed, self.stop = learner, agenda, config, seed, stop
        self._began, self._draws = time.monotonic(), torch.Generator().manual_seed(seed)
        self.lessons: Lessons = {}
        self.audits: dict[int, Pair] = {}  # what each trace is asked in the end
        self.recall_before: dict[int, bool] = {}
        self.trained: list[tuple[str, str | None]] = []
        self.passed: dict[int, bool] = {}
        self.retained: float | None = None
        self.slips: list[Pair] = []

    def phase(self, name: str, doing: str) -> Phase:
        return Phase(name, doing, self._spent())

    def _spent(self) -> float:
        return time.monotonic() - self._began

    def ask_itself(self) -> Iterator[NightEvent]:
        """Turn every trace due into questions."""
        self.lessons = make_lessons(self.learner.before, self.agenda.due, self.config, self._draws)
        for due in self.agenda.due:
            yield Quizzed(due.trace, [list(pair) for pair in self.lessons.get(due.trace, [])])

    def dream(self) -> Iterator[NightEvent]:
        """Dream of what is known, and settle what the night holds to."""
        count, dreams = self.config.dreams, list[Dream]()
        if count:
            begins, questions = _cues(self.learner, self.lessons, count, self._draws)
            more = len(self.agenda.by_heart) < ENOUGH
            for batch in self.learner.dream(count, begins, questions, self._draws, again=more, stop=self.stop):
                dreams += batch
                yield Dreamt(len(dreams), count + len(begins) + len(questions), self._spent())
        tonight = [pair for pairs in self.lessons.values() for pair in pairs] + [*self.agenda.unlearn]
        agenda = self.agenda
        self.held: Holding = hold_to(
            self.learner.before, dreams, agenda.by_heart, tonight, agenda.gone, self.seed, count
        )
        yield ByHeart([list(pair) for pair in self.held.by_heart], len(self.held.slipped))
        self.holds = self.learner.hold(self.held.dreams, self.held.rehearsed)

    def learn(self) -> Iterator[NightEvent]:
        """Learn the answers by heart; one question of each trace is kept back for its audit."""
        taught, self.audits = _divide(_newest(self.lessons), self.agenda.due)
        self.trained = [pair for pairs in taught.values() for pair in pairs]
        self.trained += [(question, None) for question, _ in self.agenda.unlearn for _ in range(2)]
        said = {question.lower() for pairs in taught.values() for question, _ in pairs}
        kept = [(q, a) for q, a in self.agenda.kept if q.lower() not in said][-OLD_LESSONS:]
        self.trained += [*kept, *self.held.slipped]
        self.recall_before = self._asked(self.learner.before)
        self.steps = min(self.config.night_steps, 60 + 3 * len(self.trained)) if self.trained else 0
        if self.steps:
            yield from self._steps(self.trained, self.config, self.steps, self.seed)

    def _steps(
        self, pairs: Sequence[tuple[str, str | None]], config: MindConfig, steps: int, seed: int
    ) -> Iterator[NightEvent]:
        progress: Progress
        for progress in self.learner.learn(pairs, config, steps=steps, seed=seed, stop=self.stop):
            penalty = progress.penalty / (self.config.dream_weight or 1.0)
            yield NightStep(progress.step, progress.of, progress.loss, penalty, self._spent())

    def rehearse(self) -> Iterator[NightEvent]:
        """Bring back what slipped, as far as a few rounds of small steps do."""
        held, after, config = self.held, self.learner.after, self.config
        self.retained, self.slips = held.retained(after), held.slips(after)
        gentle = replace(config, night_lr=REM_RATE * config.night_lr)
        for turn in range(REM_ROUNDS if self.holds and self.steps and config.dream_weight else 0):
            enough = self.retained is None or self.retained >= 1 - config.retention_drop / 2
            if self.stop() or (not self.slips and enough):
                break
            yield from self._steps([*self.trained, *self.slips], gentle, REM_STEPS, self.seed + 1 + turn)
            self.retained, self.slips = held.retained(after), held.slips(after, self.slips)

    def audit(self) -> Iterator[NightEvent]:
        """Ask every trace that has a question, from the weights."""
        self.passed = self._asked(self.learner.after)
        for trace, passed in self.passed.items():
            yield TraceAudited(trace, self.audits[trace][0], passed, self.recall_before[trace])

    def _asked(self, reader: Reader) -> dict[int, bool]:
        """Whether each trace's question is answered rightly from the weights."""
        traces = [due.trace for due in self.agenda.due if due.trace in self.audits]
        replies = reader.answer([self.audits[trace][0] for trace in traces])
        return {
            trace: reply.text is not None and reply.text.lower() == self.audits[trace][1].lower()
            for trace, reply in zip(traces, replies, strict=True)
        }

    def end(self) -> NightEnded:
        """Keep the night, or take it back."""
        cancelled, least = self.stop(), 1 - self.config.retention_drop - self.held.noise()
        good = not cancelled and (self.retained is None or self.retained >= least)
        if not good:
            self.learner.take_back()
        before = _share(self.recall_before)
        return NightEnded(
            kept=good, cancelled=cancelled, seconds=self._spent(), replayed=len(self.trained),
            dreams=len(self.held.dreams) + len(self.held.rehearsed), retained=self.retained, recall_before=before,
            recall_after=_share(self.passed) if good else before,
        )  # fmt: skip


def make_lessons(reader: Reader, due: Sequence[Due], config: MindConfig, draws: torch.Generator) -> Lessons:
    """Turn each trace into questions and answers by the brain's own reading.

    Learnt are the questions that were taught, and of the brain's own those that ask the same when they are put plainly, the
    plain one among them, where the brain answers them alike with the note open.
    """
    lessons = {one.trace: [*one.asked] for one in due}
    drawn = reader.quiz([one.text for one in due], config.quizzes, draws)
    pairs = {one.trace: [pair for pair in found if all(pair)] for one, found in zip(due, drawn, strict=True)}
    tried = [question for one in due for question, _ in (*one.asked, *pairs[one.trace])]
    plainly = dict(zip(tried, reader.plainly(tried), strict=True))
    asked: list[tuple[Due, str, str]] = []
    for one in due:
        known = [*one.asked, *pairs[one.trace]]
        meant = plainly[known[0][0]] if known else ""
        own = {meant: known[0][1]} if known else {}
        own |= {q: a for q, a in pairs[one.trace] if likeness(plainly[q], meant) >= SAME_QUESTION}
        taught = {question.lower() for question, _ in one.asked}
        asked += [(one, question, answer) for question, answer in own.items() if question.lower() not in taught]
    replies = reader.answer([question for _, question, _ in asked], [[one.text] for one, _, _ in asked])
    for (one, question, answer), reply in zip(asked, replies, strict=True):
        same = reply.text is not None and reply.text.lower() == answer.lower() and answer.lower() in one.text.lower()
        if same and reply.unknown <= reader.limits.doubt:
            lessons[one.trace].append((question, answer))
    return lessons


def _newest(lessons: Lessons) -> Lessons:
    """Where two traces answer one question, leave it to the later one."""
    latest = {question.lower(): trace for trace in sorted(lessons) for question, _ in lessons[trace]}
    return {
        trace: [(question, answer) for question, answer in pairs if latest[question.lower()] == trace]
        for trace, pairs in lessons.items()
    }


def _divide(lessons: Lessons, due: Sequence[Due]) -> tuple[Lessons, dict[int, Pair]]:
    """Keep one question of each trace that has three or more back for the audit."""
    taught, audits = {}, {}
    for one in due:
        pairs = lessons.get(one.trace, [])
        if not pairs:
            continue
        audits[one.trace] = pairs[-1]
        taught[one.trace] = pairs[:-1] if len(pairs) >= 3 else pairs
    return taught, audits


def _cues(learner: Learner, lessons: Lessons, dreams: int, draws: torch.Generator) -> tuple[list[str], list[str]]:
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
    others = learner.alter([q for q, _ in altered], [place for _, place in altered], draws) if altered else []
    return begins, [question for question in dict.fromkeys(others) if question not in known]


def _share(passed: dict[int, bool]) -> float | None:
    return sum(passed.values()) / len(passed) if passed else None
