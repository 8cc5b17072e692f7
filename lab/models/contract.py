"""What every brain promises, and nothing about how it keeps it.

    logits, state = model(tokens, state=None)     # (B, T) int64 -> (B, T, V), state for the next call

Causal; rows isolated; whole = chunked = token by token. A state carries everything that changes while thinking and is never
changed in place by a later call, so it can be kept and gone back to.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from lab.config import BrainConfig
from lab.text import LAB, Template


@dataclass(frozen=True)
class State:
    """What changes while thinking: tensors whose first axis is the rows, or rows and heads, states, tuples of these, numbers, None."""

    @property
    def count(self) -> int:
        """How many rows there are: as many as the first tensor or state says."""
        for spec in fields(self):
            part = getattr(self, spec.name)
            for one in part if isinstance(part, tuple) else (part,):
                if isinstance(one, State):
                    return one.count
                if isinstance(one, Tensor) and one.ndim:
                    return len(one)
        return 0

    def rows(self, chosen: Sequence[int]) -> Self:
        """Give the state of the chosen rows, in this order, to go on by themselves; a row may come twice.

        Raises TypeError for a part of another kind: it would be shared by rows that part.
        """
        return replace(
            self, **{spec.name: self._choose(getattr(self, spec.name), list(chosen)) for spec in fields(self)}
        )

    def _choose(self, part: Any, chosen: list[int]) -> Any:
        if isinstance(part, Tensor) and part.ndim:
            return part.unflatten(0, (self.count, -1))[chosen].flatten(0, 1)
        if isinstance(part, State):
            return part.rows(chosen)
        if type(part) is tuple:
            return tuple(self._choose(one, chosen) for one in part)
        if part is None or isinstance(part, Tensor | int | float):
            return part
        raise TypeError(f"a state must be made of tensors, states, tuples and numbers; got {type(part).__name__}.")


@dataclass(frozen=True)
class Layers(State):
    """The states of a brain's blocks, first to last."""

    blocks: tuple[State, ...]

    def __getitem__(self, place: int) -> Any:
        return self.blocks[place]


@dataclass(frozen=True)
class Band:
    """Weights that share one update period, counted in optimiser steps."""

    name: str
    period: int
    parameters: tuple[tuple[str, nn.Parameter], ...]


@dataclass(frozen=True)
class Reading:
    """Something inside a brain to look at: numbers, the names of their axes, and what they say in a sentence."""

    values: Tensor
    axes: tuple[str, ...]
    meaning: str


class Brain(nn.Module, ABC):
    """A language model over the tokens of its `template`. A subclass makes itself of (config, vocabulary) and has `forward`."""

    template: Template = LAB
    slow: ClassVar[Mapping[str, str]] = {}  # a part with a period of its own → the option that says which

    def __init__(self, config: BrainConfig) -> None:
        super().__init__()
        self.config: Any = config

    @abstractmethod
    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """tokens (B, T) int64 and the state after what came before → logits (B, T, V) and the state after."""

    def extra_loss(self, state: Any) -> Tensor | None:
        """Give what training adds to the loss, nats (scalar), after the call that left `state`; None for nothing."""
        return None

    def after_step(self) -> None:
        """Do what follows an optimiser step: balance, decay, count."""

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        """Give the modules of each kind, first block to last, by the names that strategies ask for: attention, mlp, slots, fast …"""
        return {}

    def of_blocks(self, *names: str) -> dict[str, tuple[nn.Module, ...]]:
        """Give the modules that blocks have under each dotted name, first block to last, by the last part of the name."""
        found = {}
        for name in names:
            modules = (operator.attrgetter(name)(block) for block in self.get_submodule("blocks").children())
            found[name.rpartition(".")[2]] = tuple(module for module in modules if module is not None)
        return found

    def bands(self) -> list[Band]:
        """Give all parameters by band, fast first: those of a `slow` part move once in its period, all others at every step."""
        periods = {name: int(getattr(self.config, chosen)) for name, chosen in self.slow.items()}
        band_of = {
            id(parameter): name
            for name, modules in self.parts().items()
            if name in periods
            for module in modules
            for parameter in module.parameters()
        }
        found: dict[tuple[int, str], list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in self.named_parameters():
            band = band_of.get(id(parameter), "fast")
            found.setdefault((periods.get(band, 1), band), []).append((name, parameter))
        return [Band(band, period, tuple(found[period, band])) for period, band in sorted(found)]

    def measures(self, state: Any) -> dict[str, Tensor]:
        """Give the numbers (scalars) that a run logs at every step, after the call that left `state`."""
        return {}

    def inspect(self, state: Any) -> dict[str, Reading]:
        """Give what can be looked at inside after the call that left `state`."""
        return {}

    def count_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())
