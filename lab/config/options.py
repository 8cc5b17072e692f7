"""How an option is declared: its default, its limits, its help text, and the error that a wrong value raises."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import field, fields
from typing import Any, get_type_hints


class ConfigError(ValueError):
    """A user's mistake, as one sentence of rule, value and remedy. `field` is the option it is about, or ""."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Collection[str] | None = None,
    advanced: bool = True,
) -> Any:
    """Declare one option; `advanced` ones sit behind a fold in the form."""
    limits = {"minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata={"help": help, "advanced": advanced, **limits})


KINDS: dict[type, tuple[str, tuple[type, ...]]] = {
    int: ("a whole number", (int,)), float: ("a number", (float, int)), bool: ("True or False", (bool,)), str: ("text", (str,)),
}  # fmt: skip


def check_limits(config: Any) -> None:
    """Hold every field of `config` to the type, limits and choices it declares."""
    hints = get_type_hints(type(config))
    for spec in fields(config):
        value, meta, name = getattr(config, spec.name), spec.metadata, spec.name
        if "help" not in meta:
            continue
        wanted, kinds = KINDS[hints[name]]
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if not fits or (float in kinds and not abs(value) <= sys.float_info.max):
            raise ConfigError(f"{name} must be {wanted}; got {value!r}. Try {spec.default!r}.", name)
        if meta["choices"] and value not in meta["choices"]:
            raise ConfigError(f"{name} must be one of {', '.join(meta['choices'])}; got {value!r}.", name)
        low, high = meta["minimum"], meta["maximum"]
        if (low is not None and value < low) or (high is not None and value > high):
            rule = f"at least {low}" if high is None else f"from {low} to {high}"
            raise ConfigError(f"{name} must be {rule}; got {value}. Try {spec.default}.", name)


def check_slots(slots: int) -> None:
    """Raises ConfigError unless a memory layer has a square number of slots, or none."""
    near = max(4, round(slots**0.5)) ** 2
    if slots and slots != near:
        raise ConfigError(f"memory_slots must be 0 or a square from 16 up; got {slots}. Try {near}.", "memory_slots")
