"""The options of a training run: the brain, what it reads and how it learns."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lab.config.brains import DEFAULT, FAMILIES, BrainConfig
from lab.config.options import ConfigError, check_limits, option

SIZES = tuple(dict.fromkeys(name for family in FAMILIES.values() for name in family.presets))


@dataclass(frozen=True)
class DataConfig:
    """What the brain reads."""

    data: str = option(
        "facts",
        "facts, facts:WORLD[,WORLD], curriculum (lessons for minds, without end), a path to a .txt, .jsonl, .csv or "
        ".parquet file, or hub:NAME[:CONFIG][:COLUMN].",
        advanced=False,
    )
    column: str = option("text", "Column or key that holds the text of a .jsonl, .csv or .parquet file.")
    validation_share: float = option(
        0.1, "Share of the documents that is kept out of training and scored.", minimum=0.001, maximum=0.5
    )
    seq_len: int = option(128, "Tokens in one training sequence.", minimum=8, maximum=65536)
    batch_size: int = option(8, "Sequences in one batch.", minimum=1, maximum=4096)

    def __post_init__(self) -> None:
        check_limits(self)
        if not self.data.strip():
            raise ConfigError("data must name something to read; got nothing. Try facts.", "data")


@dataclass(frozen=True)
class TrainingConfig:
    """How the brain learns."""

    steps: int = option(500, "Training steps.", minimum=1, advanced=False)
    minutes: float = option(
        0.0, "Training time in minutes; it ends the run before its steps do. 0 is no limit.", minimum=0, advanced=False
    )
    seed: int = option(
        0, "Seed of the first weights and of the order of the data.", minimum=0, maximum=2**32 - 1, advanced=False
    )
    begin_from: str = option("", "A run's folder, or a brain's, to learn on from; empty begins with fresh weights.")
    begun_share: float = option(
        0.0, "Share of the brain that it began from in the weights that it ends with; the mean may be better than both.",
        minimum=0.0, maximum=0.9,
    )  # fmt: skip
    lr: float = option(0.003, "Learning rate at its height.", minimum=1e-7, maximum=1.0)
    warmup_share: float = option(0.02, "Share of the run in which the rate rises.", minimum=0.0, maximum=0.9)
    decay_share: float = option(0.5, "Share of the run in which the rate falls to 0.", minimum=0.0, maximum=1.0)
    weight_decay: float = option(0.1, "Pull of the matrices toward 0.", minimum=0.0, maximum=1.0)
    slow_lr_power: float = option(
        0.0, "A band of period P learns with the rate times P to this power.", minimum=0.0, maximum=1.0
    )
    clip: float = option(1.0, "Longest gradient that a band may follow in one step.", minimum=1e-6)
    accumulate: int = option(1, "Batches whose gradients make one step.", minimum=1, maximum=1024)
    spike_ratio: float = option(
        2.0, "A loss this many times its running mean sends training back to the last good checkpoint.", minimum=1.05
    )
    eval_every: int = option(100, "Steps between validations.", minimum=1)
    eval_batches: int = option(16, "Batches in one validation.", minimum=1)
    sample_every: int = option(100, "Steps between sample texts.", minimum=1)
    sample_bytes: int = option(120, "Length of a sample text in bytes.", minimum=1, maximum=4096)
    prompt: str = option("", "What sample texts begin with; empty takes the start of a validation document.")
    checkpoint_every: int = option(100, "Steps between checkpoints.", minimum=1)
    device: str = option("auto", "Where to train.", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = option(
        "auto", "bf16 is faster where the machine has it; auto asks the machine.", choices=("auto", "bf16", "fp32")
    )
    threads: int = option(0, "CPU threads; 0 takes what the machine offers.", minimum=0, maximum=1024)
    compile: bool = option(False, "Try torch.compile first; without a compiler training goes on as it is.")

    def __post_init__(self) -> None:
        check_limits(self)
        if self.warmup_share + self.decay_share > 1:
            got = f"{self.warmup_share} and {self.decay_share}"
            raise ConfigError(f"warmup_share and decay_share must not sum to more than 1; got {got}.", "warmup_share")
        if self.begun_share and not self.begin_from:
            got = f"{self.begun_share} and no begin_from"
            raise ConfigError(f"begun_share must be 0 where a run begins with fresh weights; got {got}.", "begun_share")


@dataclass(frozen=True)
class RunConfig:
    """One run: a brain, what it reads and how it learns."""

    model: str = option(DEFAULT, "Which brain to train.", choices=FAMILIES, advanced=False)
    preset: str = option(
        "tiny", "Size of the brain; each of its settings can still be changed.", choices=SIZES, advanced=False
    )
    brain: BrainConfig = field(default_factory=FAMILIES[DEFAULT].config)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_limits(self)
        kind = FAMILIES[self.model].config
        if not isinstance(self.brain, kind):
            raise ConfigError(f"brain must be a {kind.__name__}; got {self.brain!r}.", "model")


STARTERS = Path(__file__).resolve().parents[2] / "runs" / "starters"  # the trained brains that come with the code
RECIPES = ("starter",)  # a long training in one word, with the options of each family
SECTIONS: dict[str, type[Any]] = {"data": DataConfig, "training": TrainingConfig}


def option_kinds() -> tuple[type[Any], ...]:
    """Give every config that a run's options belong to."""
    return RunConfig, *SECTIONS.values(), *(family.config for family in FAMILIES.values())


def build_config(options: dict[str, Any]) -> RunConfig:
    """Make a RunConfig from flat option names; whatever is left out takes the recipe's, preset's or default value.

    Raises ConfigError for an unknown name, a name the chosen model lacks, or a value against its rule.
    """
    left = dict(options)
    recipe, model = left.pop("recipe", None), left.pop("model", DEFAULT)
    _among("recipe", recipe, (None, *RECIPES))
    _among("model", model, tuple(FAMILIES))
    family = FAMILIES[model]
    preset = left.pop("preset", next(iter(family.presets)))
    _among("preset", preset, tuple(family.presets))
    left = {**(family.starter if recipe else {}), **left}
    sections: dict[str, Any] = {}
    for name, kind in {"brain": family.config, **SECTIONS}.items():
        own = {spec.name for spec in fields(kind)}
        chosen = {key: left.pop(key) for key in list(left) if key in own}
        sections[name] = kind(**({**family.presets[preset], **chosen} if name == "brain" else chosen))
    for name in left:
        owners = [other for other, has in FAMILIES.items() if name in {spec.name for spec in fields(has.config)}]
        if owners:
            raise ConfigError(f"{name} belongs to {' and '.join(owners)}; got model {model}. Leave it out.", name)
        raise ConfigError(f"options must be known; got {name!r}. See python -m lab train --help.", name)
    return RunConfig(model=model, preset=preset, **sections)


def _among(name: str, value: object, known: Sequence[str | None]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(filter(None, known))}; got {value!r}.", name)


def flatten_config(config: RunConfig) -> dict[str, Any]:
    """Give every option of `config` under its flat name; the inverse of `build_config`."""
    flat: dict[str, Any] = {"model": config.model, "preset": config.preset}
    for section in (config.brain, config.data, config.training):
        flat |= dataclasses.asdict(section)
    return flat


def changed_options(config: RunConfig) -> dict[str, Any]:
    """Give the options that differ from what model and preset alone would set; model and preset always."""
    plain = flatten_config(build_config({"model": config.model, "preset": config.preset}))
    flat = flatten_config(config)
    return {name: value for name, value in flat.items() if name in ("model", "preset") or value != plain[name]}


def command_line(config: RunConfig) -> str:
    """Give the shell command that trains `config`, with only what differs from the preset."""
    words = ["python", "-m", "lab", "train"]
    for name, value in changed_options(config).items():
        flag = "--" + name.replace("_", "-")
        words += [flag if value else "--no-" + flag[2:]] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join(words)
