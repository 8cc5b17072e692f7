"""The options of a training run: the brain, what it reads and how it learns; and presets and recipes of them."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lab.config.options import ConfigError, check_limits, check_slots, option


@dataclass(frozen=True)
class BaselineConfig:
    """A plain pre-norm transformer: the control that every other brain is compared with."""

    width: int = option(128, "Numbers that represent one byte inside the model.", minimum=8, maximum=4096)
    layers: int = option(4, "Blocks stacked on each other.", minimum=1, maximum=64)
    heads: int = option(4, "Attention heads; they share the width equally.", minimum=1, maximum=64)
    mlp_ratio: float = option(4.0, "Hidden width of the MLP, as a multiple of the width.", minimum=0.1, maximum=64)
    conv_kernel: int = option(
        1, "Bytes that the causal convolution before attention sees; 1 is no convolution.", minimum=1, maximum=16
    )
    memory_slots: int = option(
        0,
        "Value rows of a product-key memory in the middle block, a square from 16 up; 0 is none.",
        minimum=0,
        maximum=2**20,
    )

    def __post_init__(self) -> None:
        check_limits(self)
        _check_heads(self.width, self.heads)
        check_slots(self.memory_slots)


@dataclass(frozen=True)
class QORConfig:
    """QOR: attention (Focus), a self-modifying layer (Live adaptation) and multi-speed memory (CMS)."""

    width: int = option(128, "Numbers that represent one byte inside the model.", minimum=8, maximum=4096)
    layers: int = option(4, "Blocks stacked on each other.", minimum=1, maximum=64)
    heads: int = option(4, "Heads of attention and of the self-modifying layer.", minimum=1, maximum=64)
    mlp_ratio: float = option(
        2.0, "Hidden width of each of the three CMS memories, as a multiple of the width.", minimum=0.1, maximum=64
    )
    conv_kernel: int = option(4, "Bytes that the causal convolutions see; 1 is no convolution.", minimum=1, maximum=16)
    self_mod_lr: float = option(
        0.9,
        "How strongly a surprising byte rewrites the live memory, at the start of training.",
        minimum=0.001,
        maximum=0.999,
    )
    self_mod_decay: float = option(
        0.995,
        "How much of the live memory is kept from byte to byte, at the start of training.",
        minimum=0.5,
        maximum=0.99999,
    )
    self_mod_chunk: int = option(
        32, "Bytes that the live memory takes in at once before it measures surprise anew.", minimum=1, maximum=256
    )
    surprise_threshold: float = option(
        0.5,
        "Quantile of surprise below which the live memory shuts itself to a byte, softly; 0 never shuts it.",
        minimum=0.0,
        maximum=0.99,
    )
    cms_med_freq: int = option(16, "The medium band learns once in this many training steps.", minimum=1)
    cms_slow_freq: int = option(64, "The deep band learns once in this many training steps.", minimum=1)
    memory_slots: int = option(
        0,
        "Value rows of a product-key memory in the middle block, a square from 16 up; 0 is none.",
        minimum=0,
        maximum=2**20,
    )

    def __post_init__(self) -> None:
        check_limits(self)
        _check_heads(self.width, self.heads)
        check_slots(self.memory_slots)
        bands = (1, self.cms_med_freq, self.cms_slow_freq)
        ablation = bands == (1, 1, 1)  # all periods 1 is the ablation of multi-speed memory, and allowed
        if not ablation and not bands[0] < bands[1] < bands[2]:
            raise ConfigError(f"bands must rise; got {bands}. Try (1, 16, 64).", "cms_med_freq")


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        near = max(n for n in range(1, heads + 1) if width % n == 0)
        raise ConfigError(f"width must be divisible by heads; got {width} and {heads}. Try {near} heads.", "heads")
    if (width // heads) % 2:
        raise ConfigError(f"width / heads must be even; got {width} / {heads}. Try width {2 * width}.", "heads")


BrainConfig = BaselineConfig | QORConfig
BRAINS: dict[str, type[BaselineConfig] | type[QORConfig]] = {"qor": QORConfig, "baseline": BaselineConfig}
PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"width": 128, "layers": 4, "heads": 4},
    "nano": {"width": 256, "layers": 6, "heads": 8},
    "small": {"width": 384, "layers": 8, "heads": 12},
    "medium": {"width": 512, "layers": 12, "heads": 16},
}


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
    seq_len: int = option(128, "Bytes in one training sequence.", minimum=8, maximum=65536)
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

    model: str = option("qor", "Which brain to train.", choices=tuple(BRAINS), advanced=False)
    preset: str = option(
        "tiny", "Size of the brain; each of its settings can still be changed.", choices=tuple(PRESETS), advanced=False
    )
    brain: BrainConfig = field(default_factory=QORConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_limits(self)
        if not isinstance(self.brain, BRAINS[self.model]):
            raise ConfigError(f"brain must be a {BRAINS[self.model].__name__}; got {self.brain!r}.", "model")


STARTERS = Path(__file__).resolve().parents[2] / "runs" / "starters"  # the trained brains that come with the code
STARTER = {
    "data": "curriculum", "seq_len": 448, "batch_size": 12, "steps": 100_000, "minutes": 100.0, "seed": 1,
    "threads": 1, "eval_every": 250, "sample_every": 250, "checkpoint_every": 250,
}  # fmt: skip
RECIPES: dict[str, dict[str, dict[str, Any]]] = {  # options by model, so that a long training is one word
    "starter": {
        # lessons do not change from step to step, so slow bands would only learn less of them
        "qor": {**STARTER, "cms_med_freq": 2, "cms_slow_freq": 8, "mlp_ratio": 4.0},
        "baseline": {**STARTER, "conv_kernel": 4, "mlp_ratio": 14.0},
    }
}
SECTIONS: dict[str, type[Any]] = {"data": DataConfig, "training": TrainingConfig}


def build_config(options: dict[str, Any]) -> RunConfig:
    """Make a RunConfig from flat option names; whatever is left out takes the recipe's, preset's or default value.

    Raises ConfigError for an unknown name, a name the chosen model lacks, or a value against its rule.
    """
    left = dict(options)
    if recipe := left.pop("recipe", None):
        if recipe not in RECIPES:
            raise ConfigError(f"recipe must be one of {', '.join(RECIPES)}; got {recipe!r}.", "recipe")
        left = {**RECIPES[recipe].get(left.get("model", "qor"), {}), **left}
    head = {name: left.pop(name) for name in ("model", "preset") if name in left}
    model, preset = head.get("model", "qor"), head.get("preset", "tiny")
    for name, value, table in (("model", model, BRAINS), ("preset", preset, PRESETS)):
        if value not in tuple(table):
            raise ConfigError(f"{name} must be one of {', '.join(table)}; got {value!r}.", name)
    sections: dict[str, Any] = {}
    for name, kind in {"brain": BRAINS[model], **SECTIONS}.items():
        known = {spec.name for spec in fields(kind)}
        chosen = {key: left.pop(key) for key in list(left) if key in known}
        sections[name] = kind(**({**PRESETS[preset], **chosen} if name == "brain" else chosen))
    for name in left:
        owners = [brain for brain, kind in BRAINS.items() if name in {spec.name for spec in fields(kind)}]
        if owners:
            raise ConfigError(f"{name} belongs to {' and '.join(owners)}; got model {model}. Leave it out.", name)
        raise ConfigError(f"options must be known; got {name!r}. See python -m lab train --help.", name)
    return RunConfig(model=model, preset=preset, **sections)


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
