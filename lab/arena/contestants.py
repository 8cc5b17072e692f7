"""Who learns: a contestant is a model with strategies. The control with the same strategy stands beside each, so that credit goes
where it is due; parameters are matched."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.config import CONTROL, DEFAULT, FAMILIES, ArenaConfig, BrainConfig, ConfigError
from lab.config import brains as families
from lab.learning import NEED_MEMORY, STRATEGIES, Machine, Strategy
from lab.models import count_parameters

FEW, MANY = 1, 5  # hidden widths, as multiples of the width, between which the parameters are matched
BUDGETED = ("replay", "der")
CHOOSE = ("frozen", "lora", "slots", "sparse", "fast", "bands")  # strategies that choose which weights learn


@dataclass(frozen=True)
class Contestant:
    """A model, what is changed of it, and how it keeps what it knows."""

    name: str
    model: str
    strategies: tuple[str, ...] = ("naive",)
    changes: dict[str, Any] = field(default_factory=dict)  # options of the model


Settings = dict[str, dict[str, Any]]
SETTINGS = Path(families.__file__).with_name("tuned.toml")


def settings() -> Settings:
    """What was tuned, as it stands now: tuned.toml. A run keeps what it began with."""
    return tomllib.loads(SETTINGS.read_text(encoding="utf-8"))


def best_strategies(model: str, tuned: Settings) -> tuple[str, ...]:
    """What a family learns with where nothing is said: the combination that won, or what its config says."""
    return tuple(tuned.get("best", {}).get(model, FAMILIES[model].strategies))


def find_contestant(name: str, tuned: Settings) -> Contestant:
    """MODEL, MODEL+STRATEGY[+STRATEGY], MODEL/ABLATION, or joint, the control's ceiling. Raises ConfigError for anybody else.

    A model alone learns with its best strategies; the control's are none.
    """
    if name == "joint":
        return Contestant(name, CONTROL, ("joint",))
    model, _, ablation = name.partition("/")
    if model in FAMILIES and (not ablation or ablation in ablations(model, tuned)):
        without, changes = FAMILIES[model].ablations.get(ablation, ("", {}))
        strategies = tuple(one for one in best_strategies(model, tuned) if one != without) or ("naive",)
        return Contestant(name, model, strategies, changes)
    model, *chosen = name.split("+")
    if model in FAMILIES and all(one in STRATEGIES for one in chosen) and not ablation:
        if len({*chosen} & {*CHOOSE}) > 1:
            raise ConfigError(
                f"only one strategy of {', '.join(CHOOSE)} may choose which weights learn; got {name!r}.", "contestants"
            )
        return Contestant(name, model, tuple(chosen))
    without_part = [f"{model}/{one}" for model in FAMILIES for one in ablations(model, tuned)]
    raise ConfigError(
        f"a contestant must be {' or '.join(FAMILIES)}, alone or with + and one or more of {', '.join(STRATEGIES)}, or joint, "
        f"or {', '.join(without_part)}; got {name!r}.", "contestants",
    )  # fmt: skip


def ablations(model: str, tuned: Settings) -> list[str]:
    """The ablations that take something from a family as it is tuned."""
    best = best_strategies(model, tuned)
    return [name for name, (without, changes) in FAMILIES[model].ablations.items() if changes or without in best]


def brain_config(contestant: Contestant, config: ArenaConfig, tuned: Settings) -> BrainConfig:
    """The brain's options; its MLPs are as wide as it takes to have as many parameters as the plain default brain, where its
    size depends on them. Raises ConfigError."""
    model, size = contestant.model, {"width": config.width, "layers": config.layers, "heads": config.heads}
    aim = count_parameters(DEFAULT, FAMILIES[DEFAULT].config(**size))
    side = min(tuned["sparse"]["slots"], aim // (3 * config.width)) ** 0.5  # at most a third of all weights
    slots = {"memory_slots": int(side) ** 2} if {*contestant.strategies} & NEED_MEMORY else {}
    family = FAMILIES[model]
    options: dict[str, Any] = {**size, **family.competes, **slots, **contestant.changes}
    few, many = (count_parameters(model, family.config(**options, mlp_ratio=ratio)) for ratio in (FEW, MANY))
    if (model == DEFAULT and not slots) or few == many:
        return family.config(**options)
    # the count grows in a straight line with the hidden width
    hidden = round(config.width * FEW + (aim - few) / (many - few) * config.width * (MANY - FEW))
    if hidden < config.width / 8:
        raise ConfigError(
            f"width must leave room for a memory layer beside the MLPs; {config.width} does not for {contestant.name}. "
            f"Try {2 * config.width}.", "width",
        )  # fmt: skip
    return family.config(**options, mlp_ratio=hidden / config.width)


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
