"""The state of a run: all that decides its next step, how it goes to and comes from a checkpoint, and how it returns to one.

Weights, moments and gathered gradients are always filled in place, so a brain that was compiled stays compiled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.config import ConfigError, RunConfig
from lab.data import Cursor, open_source
from lab.events import Checkpointed, RolledBack
from lab.learning.checkpoint import Checkpoint, load_newest, save_checkpoint
from lab.learning.machine import Machine
from lab.learning.optimiser import MultiRateOptimiser
from lab.learning.surprise import RunningSurprise
from lab.models import Brain, build
from lab.models.checkpoint import load_brain, load_weights, save_brain
from lab.text import LAB

NUMBERS = ("step", "tokens", "elapsed_s", "mean_loss", "lr_scale", "rollbacks", "mixed")  # are saved as they are
RETURNS = 2  # to one checkpoint; it may itself be what does not hold
WIDER = "mlp_ratio"  # may grow: what is added to an MLP gives 0 at first, so it changes no answer


def begun_brain(config: RunConfig) -> Brain:
    """Give the brain that `begin_from` names, in the sizes of this run.

    Only the periods of its bands may be others than they were, and its MLPs wider. Raises ConfigError where `begin_from`
    names no brain, or one of other sizes.
    """
    begin_from = config.training.begin_from
    folder = Path(begin_from).expanduser()
    name, found = load_brain(folder / "brain" if (folder / "brain").is_dir() else folder)
    periods = found.slow.values()  # how often weights learn is each run's own choice: it changes no brain
    free = {name: value for name, value in asdict(config.brain).items() if name in (*periods, WIDER)}
    narrower = found.config.mlp_ratio > config.brain.mlp_ratio
    if name != config.model or replace(found.config, **free) != config.brain or narrower:
        raise ConfigError(
            f"begin_from must name a brain of this run's model and sizes, whose {WIDER} may be less; {begin_from} holds "
            f"a {name} with {found.config}. Choose the same settings.", "begin_from",
        )  # fmt: skip
    brain = build(config.model, config.brain, seed=config.training.seed)
    grown = brain.state_dict()
    for name, learnt in found.state_dict().items():
        grown[name][tuple(slice(size) for size in learnt.shape)] = learnt
    return brain


class RunState:
    """The moving parts of the run in `folder`, for `restart` or `load` to fill; `returns` counts those to each step's checkpoint."""

    def __init__(self, config: RunConfig, machine: Machine, folder: Path) -> None:
        self.config, self.machine = config, machine
        self.options = config.training
        self.checkpoints, self.begun = folder / "checkpoints", folder / "begun"
        self.source = open_source(config.data, LAB)
        self.validation = self.source.validate(self.options.eval_batches)
        self.rollbacks, self.returns = 0, Counter[int]()
        self.elapsed_s, self.lr_scale, self.mixed = 0.0, 1.0, False
        self.brain = machine.place(build(config.model, config.brain, seed=self.options.seed))
        decay, power = self.options.weight_decay, self.options.slow_lr_power
        self.optimiser = MultiRateOptimiser(self.brain, weight_decay=decay, clip=self.options.clip, slow_lr_power=power)
        self.forward: Callable[[Tensor], tuple[Tensor, Any]] = self.brain

    def _first_weights(self) -> dict[str, Tensor]:
        """What the run begins with: fresh, or another run's, of which a copy is kept, since that run may go or learn on."""
        if not self.options.begin_from:
            return build(self.config.model, self.config.brain, seed=self.options.seed).state_dict()
        if not (self.begun / "model.json").is_file():
            save_brain(self.begun, self.config.model, begun_brain(self.config))
        return load_brain(self.begun)[1].state_dict()

    def restart(self) -> None:
        """Begin with the first weights; the rate and the counts of returns stay."""
        self.brain.load_state_dict(self._first_weights())
        self.optimiser.load_state({name: torch.zeros(()) for name in self.optimiser.state()})
        self.batches = self.source.read(self.options.seed, self.source.later if self.options.begin_from else None)
        self.surprise = RunningSurprise()
        self.step = self.tokens = 0
        self.mean_loss: float | None = None

    def save(self) -> Checkpointed:
        """Write a checkpoint. Raises OSError."""
        tensors = {f"brain.{name}": tensor for name, tensor in self.brain.state_dict().items()}
        tensors |= {f"optimiser.{name}": tensor for name, tensor in self.optimiser.state().items()}
        tensors |= {name: chip.get_rng_state() for name, chip in self.machine.generators().items()}
        numbers = {name: getattr(self, name) for name in NUMBERS} | {
            "cursor": asdict(self.batches.cursor), "surprise": self.surprise.level, "returns": list(self.returns.items()),
            "precision": self.machine.precision, "threads": self.machine.threads,
        }  # fmt: skip
        return Checkpointed(self.step, save_checkpoint(self.checkpoints, self.step, tensors, numbers).name)

    def load(self, checkpoint: Checkpoint) -> None:
        tensors, numbers = checkpoint.tensors, checkpoint.numbers
        weights, moments = checkpoint.part("brain"), checkpoint.part("optimiser")
        other_names = weights.keys() != self.brain.state_dict().keys()
        if other_names:  # of before linear maps were modules: moments lie in another order
            moments = {name: torch.zeros(()) for name in moments}
        load_weights(self.brain, weights)
        self.optimiser.load_state(moments)
        for name, chip in self.machine.generators().items():
            if name in tensors:
                chip.set_rng_state(tensors[name])
        vars(self).update({name: numbers[name] for name in NUMBERS if name in numbers})
        self.returns = Counter(dict(numbers.get("returns", ())))
        self.surprise = RunningSurprise(numbers["surprise"])
        self.batches = self.source.read(self.options.seed, Cursor(**numbers["cursor"]))

    def progress(self) -> float:
        """Share of the run that is done, by steps or by time, whichever is further."""
        limit_s = 60 * self.options.minutes
        return max(self.step / self.options.steps, self.elapsed_s / limit_s if limit_s else 0.0)

    def roll_back(self, loss: float) -> RolledBack:
        """Return to the last good checkpoint, or to the beginning, with half the rate; a checkpoint that was returned to
        RETURNS times in vain is given up."""
        came_from, cursor = self.step, self.batches.cursor
        lasting = self.elapsed_s, self.lr_scale / 2, self.rollbacks + 1, self.returns
        checkpoint, _ = load_newest(self.checkpoints)
        while checkpoint and self.returns[checkpoint.numbers["step"]] >= RETURNS:
            (self.checkpoints / checkpoint.name).unlink()
            del self.returns[checkpoint.numbers["step"]]
            checkpoint, _ = load_newest(self.checkpoints)
        if checkpoint:
            self.load(checkpoint)
        else:
            self.restart()
        self.batches = self.source.read(self.options.seed, cursor)  # not the same data again
        self.elapsed_s, self.lr_scale, self.rollbacks, self.returns = lasting
        self.returns[self.step] += 1
        return RolledBack(came_from, self.step, loss, self.lr_scale)

    @torch.no_grad()
    def mix(self) -> None:
        """Take the mean with the weights that the run began from, once, as `begun_share` says (Wortsman et al. 2022)."""
        if self.options.begun_share and not self.mixed:
            begun = self._first_weights()
            for name, weight in self.brain.named_parameters():
                weight.lerp_(self.machine.place(begun[name]), self.options.begun_share)
            self.mixed = True
