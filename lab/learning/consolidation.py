"""Consolidation: lessons are learnt by heart while dreams hold what is already known.

loss = answers' cross-entropy + λ · KL(frozen ‖ learning) on dreams + the strategy's penalty.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import MindConfig, TrainingConfig
from lab.data.curriculum.batches import pad, weigh
from lab.learning.dreams import Anchor, Dream, pad_dreams
from lab.learning.machine import Machine, choose_machine
from lab.learning.strategies import STRATEGIES
from lab.models import Brain

DREAMS_A_STEP = 24
LEARNT = 0.02  # nats per answer token below which a lesson is known by heart
PATIENCE = 30  # steps between looks at whether all is learnt
CLIP = 1.0


@dataclass(frozen=True)
class Progress:
    """One step of a night: the loss on the lessons and the drift on the dreams, in nats per token."""

    step: int
    of: int
    loss: float
    drift: float


def copy_brain(brain: Brain) -> Brain:
    """A brain of its own with the same weights."""
    twin = copy.deepcopy(brain)
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    return twin


def hold(brain: Brain, dreams: Sequence[Dream]) -> Anchor | None:
    """What holds a brain to what it is now, while another with its weights learns; None without dreams."""
    return Anchor(brain, dreams, choose_machine(TrainingConfig()).autocast) if dreams else None


def consolidate(
    brain: Brain,
    lessons: Sequence[Sequence[int]],
    anchor: Anchor | None,
    config: MindConfig,
    *,
    steps: int,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Change `brain` until it knows `lessons` (START question ANSWER answer END) or `steps` are done.

    `anchor` holds it to the brain that dreamt; without lessons it only goes back toward that one. Without an anchor
    nothing but the strategy holds what it knows.
    """
    machine = choose_machine(TrainingConfig())
    draws = torch.Generator().manual_seed(seed)
    anchor = anchor if config.dream_weight else None
    strategy = STRATEGIES[config.strategy]()

    def old_loss() -> Tensor:
        assert anchor is not None
        chosen = anchor.draw(DREAMS_A_STEP, draws)
        batch, mask = pad_dreams([anchor.dreams[i] for i in chosen])
        with machine.autocast():
            logits, _ = brain(batch[:, :-1])
        return F.cross_entropy(logits.float()[mask], batch[:, 1:][mask])

    weights = strategy.begin(brain, old_loss if anchor else None)
    optimiser = torch.optim.AdamW(weights, lr=config.night_lr, betas=(0.9, 0.95), weight_decay=0.0)
    queue: list[int] = []
    recent = 1.0
    for step in range(1, steps + 1):
        if stop():
            break
        if not queue and lessons:
            queue = torch.randperm(len(lessons), generator=draws).tolist()
        chosen, queue = queue[: config.night_batch], queue[config.night_batch :]
        loss = _answer_loss(brain, [lessons[i] for i in chosen], machine) if chosen else torch.zeros(())
        drift = torch.zeros(())
        if anchor:
            picked = anchor.draw(DREAMS_A_STEP, draws)
            batch, mask = pad_dreams([anchor.dreams[i] for i in picked])
            with machine.autocast():
                logits, _ = brain(batch[:, :-1])
            drift = anchor.divergence(logits, mask, picked)
        optimiser.zero_grad(set_to_none=True)
        (loss + config.dream_weight * drift + strategy.penalty()).backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        for group in optimiser.param_groups:
            group["lr"] = config.night_lr * min(1.0, step / 10, 1.5 * (steps - step + 1) / steps)
        optimiser.step()
        recent += (float(loss.detach()) - recent) * min(1.0, 2 * config.night_batch / max(1, len(lessons)))
        yield Progress(step, steps, float(loss.detach()), float(drift.detach()))
        if lessons and step % PATIENCE == 0 and recent < LEARNT:
            break
    strategy.finish()


def _answer_loss(brain: Brain, lessons: Sequence[Sequence[int]], machine: Machine) -> Tensor:
    """Mean cross-entropy of the answers' tokens."""
    batch = pad(lessons)
    with machine.autocast():
        logits, _ = brain(batch[:, :-1])
    answers = weigh(batch) == 1
    return F.cross_entropy(logits.float()[answers], batch[:, 1:][answers])
