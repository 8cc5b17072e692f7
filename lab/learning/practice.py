"""Practice: a brain learns lessons by heart, and a strategy keeps what it knew.

loss = answers' cross-entropy + the strategy's penalty, in nats per token.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.data import Batch, pad_lessons
from lab.learning.machine import Machine
from lab.learning.optimiser import AdamW, MultiRateOptimiser
from lab.models import Brain, State
from lab.text import Lesson

if TYPE_CHECKING:
    from lab.learning.strategies.contract import Strategy

LEARNT = 0.02  # nats per answer token below which a lesson is known by heart
PATIENCE = 30  # steps between looks at whether all is learnt
ALIKE = 4  # batches among whose lessons neighbours in length are taken together
CLIP = 1.0
WARM_UP = 10  # steps


@dataclass(frozen=True)
class Practice:
    """How a brain practises, and what only the caller knows meanwhile."""

    steps: int
    batch_size: int
    lr: float
    seed: int = 0
    whole: float = 0.0  # weight of a lesson's question beside its answer
    rates: bool = False  # whether every band keeps its own period
    early: bool = False  # whether it ends once all is known by heart
    old_loss: Callable[[], Tensor] | None = None  # gives the loss on one more batch of dreams, where there are dreams
    spent: Callable[[int, int], float] | None = None  # steps, tokens → share that is over, if not that of `steps`
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Progress:
    """One step: the loss on the lessons and what the strategies added, in nats per token; `tokens` are all that were learnt
    or rehearsed so far."""

    step: int
    of: int  # as many steps as it will be, as far as is known
    tokens: int
    loss: float
    penalty: float


def copy_brain(brain: Brain) -> Brain:
    """A brain of its own with the same weights."""
    twin = copy.deepcopy(brain)
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    return twin


def answers_of(batch: Batch) -> Tensor:
    """A batch (B, T) of lessons → which of the targets (B, T - 1) are an answer's."""
    assert batch.weights is not None
    return batch.weights == 1


def answer_loss(brain: Brain, lessons: Sequence[Lesson], machine: Machine) -> Tensor:
    """Mean cross-entropy of the answers' tokens, nats."""
    batch = machine.place(pad_lessons(lessons, brain.template))
    with machine.autocast():
        logits, _ = brain(batch.tokens[:, :-1])
    answers = answers_of(batch)
    return F.cross_entropy(logits.float()[answers], batch.tokens[:, 1:][answers])


def practise(
    brain: Brain, lessons: Sequence[Lesson], strategies: Sequence[Strategy], how: Practice
) -> Iterator[Progress]:
    """Change `brain` step by step on `lessons`; the first strategy chooses the weights, all add their penalties.

    Without lessons only the penalties move the brain; a gradient that is not finite does not. The strategies are not finished
    here, so that a caller may look at them.
    """
    draws = torch.Generator().manual_seed(how.seed)
    for strategy in strategies:
        strategy.meet(lessons, brain.template)
    weights, *_ = [strategy.begin(brain, how.old_loss) for strategy in strategies]
    machine = strategies[0].machine
    if not weights:
        return
    move = _mover(brain, weights, how.rates)
    queue: list[list[int]] = []
    recent, tokens = 1.0, 0
    for step in itertools.count(1):
        share = how.spent(step - 1, tokens) if how.spent else (step - 1) / how.steps
        if share >= 1 or how.stop():
            return
        if not queue and lessons:
            queue = _batches([len(lesson) for lesson in lessons], how.batch_size, draws)
        chosen = queue.pop() if queue else []
        loss, batch, logits, state = _loss(brain, [lessons[i] for i in chosen], machine, how.whole)
        penalty = torch.stack([machine.place(strategy.penalty(batch, logits)) for strategy in strategies]).sum()
        extra = None if state is None else brain.extra_loss(state)
        (loss + penalty if extra is None else loss + penalty + extra).backward()
        moved = move(step, how.lr * min(1.0, step / WARM_UP, 1.5 * (1 - share)))
        if moved:
            brain.after_step()
            recent += (float(loss.detach()) - recent) * min(1.0, 2 * len(chosen) / max(1, len(lessons)))
        tokens += sum(int((weights > 0).sum()) for weights in (batch.weights,) if weights is not None)
        tokens += sum(strategy.rehearsed() for strategy in strategies)
        of = max(step, round((step - 1) / share)) if how.spent and share else how.steps
        yield Progress(step, of, tokens, float(loss.detach()), float(penalty.detach()))
        if how.early and lessons and step % PATIENCE == 0 and recent < LEARNT:
            return


def _batches(lengths: Sequence[int], size: int, draws: torch.Generator) -> list[list[int]]:
    """Deal out all lessons once, in random batches of lessons that are alike in length, so that little padding is computed."""
    order = torch.randperm(len(lengths), generator=draws).tolist()
    batches = []
    for begin in range(0, len(order), ALIKE * size):
        near = sorted(order[begin : begin + ALIKE * size], key=lambda i: lengths[i])
        batches += [near[at : at + size] for at in range(0, len(near), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=draws).tolist()]


def _loss(
    brain: Brain, lessons: Sequence[Lesson], machine: Machine, whole: float
) -> tuple[Tensor, Batch, Tensor, State | None]:
    """The loss on some lessons, the lessons side by side, their logits, and the state after them."""
    if not lessons:
        none = machine.place(torch.empty(0))
        return none.sum(), Batch(none.long()[:, None], none[:, None]), none, None
    batch = machine.place(pad_lessons(lessons, brain.template))
    assert batch.weights is not None
    with machine.autocast():
        logits, state = brain(batch.tokens[:, :-1])
    weights = batch.weights.where(batch.weights == 1, whole * (batch.weights > 0))
    losses = F.cross_entropy(logits.float().flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum(), batch, logits, state


def _mover(brain: Brain, weights: list[nn.Parameter], rates: bool) -> Callable[[int, float], bool]:
    """Give what moves weights by their gradients at a step and a rate, and says whether these were finite: AdamW, or for all
    of them each band's own period."""
    if rates and len(weights) == len(list(brain.parameters())):
        optimiser = MultiRateOptimiser(brain, weight_decay=0.0, clip=CLIP, slow_lr_power=0.0)
        return lambda step, lr: math.isfinite(optimiser.step(step, lr)[1])
    adam = AdamW(weights)
    brain.zero_grad()

    def move(step: int, lr: float) -> bool:
        finite = bool(torch.nn.utils.clip_grad_norm_(weights, CLIP).isfinite())
        if finite:
            adam.step(lr)
        brain.zero_grad()
        return finite

    return move
