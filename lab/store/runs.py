"""The folder of runs: one folder a run, with run.json (what it is and how it stands) and events.jsonl (what happened).

`lab.duckdb` beside them is only a view of these.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.config import ArenaConfig, ConfigError, RunConfig, build_arena, build_config, flatten_config
from lab.disk import reserve_room, write_durably, write_into_reserve

LIVE = ("starting", "running")
TRAIN, ARENA = "train", "arena"  # kinds of run
RESERVE_BYTES = 65536


def runs_home() -> Path:
    """The folder that holds all runs: $QOR_LAB_RUNS, or runs/ beside the code."""
    chosen = os.environ.get("QOR_LAB_RUNS")
    return Path(chosen).expanduser() if chosen else Path(__file__).resolve().parents[2] / "runs"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Run:
    """One run as its folder has it. `record` is run.json; `damage` says why it cannot be read, or is None."""

    id: str
    folder: Path
    record: dict[str, Any]
    damage: str | None = None

    @property
    def status(self) -> str:
        return "damaged" if self.damage else str(self.record.get("status", "damaged"))

    @property
    def kind(self) -> str:
        return str(self.record.get("kind", TRAIN))

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def stopping(self) -> bool:
        return self.live and (self.folder / "stop").exists()

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    def config(self) -> RunConfig:
        """Give what a training run was started with. Raises ConfigError when run.json does not say it."""
        if self.damage:
            raise ConfigError(self.damage)
        if self.kind != TRAIN:
            raise ConfigError(f"a run must be a training run; {self.id} is of the arena. See arena report.", "run")
        return build_config(self.record["config"])

    def arena(self) -> ArenaConfig:
        """Give what an arena run was started with. Raises ConfigError when run.json does not say it."""
        if self.damage:
            raise ConfigError(self.damage)
        if self.kind != ARENA:
            raise ConfigError(f"a run must be of the arena; {self.id} is a training run. See show.", "run")
        return build_arena(self.record["config"])


class RunStore:
    """Finds, makes and updates runs under `home`."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or runs_home()

    def create(self, config: RunConfig | ArenaConfig) -> Run:
        """Make the folder of a new run. Raises OSError when the disk is full."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        if isinstance(config, ArenaConfig):
            kind, model, name, options = ARENA, ARENA, f"arena-{Path(config.stream).stem}", asdict(config)
        else:
            kind, model, name = TRAIN, config.model, f"{config.model}-{config.preset}"
            options = flatten_config(config)
        run = f"{stamp}-{name}-{secrets.token_hex(4)}"
        folder = self.home / run
        folder.mkdir(parents=True)
        record = {
            "run": run, "kind": kind, "model": model, "config": options,
            "status": "starting", "created_at": now(), "launched_at": now(), "started_at": None, "ended_at": None, "message": None,
        }  # fmt: skip
        _write_record(folder, record)
        return Run(run, folder, record)

    def read(self, folder: Path) -> Run:
        """Read one run's folder; what is wrong with it is in `damage`."""
        try:
            record = json.loads((folder / "run.json").read_bytes())
            missing = [key for key in ("status", "model", "config") if key not in record]
        except FileNotFoundError:
            return Run(
                folder.name, folder, {}, f"a run must have a run.json; {folder.name} has none. Delete its folder."
            )
        except (ValueError, TypeError, OSError) as error:
            return Run(folder.name, folder, {}, f"run.json must be whole; that of {folder.name} is not: {error}.")
        if missing:
            return Run(folder.name, folder, {}, f"run.json must be whole; that of {folder.name} lacks {missing[0]}.")
        return Run(folder.name, folder, record)

    def _all(self) -> list[Run]:
        if not self.home.is_dir():
            return []
        folders = sorted((path for path in self.home.iterdir() if _is_run(path)), reverse=True)
        starters = sorted(path for path in self.home.glob("starters/*") if _is_run(path))
        return [self.read(folder) for folder in [*folders, *starters]]

    def list(self, kind: str | None = None) -> list[Run]:
        """Give all runs, or those of one kind, newest first; damaged ones are of every kind."""
        runs = self._all()
        return runs if kind is None else [run for run in runs if run.damage or run.kind == kind]

    def get(self, name: str, kind: str | None = None) -> Run:
        """Find a run by its name, the beginning or end of it that fits only one, or "last" (of that kind).

        Raises ConfigError when none or several fit.
        """
        for folder in (self.home / name, self.home / "starters" / name):
            if name and folder.is_dir() and _is_run(folder):
                return self.read(folder)
        runs = self.list(kind)
        if name == "last" and runs:
            return runs[0]
        found = [run for run in runs if run.id.startswith(name) or run.id.endswith(name)] if name else []
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"a run's name must fit one run; {name!r} fits {len(found)}. Write more of it.", "run")
        raise ConfigError(f"a run must exist; there is none called {name!r}. See python -m lab runs.", "run")

    def update(self, run: Run, **fields: Any) -> Run:
        """Change some of run.json, durably."""
        record = {**run.record, **fields}
        _write_record(run.folder, record)
        return Run(run.id, run.folder, record)

    def reserve(self, run: Run) -> None:
        """Keep room in the run's folder, so that `close` works on a full disk. Raises OSError."""
        reserve_room(run.folder / "reserve", RESERVE_BYTES)

    def close(self, run: Run, **fields: Any) -> Run:
        """Change run.json for the last time, in the reserved room where there is some."""
        record, reserve = {**run.record, **fields}, run.folder / "reserve"
        if not reserve.exists():
            return self.update(run, **fields)
        write_into_reserve(reserve, run.folder / "run.json", _as_json(record))
        return Run(run.id, run.folder, record)


def _is_run(folder: Path) -> bool:
    known = any((folder / name).exists() for name in ("run.json", "events.jsonl", "checkpoints"))
    return folder.is_dir() and known


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    write_durably(folder / "run.json", _as_json(record))


def _as_json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode()
