"""Who learns: a contestant is a model with strategies. `baseline+dreams` stands beside `qor`, so that credit goes where it
is due; parameters are matched."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.config import BRAINS, ArenaConfig, BaselineConfig, BrainConfig, ConfigError, QORConfig
from lab.learning import STRATEGIES, Machine, Strategy
from lab.models import count_parameters

FEW, MANY = 1, 5  # hidden widths, as multiples of the width, between which the parameters are matched
NEED_SLOTS = ("sparse", "slots")
BUDGETED = ("replay", "der")
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {  # of qor: the strategy it does without, or options of its model
    "no-gate": ("", {"surprise_threshold": 0.0}),
    "one-period": ("", {"cms_med_freq": 1, "cms_slow_freq": 1}),
    "no-dreams": ("dreams", {}), "no-memory": ("slots", {}), "no-sleep": ("bands", {}),
}  # fmt: skip


@dataclass(frozen=True)
class Contestant:
    """A model, what is changed of it, and how it keeps what it knows."""

    name: str
    model: str
    strategies: tuple[str, ...] = ("naive",)
    changes: dict[str, Any] = field(default_factory=dict)  # options of the model


@functools.cache
def settings() -> dict[str, dict[str, Any]]:
    """What was tuned; settings.toml."""
    return tomllib.loads((Path(__file__).parent / "settings.toml").read_text(encoding="utf-8"))


def find_contestant(name: str) -> Contestant:
    """MODEL, MODEL+STRATEGY[+STRATEGY], joint (the baseline's ceiling), or qor/ABLATION. Raises ConfigError for anybody else.

    `qor` alone is the combination that won on the tuning seeds; `baseline` alone learns without any strategy.
    """
    best = tuple(settings()["qor"]["strategies"])
    if name == "joint":
        return Contestant(name, "baseline", ("joint",))
    if name == "qor":
        return Contestant(name, "qor", best)
    model, _, ablation = name.partition("/")
    if model == "qor" and ablation in ablations():
        without, changes = ABLATIONS[ablation]
        return Contestant(name, "qor", tuple(s for s in best if s != without) or ("naive",), changes)
    model, *strategies = name.split("+")
    if model in BRAINS and all(one in STRATEGIES for one in strategies) and not ablation:
        return Contestant(name, model, tuple(strategies) or ("naive",))
    raise ConfigError(
        f"a contestant must be {' or '.join(BRAINS)}, alone or with + and one or more of {', '.join(STRATEGIES)}, or joint, "
        f"or {', '.join('qor/' + one for one in ablations())}; got {name!r}.", "contestants",
    )  # fmt: skip


def ablations() -> list[str]:
    """The ablations that take something from qor as it is tuned now."""
    best = settings()["qor"]["strategies"]
    return [name for name, (without, changes) in ABLATIONS.items() if changes or without in best]


def brain_config(contestant: Contestant, config: ArenaConfig) -> BrainConfig:
    """The brain's options; its MLPs are as wide as it takes to have as many parameters as a plain QOR. Raises ConfigError."""
    size: dict[str, Any] = {"width": config.width, "layers": config.layers, "heads": config.heads}
    plain = QORConfig(**size)
    if contestant.model == "qor" and contestant.changes.keys() == {"surprise_threshold"}:  # one number less a head
        return replace(plain, **contestant.changes)
    aim = count_parameters("qor", plain)
    side = min(settings()["sparse"]["slots"], aim // (3 * config.width)) ** 0.5  # at most a third of all weights
    slots = {"memory_slots": int(side) ** 2} if set(contestant.strategies) & {*NEED_SLOTS} else {}
    options = {**size, **slots, **contestant.changes}
    kind = QORConfig if contestant.model == "qor" else BaselineConfig
    if kind is BaselineConfig:
        options["conv_kernel"] = plain.conv_kernel
    if kind is QORConfig and not slots:
        return kind(**options)
    few, many = (count_parameters(contestant.model, kind(**options, mlp_ratio=ratio)) for ratio in (FEW, MANY))
    # the count grows in a straight line with the hidden width
    hidden = config.width * FEW + (aim - few) / (many - few) * config.width * (MANY - FEW)
    return kind(**options, mlp_ratio=max(1, round(hidden)) / config.width)


def make_strategies(contestant: Contestant, config: ArenaConfig, machine: Machine, seed: int) -> list[Strategy]:
    """The strategies with their tuned settings; the first chooses which weights learn."""
    made = []
    for name in sorted(
        contestant.strategies, key=lambda s: s in ("dreams", *BUDGETED)
    ):  # those that choose weights first
        tuned = {key: value for key, value in settings().get(name, {}).items() if key != "slots"}
        budget = {"budget": config.replay_bytes} if name in BUDGETED else {}
        made.append(STRATEGIES[name](machine, seed, **tuned, **budget))
    return made
