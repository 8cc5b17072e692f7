"""Where a mind's weights live, and how a night replaces them.

Which night counts stands in the mind's memory, never here: a night's weights are whole on disk before anything says that they count.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from lab.config import MindConfig, TrainingConfig
from lab.disk import write_durably
from lab.learning import choose_machine
from lab.mind.night.learner import BrainLearner, Learner
from lab.mind.reader import Reader, open_reader
from lab.models.checkpoint import load_brain, save_brain

BESIDE = ("judgement.json",)  # what was fitted to a brain goes with it from night to night


class Weights(Protocol):
    """The weights of one mind; night 0 is what it was made with. What cannot be read raises ConfigError or OSError."""

    model: str  # the brain's family, of the night that was opened last
    parameters: int

    def nights(self) -> list[int]:
        """Give the nights whose weights are here, oldest first; they need not be whole."""

    def open(self, night: int) -> Reader:
        """Read the weights after a night."""

    def begin_night(self, night: int) -> Learner:
        """Give a learner that begins with the weights of the night before."""

    def keep(self, night: int, learner: Learner) -> None:
        """Put what was learnt on disk, whole and durably, as the weights after a night."""

    def take_back(self, but: Collection[int]) -> None:
        """Let go of all weights but those of the nights named."""


class Whole:
    """brain-N has all weights after night N."""

    def __init__(self, folder: Path, config: MindConfig) -> None:
        self.folder, self.config = folder, config
        self.model, self.parameters = "", 0

    @staticmethod
    def begin(folder: Path, origin: Path) -> str:
        """Copy a brain, which must be whole, as what a mind is made with; gives its family."""
        model, brain = load_brain(origin)
        save_brain(folder / "brain-0", model, brain)
        _copy_beside(origin, folder / "brain-0")
        return model

    def _path(self, night: int) -> Path:
        return self.folder / f"brain-{night}"

    def nights(self) -> list[int]:
        return sorted(int(path.name[6:]) for path in self.folder.glob("brain-*") if path.name[6:].isdecimal())

    def open(self, night: int) -> Reader:
        model, brain = load_brain(self._path(night))
        reader = open_reader(
            choose_machine(TrainingConfig()).place(brain), self.config.unknown_threshold, self._path(night)
        )
        self.model, self.parameters = model, brain.count_parameters()
        return reader

    def begin_night(self, night: int) -> Learner:
        return BrainLearner(*load_brain(self._path(night - 1)), self.config)

    def keep(self, night: int, learner: Learner) -> None:
        assert isinstance(learner, BrainLearner)
        save_brain(self._path(night), learner.model, learner.brain)
        _copy_beside(self._path(night - 1), self._path(night))

    def take_back(self, but: Collection[int]) -> None:
        for night in set(self.nights()) - set(but):
            shutil.rmtree(self._path(night), ignore_errors=True)


def _copy_beside(origin: Path, to: Path) -> None:
    for name in BESIDE:
        if (origin / name).is_file():
            write_durably(to / name, (origin / name).read_bytes())


OpenWeights = Callable[[Path, MindConfig], Weights]
WHOLE = "whole"
KINDS: dict[str, type[Whole]] = {WHOLE: Whole}  # by what mind.json says


def kind_of(about: dict[str, Any]) -> str:
    """Give the kind of weights that mind.json names; a mind of before has whole ones. Raises ValueError for an unknown one."""
    kind = about.get("weights", WHOLE)
    if kind not in KINDS:
        raise ValueError(f"weights must be one of {', '.join(KINDS)}; got {kind!r}")
    return str(kind)
