"""One contestant's way through a stream, as a generator of events: learn a task, score all, go on.

Everything that decides what follows is in a checkpoint at every task's end, so that a run that was killed and resumed
gives the same scores, bit for bit (same machine). Recall is exact match of free-running greedy answers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from torch.nn import functional as F

from lab.arena.asking import answer, first_wordings, spread
from lab.arena.contestants import Contestant, Settings, brain_config, make_strategies
from lab.arena.streams import Example, OpenLessons, make_stream, segments
from lab.config import FAMILIES, ArenaConfig, TrainingConfig
from lab.data import pad_lessons
from lab.events import Answered, ArenaEvent, Begun, Practised, Probed, Scored, TaskEnded
from lab.learning import (
    Contradictions,
    Dreams,
    Machine,
    Practice,
    Progress,
    answers_of,
    choose_machine,
    load_newest,
    practise,
    save_checkpoint,
)
from lab.models import Brain, build
from lab.models.checkpoint import load_weights
from lab.text import Lesson

PROBED = 32  # examples of a task that are looked at while another is learnt
ROWS = 64
TOLD_S = 0.5  # seconds between two reports of progress
TIMED = 5  # steps that an estimate is made from
ANSWERED = 0.5  # a brain that has learnt ends its answers, a fresh one goes on


def compete(
    config: ArenaConfig,
    contestant: Contestant,
    seed: int,
    order: str,
    folder: Path,
    tuned: Settings,
    *,
    split: str = "test",
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[ArenaEvent]:
    """Yield what happens while `contestant` learns the stream; checkpoints lie in `folder`, from which it goes on.

    With `split` "validation" the examples for tuning are scored in the place of the test's.
    """
    cell = _Cell(config, contestant, seed, order, folder, tuned, stop)
    if split == "validation":
        cell.tasks = [replace(task, test=task.validation) for task in cell.tasks]
    yield Begun(contestant.name, seed, order, cell.done)
    if cell.done < 0:
        yield from cell.score(0)
        if stop():
            return
        cell.save(0)
    for place in range(cell.done + 1, len(cell.tasks) + 1):
        yield from cell.learn(place)
        if not stop():
            yield from cell.score(place)
        if stop():
            return
        yield cell.price(place)
        cell.save(place)


class _Cell:
    """A contestant with a seed and an order of the tasks; `done` tasks are learnt."""

    def __init__(
        self, config: ArenaConfig, contestant: Contestant, seed: int, order: str, folder: Path, tuned: Settings,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        torch.set_num_threads(1)  # cells run side by side
        self.tuned, self.stop = tuned, stop
        self.config, self.contestant, self.seed, self.order, self.folder = config, contestant, seed, order, folder
        self.tasks = make_stream(config, seed, order)
        self.machine: Machine = choose_machine(TrainingConfig(threads=1, device=config.device))
        sizes = brain_config(contestant, config, tuned)
        self.brain: Brain = self.machine.place(build(contestant.model, sizes, seed=seed))
        template = self.brain.template
        stretches = segments(self.tasks, config.mode, config.blur, seed)
        self.stretches = [[template.lesson(exchange) for exchange in stretch] for stretch in stretches]
        encode = template.tokenizer.encode
        self.longest = 1 + max(len(encode(one.answer)) for task in self.tasks for one in (*task.train, *task.test))
        self.strategies = make_strategies(contestant, config, self.machine, seed, tuned)
        self.done, self._began, self._counted = -1, 0.0, 0
        self.tokens = self.steps = self.stored = 0
        self.seconds = 0.0
        self.coverage: float | None = None
        self._load()

    def save(self, done: int) -> None:
        """Keep all that the next task needs, `done` tasks being whole."""
        self.done = done
        tensors = {f"brain.{name}": tensor for name, tensor in self.brain.state_dict().items()}
        for i, strategy in enumerate(self.strategies):
            tensors |= {f"held{i}.{name}": tensor for name, tensor in strategy.held.items()}
        numbers = {"seconds": self.seconds, "tokens": self.tokens, "steps": self.steps, "stored": self.stored}
        save_checkpoint(self.folder, self.done, tensors, numbers)

    def _load(self) -> None:
        found, _ = load_newest(self.folder)
        if found is None or any(name.endswith(".mean.0") for name in found.tensors):
            return  # ewc once numbered the weights, whose order is another now: such a cell begins anew
        load_weights(self.brain, found.part("brain"))
        self.done = found.numbers["step"]
        for i, strategy in enumerate(self.strategies):
            strategy.held = {name: self.machine.place(tensor) for name, tensor in found.part(f"held{i}").items()}
            strategy.tasks = self.done
        self.seconds, self.tokens = found.numbers["seconds"], found.numbers["tokens"]
        self.steps, self.stored = found.numbers["steps"], found.numbers["stored"]

    @property
    def _who(self) -> tuple[str, int, str]:
        return self.contestant.name, self.seed, self.order

    def renew(self) -> None:
        """Make the strategies anew with what they hold: only `held` outlasts a task."""
        before = self.strategies
        self.strategies = make_strategies(self.contestant, self.config, self.machine, self.seed, self.tuned)
        for old, new in zip(before, self.strategies, strict=True):
            new.held, new.tasks, new.stop = old.held, old.tasks, self.stop

    def learn(self, place: int) -> Iterator[ArenaEvent]:
        """Learn the lessons of stretch `place`, which are closed afterwards."""
        self.renew()
        lessons = OpenLessons([*self._past(place), *self.stretches[place - 1]])
        torch.manual_seed(1000 * self.seed + place)
        looks = [(i + 1) / (self.config.probes + 1) for i in range(self.config.probes)]  # shares of the task
        self._began, told, before = time.monotonic(), 0.0, self.seconds
        for step in self._practise(place, lessons):
            self.seconds = before + time.monotonic() - self._began
            if time.monotonic() - told > TOLD_S or step.step == step.of:
                told = time.monotonic()
                yield Practised(*self._who, place, step.step, step.of, step.loss, step.penalty, self.seconds)
            if looks and step.step / step.of >= looks[0] and step.step < step.of:
                pause = time.monotonic()
                yield from self._probe(place - 1 + looks.pop(0), place)
                self.brain.train()
                self._began += time.monotonic() - pause
            self.steps, self.tokens = self.steps + 1, self.tokens + step.tokens - self._counted
            self._counted = step.tokens
        self.coverage = self._coverage(place)
        pause = time.monotonic()
        if not self.stop():
            self.stored = max(self.stored, self._stored())
            for strategy in self.strategies:
                strategy.finish(lessons)
                self.tokens += strategy.slept_tokens
            self.stored = max(self.stored, self._stored())
        self.seconds += time.monotonic() - pause
        lessons.close()
        self.brain.eval()

    def _past(self, place: int) -> list[Lesson]:
        """The lessons of past tasks that still stand, for whoever declares to open them."""
        if not any(strategy.opens_past for strategy in self.strategies):
            return []
        kept: list[Lesson] = []
        for stretch in self.stretches[:place]:
            new = Contradictions(stretch, self.brain.template)
            kept = [lesson for lesson in kept if not new.against(lesson.tokens)]
            kept += stretch
        return kept[: len(kept) - len(self.stretches[place - 1])]

    def _practise(self, place: int, lessons: OpenLessons) -> Iterator[Progress]:
        """The steps of one task, which end by the same rule for everybody."""
        config, tuned, self._counted = self.config, self.tuned, 0
        mean = sum(map(len, self.stretches[place - 1])) / len(self.stretches[place - 1])
        aims = {
            "steps": lambda steps, tokens: steps / config.steps,
            "tokens": lambda steps, tokens: tokens / (config.steps * config.batch_size * mean),
            "seconds": lambda steps, tokens: (time.monotonic() - self._began) / config.seconds,
        }
        lr = tuned["rates"].get(self.contestant.model, FAMILIES[self.contestant.model].lr)
        how = Practice(
            config.steps, config.batch_size, lr, 1000 * self.seed + place,
            whole=tuned["whole"]["weight"], rates=True, spent=aims[config.equal], stop=self.stop,
        )  # fmt: skip
        yield from practise(self.brain.train(), lessons, self.strategies, how)

    def _stored(self) -> int:
        return sum(strategy.stored_bytes() for strategy in self.strategies)

    def price(self, place: int) -> TaskEnded:
        """What it cost so far."""
        return TaskEnded(
            *self._who, place, self.seconds, self.steps, self.tokens, self.stored, _peak_bytes(), self.coverage
        )

    def _coverage(self, place: int) -> float | None:
        """The share of past lessons that the brain dreamt right, for whoever dreams: a measurement, nothing is learnt."""
        dreamers = [strategy for strategy in self.strategies if isinstance(strategy, Dreams)]
        if not dreamers or place < 2:
            return None
        dreamt = {one.tokens for strategy in dreamers for one in strategy.dreamt}
        past = {lesson.tokens for stretch in self.stretches[: place - 1] for lesson in stretch}
        return len(past & dreamt) / len(past)

    def _probe(self, at: float, place: int) -> Iterator[ArenaEvent]:
        self.brain.eval()
        for on, task in enumerate(self.tasks[:place], 1):
            few = spread(task.test, PROBED)
            given = answer(self.brain, few, self.longest)
            yield Probed(*self._who, at, on, sum(g == one.answer for g, one in zip(given, few, strict=True)) / len(few))

    def score(self, after: int) -> Iterator[ArenaEvent]:
        """Ask everything of all tasks."""
        self.brain.eval()
        for on, task in enumerate(self.tasks, 1):
            if self.stop():
                return
            for split, examples in (("test", task.test), ("taught", first_wordings(task)), ("stale", task.stale)):
                if not examples or (split != "test" and on > after):
                    continue
                given = answer(self.brain, examples, self.longest)
                hits = [g == one.answer for g, one in zip(given, examples, strict=True)]
                recall = sum(hits) / len(hits)
                yield Scored(*self._who, after, on, split, recall, self._loss(examples), len(hits))
                if split == "test":
                    for one, said, hit in zip(examples, given, hits, strict=True):
                        yield Answered(*self._who, after, on, one.prompt, one.answer, said, hit)

    @torch.no_grad()
    def _loss(self, examples: Sequence[Example]) -> float:
        """Mean cross-entropy of the answers' tokens, nats: it rises before recall breaks."""
        lessons = sorted((self.brain.template.lesson(one.exchange) for one in examples), key=len)
        total, count = 0.0, 0
        for begin in range(0, len(lessons), ROWS):
            batch = self.machine.place(pad_lessons(lessons[begin : begin + ROWS], self.brain.template))
            logits, _ = self.brain(batch.tokens[:, :-1])
            answers = answers_of(batch)
            total += float(F.cross_entropy(logits.float()[answers], batch.tokens[:, 1:][answers], reduction="sum"))
            count += int(answers.sum())
        return total / count


def estimate_seconds(config: ArenaConfig, contestant: Contestant, tuned: Settings) -> float:
    """About how long one way through the stream takes on one core: a few steps are timed, and what it rehearses is added."""
    cell = _Cell(config, contestant, config.first_seed, config.orders()[0], Path("/nonexistent"), tuned)
    tasks, lessons = len(cell.tasks), sum(map(len, cell.stretches))
    few = spread(cell.tasks[0].test, PROBED)
    began = time.monotonic()
    answer(cell.brain.eval(), few, cell.longest)
    answering = (time.monotonic() - began) / len(few)
    if config.equal == "seconds":
        learning = config.seconds * tasks
    else:
        times = []
        steps = practise(cell.brain, cell.stretches[0], cell.strategies, Practice(TIMED, config.batch_size, 1e-9))
        began = time.monotonic()
        for _ in steps:
            times.append(time.monotonic() - began)
            began = time.monotonic()
        more = sum(strategy.rows for strategy in cell.strategies) / config.batch_size
        learning = config.steps * sorted(times)[len(times) // 2] * (tasks + more * (tasks - 1)) if times else 0.0
    dreamt = sum(getattr(strategy, "ratio", 0.0) for strategy in cell.strategies) * lessons * (tasks - 1) / 2
    asked = sum(len(task.test) for task in cell.tasks) * (1.5 * tasks + 1)
    looked = config.probes * PROBED * tasks * (tasks + 1) / 2
    return learning + answering * (dreamt + ANSWERED * (asked + looked))


def _peak_bytes() -> int:
    """Most memory that this process ever had."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
