"""The brains. A new one is a file here, a file in lab.config.brains, and a line there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import torch

from lab.config import FAMILIES, BrainConfig, ConfigError
from lab.models.contract import Band, Brain, Layers, Reading, State
from lab.text import LAB, Template


def build(name: str, preset_or_config: str | BrainConfig = "tiny", *, seed: int = 0, template: Template = LAB) -> Brain:
    """Make a brain with fresh weights drawn from `seed`, that speaks by `template`; raises ConfigError for an unknown name or
    preset."""
    if name not in FAMILIES:
        raise ConfigError(f"model must be one of {', '.join(FAMILIES)}; got {name!r}.", "model")
    family = FAMILIES[name]
    if isinstance(preset_or_config, str):
        if preset_or_config not in family.presets:
            raise ConfigError(f"preset must be one of {', '.join(family.presets)}; got {preset_or_config!r}.", "preset")
        preset_or_config = family.config(**family.presets[preset_or_config])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        brain = _model_of(name)(preset_or_config, template.tokenizer.size)
    brain.template = template
    return brain


def _model_of(name: str) -> Callable[[BrainConfig, int], Brain]:
    """The class of a family's model; its module is loaded now."""
    module, _, kind = FAMILIES[name].module.partition(":")
    model: Callable[[BrainConfig, int], Brain] = getattr(import_module(module), kind)
    return model


def count_parameters(name: str, config: BrainConfig, vocabulary: int = LAB.tokenizer.size) -> int:
    """Count the weights of a brain without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in _model_of(name)(config, vocabulary).parameters())


def add_memory(name: str, brain: Brain, slots: int, *, seed: int = 0) -> Brain:
    """Give the same brain, of the family called `name`, with a fresh memory layer that changes nothing yet.

    The weights are copies. Raises ConfigError for a number of slots against its rule and for a brain that has some.
    """
    if brain.config.memory_slots:
        got = f"got a brain with {brain.config.memory_slots} already. Use it as it is."
        raise ConfigError(f"memory_slots must be added to a brain without; {got}", "memory_slots")
    grown = build(name, replace(brain.config, memory_slots=slots), seed=seed, template=brain.template)
    grown.load_state_dict(brain.state_dict(), strict=False)  # what it lacks is the layer's
    like = next(brain.parameters())
    return grown.to(like.device, like.dtype).train(brain.training)


__all__ = ["Band", "Brain", "Layers", "Reading", "State", "add_memory", "build", "count_parameters"]
