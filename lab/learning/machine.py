"""What the machine offers: device, number format, threads."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import torch

from lab.config import ConfigError, TrainingConfig


@dataclass(frozen=True)
class Machine:
    """Where and in which format a run computes."""

    device: torch.device
    precision: str  # bf16 or fp32
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context that computes in bf16 where that was chosen."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


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
    """Say whether a product in bf16 is faster than in fp32, by the chip's word on a GPU and by trial on a CPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = torch.ones(1024, 128, dtype=kind), torch.ones(128, 512, dtype=kind)
        timings = []
        for _ in range(12):
            begin = time.perf_counter()
            a @ b
            timings.append(time.perf_counter() - begin)
        seconds[kind] = sorted(timings)[len(timings) // 4]
    return seconds[torch.bfloat16] < 0.8 * seconds[torch.float32]
