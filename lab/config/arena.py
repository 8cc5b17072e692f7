"""The options of an arena run: what is learnt in which order, by whom, how often, and within which limits."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

from lab.config.options import ConfigError, check_limits, option

WORLD_STREAMS = ("mind-test", "worlds-5", "same-subjects", "updates")


@dataclass(frozen=True)
class ArenaConfig:
    """One comparison."""

    stream: str = option(
        "mind-test",
        f"{', '.join(WORLD_STREAMS)}, a folder of task files (.jsonl with prompt and answer), or a .json or .csv file of texts "
        "with labels.",
        advanced=False,
    )
    contestants: str = option(
        "qor,baseline",
        "Who learns: MODEL or MODEL+STRATEGY (qor is QOR with its best ones), with commas between them.",
        advanced=False,
    )
    seeds: int = option(
        1,
        "How often each contestant begins anew, with other weights and facts.",
        minimum=1,
        maximum=100,
        advanced=False,
    )
    first_seed: int = option(1, "The first seed; settings were tuned on 1000 and above.", minimum=0, maximum=10**6)
    order: str = option(
        "forward", "The order of the tasks; both runs each.", choices=("forward", "reverse", "both"), advanced=False
    )
    mode: str = option(
        "hard",
        "Whether tasks follow each other (hard), mix at their edges (blurry), or drift (task-free).",
        choices=("hard", "blurry", "task-free"),
    )
    blur: float = option(
        0.2, "Share of a task's lessons that come in other tasks' time (blurry).", minimum=0.1, maximum=0.3
    )
    facts: int = option(24, "Most facts of one task.", minimum=2, maximum=10_000, advanced=False)
    parts: int = option(5, "Tasks that a file of labels is cut into, where it names no domains.", minimum=2, maximum=50)
    steps: int = option(130, "Training steps of one task.", minimum=1, maximum=1_000_000, advanced=False)
    equal: str = option(
        "steps",
        "What every contestant gets the same of in a task: training steps, tokens (rehearsed ones count) or seconds.",
        choices=("steps", "tokens", "seconds"),
    )
    seconds: float = option(20.0, "Seconds of one task, where seconds are equal.", minimum=1, maximum=86_400)
    minutes: float = option(
        0.0, "Most minutes for the whole run; it must fit. 0 is no limit.", minimum=0, advanced=False
    )
    batch_size: int = option(32, "Lessons in one step.", minimum=1, maximum=4096)
    width: int = option(128, "Width of every brain.", minimum=8, maximum=4096)
    layers: int = option(2, "Layers of every brain.", minimum=1, maximum=64)
    heads: int = option(4, "Heads of every brain.", minimum=1, maximum=64)
    replay_bytes: int = option(8192, "Bytes of past lessons that replay and der may keep.", minimum=0, maximum=10**9)
    probes: int = option(4, "How often recall is looked at while a task is learnt.", minimum=0, maximum=100)
    device: str = option("cpu", "Where every brain learns.", choices=("auto", "cpu", "cuda", "mps"))
    control: str = option(
        "",
        "Whom the others are compared with; empty takes the hardest among them: baseline+dreams, baseline+replay, baseline.",
        advanced=False,
    )

    def __post_init__(self) -> None:
        check_limits(self)
        if not self.names():
            raise ConfigError("contestants must name somebody; got nobody. Try qor,baseline.", "contestants")
        if self.control and self.control not in self.names():
            raise ConfigError(
                f"control must be one of the contestants {', '.join(self.names())}; got {self.control!r}.", "control"
            )

    def names(self) -> list[str]:
        """The contestants, each once."""
        return list(dict.fromkeys(name.strip() for name in self.contestants.split(",") if name.strip()))

    def orders(self) -> list[str]:
        return ["forward", "reverse"] if self.order == "both" else [self.order]

    def all_seeds(self) -> list[int]:
        return list(range(self.first_seed, self.first_seed + self.seeds))


def build_arena(options: dict[str, Any]) -> ArenaConfig:
    """Make an ArenaConfig from option names. Raises ConfigError for an unknown one or a value against its rule."""
    known = {spec.name for spec in dataclasses.fields(ArenaConfig)}
    for name in options:
        if name not in known:
            raise ConfigError(f"options must be known; got {name!r}. See python -m lab arena --help.", name)
    return ArenaConfig(**options)


def arena_line(config: ArenaConfig) -> str:
    """Give the shell command that runs `config`, with only what differs from the defaults."""
    plain, words = dataclasses.asdict(ArenaConfig()), ["python", "-m", "lab", "arena"]
    for name, value in dataclasses.asdict(config).items():
        if name in ("stream", "contestants") or value != plain[name]:
            words += ["--" + name.replace("_", "-"), str(value)]
    return shlex.join(words)
