"""The typed records that engines yield. A caller matches on the class; the run log stores each as one JSON line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


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
    """One optimiser step. `surprise` is a share of bytes; `measures` are numbers that only some brains have."""

    step: int
    tokens: int
    loss: float  # nats per token
    surprise: float
    lr: float
    tokens_s: float
    elapsed_s: float
    grad_norm: float
    bands: dict[str, bool]  # which band's weights moved at this step
    measures: dict[str, float] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Phase:
    """A sleeping mind goes on to another phase ("NREM" or "REM"), `seconds` after it fell asleep."""

    phase: str
    doing: str
    seconds: float


@dataclass(frozen=True)
class Quizzed:
    """The questions and answers that a sleeping mind found in a trace and will learn."""

    trace: int
    pairs: list[list[str]]


@dataclass(frozen=True)
class Dreamt:
    """So many dreams so far, of about `of`."""

    dreams: int
    of: int
    seconds: float


@dataclass(frozen=True)
class ByHeart:
    """What the brain knows by heart without having been taught it, and how much of what it once knew has slipped."""

    pairs: list[list[str]]
    slipped: int


@dataclass(frozen=True)
class NightStep:
    """A training step of a night: loss on the lessons and drift on the dreams, in nats per token."""

    step: int
    of: int
    loss: float
    drift: float
    seconds: float


@dataclass(frozen=True)
class TraceAudited:
    """A trace was asked from the weights alone, in words that were not trained where there were enough."""

    trace: int
    question: str
    passed: bool
    passed_before: bool


@dataclass(frozen=True)
class NightEnded:
    """The night is over. Without `kept` the brain has its old weights. Recall and retention are shares, None: unasked."""

    kept: bool
    cancelled: bool
    seconds: float
    replayed: int
    dreams: int
    retained: float | None
    recall_before: float | None
    recall_after: float | None


@dataclass(frozen=True)
class Contested:
    """An arena run begins: its tasks in order, and each contestant's parameters."""

    stream: str
    tasks: dict[str, list[str]]  # by order of the tasks
    parameters: dict[str, int]
    cells: int  # contestants × seeds × orders
    done: float  # the share that was whole before, where a run goes on


@dataclass(frozen=True)
class Begun:
    """A contestant with a seed and an order begins, or goes on after `done` whole tasks (-1: not even scored before any)."""

    contestant: str
    seed: int
    order: str
    done: int


@dataclass(frozen=True)
class Practised:
    """A contestant has done `step` of `of` steps of a task (from 1); `seconds` of learning so far, all tasks together."""

    contestant: str
    seed: int
    order: str
    task: int
    step: int
    of: int
    loss: float
    penalty: float
    seconds: float


@dataclass(frozen=True)
class Probed:
    """Recall of some examples of a task while another is learnt: `moment` counts tasks, 1.5 is half way through the second."""

    contestant: str
    seed: int
    order: str
    moment: float
    on_task: int
    recall: float


@dataclass(frozen=True)
class Scored:
    """Recall on a task after another (0: before any), and the loss on its answers. `stale` is on answers of the past."""

    contestant: str
    seed: int
    order: str
    after_task: int
    on_task: int
    split: str  # taught, test or stale
    recall: float
    loss_nats: float
    n: int


@dataclass(frozen=True)
class Answered:
    """What a contestant answered to one example of the test."""

    contestant: str
    seed: int
    order: str
    after_task: int
    on_task: int
    prompt: str
    expected: str
    given: str
    correct: bool


@dataclass(frozen=True)
class TaskEnded:
    """A contestant has learnt a task: what it cost so far. `coverage` is the share of past lessons that it dreamt."""

    contestant: str
    seed: int
    order: str
    task: int
    seconds: float
    steps: int
    tokens: int
    stored_bytes: int
    peak_bytes: int
    coverage: float | None


Event = Started | Step | Evaluated | Sampled | Checkpointed | RolledBack | Notice | Finished
NightEvent = Phase | Quizzed | Dreamt | ByHeart | NightStep | TraceAudited | NightEnded
ArenaEvent = Contested | Begun | Practised | Probed | Scored | Answered | TaskEnded


def to_record(event: Event | NightEvent | ArenaEvent) -> dict[str, Any]:
    """Give the event as a JSON object whose `kind` names its class in lower case."""
    return {"kind": type(event).__name__.lower(), **dataclasses.asdict(event)}


KINDS = {
    kind.__name__.lower(): get_type_hints(kind) for kind in get_args(Event | ArenaEvent | NightEvent)
}  # their fields


def read_record(record: dict[str, Any]) -> dict[str, Any] | None:
    """Give the fields of one line of a run's log; None where it cannot be used: of no known kind, or a field is missing or wrong.

    A step or a start that knows its number is of use; what else it lacks is None. Old logs have fire_rate as a field.
    """
    kind = record.get("kind")
    types = KINDS.get(kind) if isinstance(kind, str) else None
    if types is None:
        return None
    if kind == "step" and "measures" not in record:
        record = {**record, "measures": {"fire_rate": rate} if _fits(rate := record.get("fire_rate"), float) else {}}
    fit = {name: _fits(record.get(name), wanted) for name, wanted in types.items()}
    if not (fit["step"] if kind in ("step", "started") else all(fit.values())):
        return None
    return {"kind": kind, **{name: record.get(name) if fits else None for name, fits in fit.items()}}


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value read from JSON is of the type of a field."""
    if type(value) is wanted:
        return wanted is not int or abs(value) < 2**63
    if isinstance(wanted, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    kind, inner = get_origin(wanted), get_args(wanted)
    if kind is None or type(value) is not kind:
        return (wanted is float and _fits(value, int)) or (wanted is type(None) and value is None)
    return all(_fits(one, inner[-1]) for one in (value.values() if kind is dict else value))
