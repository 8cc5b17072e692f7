"""Everything a run needs to go on as if it had not stopped, in one safetensors file a checkpoint.

Weights, every band's moments and gathered gradients, the place in the data, the random state. Written beside, synced
and renamed; the previous good one is kept, and read when the newest turns out to be damaged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lab.disk import write_durably

KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> Path:
    """Write one checkpoint and drop all but the newest KEPT. `numbers` must be JSON. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path = folder / f"{step:09d}.safetensors"
    write_durably(path, save(whole, {"numbers": json.dumps({**numbers, "step": step})}))
    past = [found for found in list_checkpoints(folder) if found <= path]
    for old in {*list_checkpoints(folder)} - {*past[:KEPT]}:  # one ahead of us was damaged, or given up
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Give the checkpoints in `folder`, newest first."""
    return sorted(folder.glob("[0-9]*.safetensors"), reverse=True)


@dataclass(frozen=True)
class Checkpoint:
    """What was read back."""

    name: str
    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Give the tensors that were saved as `name`.…, by the rest of their names."""
        return {key.removeprefix(f"{name}."): t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest whole checkpoint, or None; and a sentence on each newer one that is damaged."""
    damaged: list[str] = []
    for path in list_checkpoints(folder):
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                numbers: dict[str, Any] = json.loads(file.metadata()["numbers"])
            return Checkpoint(path.name, tensors, numbers), damaged
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            damaged.append(f"Checkpoint {path.name} is damaged ({reason}); the one before it is used instead.")
    if damaged:
        damaged[-1] = damaged[-1].replace("the one before it is used instead", "training starts from the beginning")
    return None, damaged
