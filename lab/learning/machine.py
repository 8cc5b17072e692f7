"""What the machine offers: device, number format, threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lab.config import ConfigError, TrainingConfig

Placed = TypeVar("Placed", bound=Tensor | nn.Module)
CHIPS: dict[str, Any] = {"cuda": torch.cuda, "mps": torch.mps}  # devices with a random generator of their own


@dataclass(frozen=True)
class Machine:
    """Where and in which format a run computes."""

    device: torch.device
    precision: str  # bf16 or fp32
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context that computes in bf16 where that was chosen."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, what: Placed) -> Placed:
        """Give a tensor or a module on this machine's device."""
        return what.to(self.device)  # type: ignore[return-value]  # `to` gives what it is called on

    def generators(self) -> dict[str, Any]:
        """What keeps torch's random states, the CPU's and the device's own; nothing here draws from Python's or numpy's."""
        return {"random": torch} | {f"random.{kind}": chip for kind, chip in CHIPS.items() if kind == self.device.type}


def choose_machine(config: TrainingConfig) -> Machine:
    """Settle what `config` leaves to the machine. Raises ConfigError for a device that is not there."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(kind for kind in found if found[kind]) if config.device == "auto" else config.device
    if not found[name]:
        here = ", ".join(kind for kind in found if found[kind])
        raise ConfigError(f"device must be one that is there; got {name}, there is {here}. Try auto.", "device")
    if config.threads:
        torch.set_num_threads(config.threads)
    device = torch.device(name)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if prefers_bf16(device) else "fp32"
    return Machine(device, precision, torch.get_num_threads())


def prefers_bf16(device: torch.device) -> bool:
    """Say whether the chip computes in bf16 itself, so that it pays: by its own word, since timings differ by day."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in asked)
