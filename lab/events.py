"""The typed records that engines yield. A caller matches on the class; the run log stores each as one JSON line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Started:
    """Training begins, or goes on from `step`."""

    step: int
    parameters: int
    device: str
    precision: str
    threads: int
    resumed_from: str | None = None  # name of the checkpoint


@dataclass(frozen=True)
class Step:
    """One optimiser step. `surprise` is a share of bytes, `fire_rate` too; None where a brain has no gate."""

    step: int
    tokens: int
    loss: float  # nats per token
    surprise: float
    lr: float
    tokens_s: float
    elapsed_s: float
    grad_norm: float
    fire_rate: float | None
    bands: dict[str, bool]  # which band's weights moved at this step


@dataclass(frozen=True)
class Evaluated:
    """A validation, in bits per byte."""

    step: int
    split: str
    bpb: float


@dataclass(frozen=True)
class Sampled:
    """Text that the brain wrote: what followed `prompt`."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Checkpointed:
    """The state at `step` is on disk and durable."""

    step: int
    file: str


@dataclass(frozen=True)
class RolledBack:
    """The loss at `from_step` jumped; training went back to `to_step` and goes on with a lower rate."""

    from_step: int
    to_step: int
    loss: float
    lr_scale: float


@dataclass(frozen=True)
class Notice:
    """One sentence that the user should read."""

    step: int
    text: str


@dataclass(frozen=True)
class Finished:
    """The run ended by itself ("finished") or on request ("stopped")."""

    step: int
    status: str
    elapsed_s: float


Event = Started | Step | Evaluated | Sampled | Checkpointed | RolledBack | Notice | Finished


def to_record(event: Event) -> dict[str, Any]:
    """Give the event as a JSON object whose `kind` names its class in lower case."""
    return {"kind": type(event).__name__.lower(), **dataclasses.asdict(event)}
