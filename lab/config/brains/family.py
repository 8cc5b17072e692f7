"""A family: all there is to know of a kind of brain without torch. Form, shell, arena, colours and models read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.config.options import ConfigError, check_limits, check_slots, option

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 128, "layers": 4, "heads": 4},
    "nano": {"width": 256, "layers": 6, "heads": 8},
    "small": {"width": 384, "layers": 8, "heads": 12},
    "medium": {"width": 512, "layers": 12, "heads": 16},
}
STARTER = {
    "data": "curriculum", "seq_len": 448, "batch_size": 12, "steps": 100_000, "minutes": 100.0, "seed": 1,
    "threads": 1, "eval_every": 250, "sample_every": 250, "checkpoint_every": 250,
}  # fmt: skip


@dataclass(frozen=True)
class BrainConfig:
    """What every brain has; a family's own config adds to it."""

    width: int = option(128, "Numbers that represent one token inside the model.", minimum=8, maximum=4096)
    layers: int = option(4, "Blocks stacked on each other.", minimum=1, maximum=64)
    heads: int = option(4, "Heads; they share the width equally.", minimum=1, maximum=64)
    mlp_ratio: float = option(4.0, "Hidden width of an MLP, as a multiple of the width.", minimum=0.1, maximum=64)
    memory_slots: int = option(
        0,
        "Value rows of a product-key memory in the middle block, a square from 16 up; 0 is none.",
        minimum=0,
        maximum=2**20,
    )

    def __post_init__(self) -> None:
        check_limits(self)
        width, heads = self.width, self.heads
        if width % heads:
            near = max(n for n in range(1, heads + 1) if width % n == 0)
            raise ConfigError(f"width must be divisible by heads; got {width} and {heads}. Try {near} heads.", "heads")
        if (width // heads) % 2:
            raise ConfigError(f"width / heads must be even; got {width} / {heads}. Try width {2 * width}.", "heads")
        check_slots(self.memory_slots)


@dataclass(frozen=True)
class Family:
    """A kind of brain. `module` is its model as "module:class", loaded when one is built."""

    config: type[BrainConfig]
    module: str
    colour: str
    presets: Mapping[str, dict[str, Any]] = field(default_factory=lambda: PRESETS)
    starter: Mapping[str, Any] = field(default_factory=lambda: STARTER)  # the recipe of its starter brain
    competes: Mapping[str, Any] = field(default_factory=dict)  # options that it has in the arena
    ablations: Mapping[str, tuple[str, dict[str, Any]]] = field(
        default_factory=dict
    )  # strategy that is left out, options
    lr: float = 0.005  # in the arena, until it is tuned
    strategies: tuple[str, ...] = ("naive",)  # its best ones, until they are tuned
