"""The brains. A new one is one file and one line in MODELS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from lab.config import BRAINS, PRESETS, BrainConfig, ConfigError
from lab.models.baseline import Baseline
from lab.models.contract import Band, Brain
from lab.models.qor import QOR

VOCABULARY = 264  # 256 bytes and room for 8 marks; lab.data says which

MODELS: dict[str, Callable[[Any, int], Brain]] = {"qor": QOR, "baseline": Baseline}


def build(name: str, preset_or_config: str | BrainConfig = "tiny", *, seed: int = 0) -> Brain:
    """Make a brain with fresh weights drawn from `seed`; raises ConfigError for an unknown name or preset."""
    if name not in MODELS:
        raise ConfigError(f"model must be one of {', '.join(MODELS)}; got {name!r}.", "model")
    if isinstance(preset_or_config, str):
        if preset_or_config not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}; got {preset_or_config!r}.", "preset")
        preset_or_config = BRAINS[name](**PRESETS[preset_or_config])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](preset_or_config, VOCABULARY)


def count_parameters(name: str, config: BrainConfig) -> int:
    """Count the weights of a brain without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in MODELS[name](config, VOCABULARY).parameters())


def add_memory(name: str, brain: Brain, slots: int, *, seed: int = 0) -> Brain:
    """Give the same brain, a model of MODELS called `name`, with a fresh memory layer that changes nothing yet.

    The weights are copies. Raises ConfigError for a number of slots against its rule and for a brain that has some.
    """
    if brain.config.memory_slots:
        got = f"got a brain with {brain.config.memory_slots} already. Use it as it is."
        raise ConfigError(f"memory_slots must be added to a brain without; {got}", "memory_slots")
    grown = build(name, replace(brain.config, memory_slots=slots), seed=seed)
    grown.load_state_dict(brain.state_dict(), strict=False)  # what it lacks is the layer's
    like = next(brain.parameters())
    return grown.to(like.device, like.dtype).train(brain.training)


__all__ = ["MODELS", "VOCABULARY", "Band", "Brain", "add_memory", "build", "count_parameters"]
