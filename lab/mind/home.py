"""Where minds live, which brains they can have, and the minds that are open in this process."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from lab.config import STARTERS, MindConfig
from lab.disk import explained
from lab.memory.store import salvage
from lab.mind.mind import Mind
from lab.mind.replies import MindError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")


def minds_home(runs: Path) -> Path:
    """The folder of all minds, in the folder of runs."""
    return runs / "minds"


def check_name(name: str) -> str:
    """Raises MindError for a name that cannot be a folder everywhere."""
    if not NAME.fullmatch(name) or name.endswith((".", " ")):
        rule = "a mind's name must be 1 to 40 letters, digits, spaces, dots, dashes or underscores and begin with a letter or digit"
        raise MindError(f"{rule}; got {name[:60]!r}. Try alice.")
    return name


def brains() -> list[str]:
    """Give the names of the starter brains that are here."""
    return sorted(path.parent.parent.name for path in STARTERS.glob("*/brain/model.json"))


def find_brain(name: str, home: Path) -> Path:
    """Give the folder of a brain: a starter's name, a run's, or a path. Raises MindError when there is none."""
    runs = sorted(
        (p for p in home.parent.glob("*") if name and (p.name.startswith(name) or p.name.endswith(name))), reverse=True
    )
    for folder in (
        STARTERS / name / "brain",
        home.parent / name / "brain",
        *(run / "brain" for run in runs),
        Path(os.path.expanduser(name)),
    ):
        if name and os.path.isfile(folder / "model.json"):  # says no where pathlib raises
            return folder
    known = ", ".join(brains()) or "none"
    raise MindError(
        f"a brain must be a starter ({known}), a finished run or a model folder; got {name!r}. See python -m lab runs."
    )


def salvage_mind(home: Path, name: str, to: Path) -> int:
    """Save what can still be read of a damaged mind's traces as JSON lines; gives how many. Nothing of it is changed."""
    path = home / name / "memory.sqlite"
    if not name or not path.is_file():
        raise MindError(f"a mind must have a memory.sqlite to be saved from; {name!r} has none under {home}.")
    return salvage(path, to)


class Minds:
    """The minds under `home`; each is opened once and shared by all who ask in this process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._open: dict[str, Mind] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Give the names of all minds, in order."""
        names = (path.parent.name for path in self.home.glob("*/mind.json"))
        return sorted(name for name in names if NAME.fullmatch(name))

    def get(self, name: str) -> Mind:
        """Open a mind, or give the open one. Raises MindError when there is none or another process has it."""
        with self._lock, explained(self.home):
            if name not in self._open:
                if name not in self.names():
                    known = ", ".join(self.names()) or "none yet"
                    raise MindError(f"a mind must exist; there is none called {name!r} (there is {known}).")
                self._open[name] = Mind.open(self.home / name)
            return self._open[name]

    def create(self, name: str, brain: str, config: MindConfig | None = None) -> Mind:
        """Make a mind and keep it open. Raises as `Mind.create`."""
        with self._lock, explained(self.home):
            mind = Mind.create(name, brain, self.home, config)
            self._open[name] = mind
            return mind

    def close(self) -> None:
        """Let go of all minds."""
        with self._lock:
            for mind in self._open.values():
                mind.close()
            self._open.clear()
