"""Tuning: settings are chosen on a stream of facts that no scored stream has, on seeds from 1000 on, by validation wordings.

One part is tried at a time, the others as they stand; the best mean final accuracy wins, and tuned.toml keeps it; what
stands there is changed for a clearly better one only. What all models share is tried with the control, so that no doubt
favours another.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit

from lab.arena import contestants
from lab.arena.contestants import Contestant, Settings, find_contestant, settings
from lab.arena.metrics import final_accuracy, matrix
from lab.arena.runner import compete
from lab.config import CONTROL, FAMILIES, ArenaConfig, ConfigError
from lab.disk import write_durably
from lab.events import Scored

FIRST_SEED = 1000
CHANCE = 0.025  # accuracy; two seeds of 30 facts a task cannot tell settings apart that differ by less
RATES, COMBINATIONS = (0.003, 0.005, 0.008), (("dreams",), ("slots", "dreams"), ("bands", "dreams"), ("bands",))
PARTS: dict[str, tuple[str, str, dict[str, Sequence[Any]]]] = {  # section of the settings, who tries, what is tried
    **{f"rates-{model}": ("rates", f"{model}+dreams", {model: RATES}) for model in FAMILIES},
    "whole": ("whole", f"{CONTROL}+dreams", {"weight": (0.03, 0.1, 0.3)}),
    "dreams": ("dreams", f"{CONTROL}+dreams", {"rows": (12, 24), "weight": (1.0, 3.0, 10.0)}),
    "ewc": ("ewc", f"{CONTROL}+ewc", {"strength": (1e2, 1e3, 1e4, 1e5)}),
    "l2": ("l2", f"{CONTROL}+l2", {"strength": (1e-3, 1e-2, 1e-1)}),
    "lwf": ("lwf", f"{CONTROL}+lwf", {"strength": (0.3, 1.0, 3.0)}),
    "replay": ("replay", f"{CONTROL}+replay", {"weight": (0.5, 1.0, 2.0)}),
    "der": ("der", f"{CONTROL}+der", {"match": (0.1, 0.3, 1.0)}),
    **{
        model: ("best", model, {model: [list(names) for names in COMBINATIONS]})
        for model, family in FAMILIES.items() if family.strategies != ("naive",)
    },
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One setting and its final accuracy by seed."""

    what: str
    values: dict[str, Any]
    accuracy: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracy)


def tune(
    config: ArenaConfig, parts: Sequence[str] = tuple(PARTS), spread: Callable[..., Iterable[float]] = map
) -> Iterator[Trial]:
    """Try what the named parts have to try, and write tuned.toml after each. Raises ConfigError for an unknown part.

    `spread` works as map does, and may compute side by side.
    """
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"tune must be given {', '.join(PARTS)}; got {part!r}.", "contestants")
    config = replace(config, stream="tuning", probes=0)
    seeds = range(FIRST_SEED, FIRST_SEED + config.seeds)
    for part in parts:
        section, who, grid = PARTS[part]
        tried = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())]
        runs = [(_with(section, values), seed) for values in tried for seed in seeds]
        cells = [(config, find_contestant(who, tuned), seed, tuned) for tuned, seed in runs]
        accuracy = iter(spread(_accuracy, *zip(*cells, strict=True)))
        trials = []
        for values in tried:
            trials.append(Trial(part, values, list(itertools.islice(accuracy, len(seeds)))))
            yield trials[-1]
        stands = settings().get(section, {}).items()
        won = max(trials, key=lambda trial: trial.mean + CHANCE * (trial.values.items() <= stands))
        _write(section, won.values)


def _with(section: str, values: dict[str, Any]) -> Settings:
    """The settings as they stand, but for `values` of one section."""
    return {**settings(), section: {**settings().get(section, {}), **values}}


def _accuracy(config: ArenaConfig, contestant: Contestant, seed: int, tuned: Settings) -> float:
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for event in compete(config, contestant, seed, "forward", Path(folder), tuned, split="validation"):
            if isinstance(event, Scored) and event.split == "test":
                scores.append((event.after_task, event.on_task, event.recall))
    return final_accuracy(matrix(scores, max(on for _, on, _ in scores)))


def _write(section: str, values: dict[str, Any]) -> None:
    """Put what won into tuned.toml, whose comments stay."""
    document = tomlkit.parse(contestants.SETTINGS.read_text(encoding="utf-8"))
    document[section].update(values)  # type: ignore[union-attr]  # a table
    write_durably(contestants.SETTINGS, tomlkit.dumps(document).encode())
