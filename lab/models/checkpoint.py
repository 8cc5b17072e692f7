"""A brain on disk: `model.safetensors` with its weights and `model.json` with its name, config and text beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from lab.config import FAMILIES, ConfigError
from lab.disk import write_durably
from lab.models.contract import Brain
from lab.text import open_template, save_template

Value = TypeVar("Value")


def save_brain(folder: Path, name: str, brain: Brain, *, half: bool = False) -> None:
    """Write `brain`, of the family called `name`, to `folder`, which is made; with `half` in bf16, half as large."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kind = torch.bfloat16 if half else torch.float32
    weights = {
        key: value.detach().to("cpu", kind if value.is_floating_point() else value.dtype).contiguous().clone()
        for key, value in brain.state_dict().items()
    }
    text = save_template(brain.template, folder)
    write_durably(folder / "model.safetensors", save(weights))
    about = {"model": name, "config": dataclasses.asdict(brain.config), "text": text}
    write_durably(folder / "model.json", json.dumps(about, indent=2).encode())


def modern_names(weights: Mapping[str, Value], wanted: Set[str]) -> dict[str, Value]:
    """Give weights, or something of each, by the names that are `wanted`: those of before linear maps were modules go by others."""
    found = dict(weights)
    for name in wanted - found.keys():
        for old in (name.removesuffix(".linear.weight") + ".weight", name.removesuffix(".weight")):
            if old in found:
                found[name] = found.pop(old)
    return found


def load_weights(brain: Brain, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a brain, in fp32, and whole numbers as they are.

    Raises RuntimeError where one is missing, too many, or of another shape.
    """
    named = modern_names(weights, brain.state_dict().keys())
    brain.load_state_dict({name: w.float() if w.is_floating_point() else w for name, w in named.items()})


def load_brain(folder: Path) -> tuple[str, Brain]:
    """Read what `save_brain` wrote: the model's name and the brain, on the CPU in fp32.

    Raises ConfigError when the folder holds no whole brain; what model.json says is held against the shapes of the weights
    before anything is built, so that a small file cannot ask for a large brain.
    """
    from lab.models import build

    try:
        about: dict[str, Any] = json.loads((folder / "model.json").read_text())
        name, template = about["model"], open_template(about.get("text"), folder)
        config = FAMILIES[name].config(**about["config"])
        with torch.device("meta"):  # shapes without numbers
            wanted = {
                key: list(value.shape) for key, value in build(name, config, template=template).state_dict().items()
            }
        with safe_open(folder / "model.safetensors", "pt") as weights:
            shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
        held = modern_names(shapes, wanted.keys())
        if odd := sorted(key for key in wanted | held if wanted.get(key) != held.get(key)):
            need, got = (table.get(odd[0], "nothing") for table in (wanted, held))
            raise ValueError(f"model.json asks for {need} at {odd[0]}, model.safetensors has {got} ({len(odd)} such)")
        brain = build(name, config, template=template)
        load_weights(brain, load_file(folder / "model.safetensors"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"a brain's folder must hold model.json and model.safetensors; {folder} lacks one."
        ) from error
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"a brain must be whole; {folder} is not: {reason}. Export it again.") from error
    return name, brain
