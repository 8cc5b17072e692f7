"""What every brain promises, and nothing about how it keeps it.

    logits, state = model(tokens, state=None)     # (B, T) int64 -> (B, T, V), state for the next call

Causal; rows isolated; whole = chunked = token by token. `state` carries everything that changes while thinking and
is never changed in place by a later call, so it can be kept and gone back to. It is made of tuples, frozen dataclasses
and tensors whose first axis is the rows, or rows and heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn


def widen(state: Any, rows: int) -> Any:
    """The state of a single row, for `rows` rows that each go on from it in their own way."""
    return choose_rows(state, [0] * rows, 1)


def choose_rows(state: Any, chosen: Sequence[int], rows: int) -> Any:
    """Of the state of `rows` rows those that were chosen, in this order, to go on by themselves; a row may come twice."""
    if isinstance(state, Tensor):
        return state.unflatten(0, (rows, -1))[list(chosen)].flatten(0, 1) if state.ndim else state
    if isinstance(state, tuple):
        return tuple(choose_rows(part, chosen, rows) for part in state)
    if is_dataclass(state) and not isinstance(state, type):
        parts = {field.name: choose_rows(getattr(state, field.name), chosen, rows) for field in fields(state)}
        return replace(state, **parts)
    return state


@dataclass(frozen=True)
class Band:
    """Weights that share one update period, counted in optimiser steps."""

    name: str
    period: int
    parameters: tuple[tuple[str, nn.Parameter], ...]


class Brain(nn.Module, ABC):
    """A language model over bytes. A subclass sets `config`, `forward` and, if it has slow weights, `period_of`."""

    config: Any

    @abstractmethod
    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """tokens (B, T) int64 and the state after what came before → logits (B, T, V) and the state after."""

    def band_of(self, name: str) -> tuple[str, int]:
        """Give the band that the parameter of this name belongs to, and the band's period."""
        return "fast", 1

    def bands(self) -> list[Band]:
        """Give all parameters by band, fast first."""
        found: dict[tuple[int, str], list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in self.named_parameters():
            band, period = self.band_of(name)
            found.setdefault((period, band), []).append((name, parameter))
        return [Band(band, period, tuple(found[period, band])) for period, band in sorted(found)]

    def fire_rate(self, state: Any) -> Tensor | None:
        """Give the share of bytes (scalar) of the last call that changed the live memory; None without one."""
        return None

    def count_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())
