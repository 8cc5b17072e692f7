"""Who learns: a contestant is a model with strategies. `baseline+dreams` stands beside `qor`, so that credit goes where it
is due; parameters are matched."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.config import BRAINS, ArenaConfig, BaselineConfig, BrainConfig, ConfigError, QORConfig
from lab.learning import NEED_MEMORY, STRATEGIES, Machine, Strategy
from lab.models import count_parameters

FEW, MANY = 1, 5  # hidden widths, as multiples of the width, between which the parameters are matched
BUDGETED = ("replay", "der")
CHOOSE = ("frozen", "lora", "slots", "sparse", "fast", "bands")  # strategies that choose which weights learn
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


Settings = dict[str, dict[str, Any]]
SETTINGS = Path(__file__).with_name("settings.toml")


def settings() -> Settings:
    """What was tuned, as it stands now: settings.toml. A run keeps what it began with."""
    return tomllib.loads(SETTINGS.read_text(encoding="utf-8"))


def find_contestant(name: str, tuned: Settings) -> Contestant:
    """MODEL, MODEL+STRATEGY[+STRATEGY], joint (the baseline's ceiling), or qor/ABLATION. Raises ConfigError for anybody else.

    `qor` alone is the combination that won on the tuning seeds; `baseline` alone learns without any strategy.
    """
    best = tuple(tuned["qor"]["strategies"])
    if name == "joint":
        return Contestant(name, "baseline", ("joint",))
    if name == "qor":
        return Contestant(name, "qor", best)
    model, _, ablation = name.partition("/")
    if model == "qor" and ablation in ablations(tuned):
        without, changes = ABLATIONS[ablation]
        return Contestant(name, "qor", tuple(s for s in best if s != without) or ("naive",), changes)
    model, *strategies = name.split("+")
    if model in BRAINS and all(one in STRATEGIES for one in strategies) and not ablation:
        if len({*strategies} & {*CHOOSE}) > 1:
            raise ConfigError(
                f"only one strategy of {', '.join(CHOOSE)} may choose which weights learn; got {name!r}.", "contestants"
            )
        return Contestant(name, model, tuple(strategies) or ("naive",))
    raise ConfigError(
        f"a contestant must be {' or '.join(BRAINS)}, alone or with + and one or more of {', '.join(STRATEGIES)}, or joint, "
        f"or {', '.join('qor/' + one for one in ablations(tuned))}; got {name!r}.", "contestants",
    )  # fmt: skip


def ablations(tuned: Settings) -> list[str]:
    """The ablations that take something from qor as it is tuned."""
    best = tuned["qor"]["strategies"]
    return [name for name, (without, changes) in ABLATIONS.items() if changes or without in best]


def brain_config(contestant: Contestant, config: ArenaConfig, tuned: Settings) -> BrainConfig:
    """The brain's options; its MLPs are as wide as it takes to have as many parameters as a plain QOR. Raises ConfigError."""
    size: dict[str, Any] = {"width": config.width, "layers": config.layers, "heads": config.heads}
    plain = QORConfig(**size)
    aim = count_parameters("qor", plain)
    side = min(tuned["sparse"]["slots"], aim // (3 * config.width)) ** 0.5  # at most a third of all weights
    slots = {"memory_slots": int(side) ** 2} if {*contestant.strategies} & NEED_MEMORY else {}
    options = {**size, **slots, **contestant.changes}
    kind = QORConfig if contestant.model == "qor" else BaselineConfig
    if kind is QORConfig and not slots:
        return kind(**options)
    if kind is BaselineConfig:
        options["conv_kernel"] = plain.conv_kernel
    few, many = (count_parameters(contestant.model, kind(**options, mlp_ratio=ratio)) for ratio in (FEW, MANY))
    # the count grows in a straight line with the hidden width
    hidden = round(config.width * FEW + (aim - few) / (many - few) * config.width * (MANY - FEW))
    if hidden < config.width / 8:
        raise ConfigError(
            f"width must leave room for a memory layer beside the MLPs; {config.width} does not for {contestant.name}. "
            f"Try {2 * config.width}.", "width",
        )  # fmt: skip
    return kind(**options, mlp_ratio=hidden / config.width)


def make_strategies(
    contestant: Contestant, config: ArenaConfig, machine: Machine, seed: int, tuned: Settings
) -> list[Strategy]:
    """The strategies with their tuned settings; the first chooses which weights learn."""
    made = []
    for name in sorted(contestant.strategies, key=lambda one: one not in CHOOSE):
        options = {key: value for key, value in tuned.get(name, {}).items() if key != "slots"}
        budget = {"budget": config.replay_bytes} if name in BUDGETED else {}
        made.append(STRATEGIES[name](machine, seed, **options, **budget))
    return made
