"""Consolidation: a night's lessons are learnt by heart while dreams hold what is already known.

loss = answers' cross-entropy + λ · KL(frozen ‖ learning) on dreams + the strategy's penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import MindConfig, TrainingConfig
from lab.learning.dreams import Anchor, Dream, pad_dreams
from lab.learning.machine import choose_machine
from lab.learning.practice import Practice, Progress, practise
from lab.learning.strategies import NEED_MEMORY, STRATEGIES, Held
from lab.models import Brain, add_memory

DREAMS_A_STEP = 24


def hold(brain: Brain, dreams: Sequence[Dream]) -> Anchor | None:
    """What holds a brain to what it is now, while another with its weights learns; None without dreams."""
    return Anchor(brain, dreams, choose_machine(TrainingConfig()).autocast) if dreams else None


def make_room(model: str, brain: Brain, config: MindConfig) -> Brain:
    """The brain that a night changes: with a fresh memory layer where the strategy writes into one and there is none.

    Raises ConfigError for a number of slots against its rule.
    """
    lacks = config.strategy in NEED_MEMORY and not brain.config.memory_slots
    return add_memory(model, brain, config.memory_slots) if lacks else brain


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
    anchor = anchor if config.dream_weight else None
    draws = torch.Generator().manual_seed(seed)

    def old_loss() -> Tensor:
        assert anchor is not None
        batch, mask = pad_dreams([anchor.dreams[i] for i in anchor.draw(DREAMS_A_STEP, draws)])
        with machine.autocast():
            logits, _ = brain(batch[:, :-1])
        return F.cross_entropy(logits.float()[mask], batch[:, 1:][mask])

    strategy = STRATEGIES[config.strategy](machine, seed)
    held = Held(machine, seed, anchor=anchor, weight=config.dream_weight, rows=DREAMS_A_STEP)
    how = Practice(
        steps, config.night_batch, config.night_lr, seed, old_loss=old_loss if anchor else None, early=True, stop=stop
    )
    yield from practise(brain, lessons, [strategy, held], how)
    strategy.finish(())
