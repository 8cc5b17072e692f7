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

from lab.config import STARTERS, ArenaConfig, ConfigError, RunConfig, build_arena, build_config, flatten_config
from lab.disk import reserve_room, write_durably, write_into_reserve
from lab.store.log import LONGEST_LINE, UNREADABLE, open_regular, parse

LIVE = ("starting", "running")
TRAIN, ARENA = "train", "arena"  # kinds of run
RESERVE_BYTES = 65536
TIMES = ("created_at", "launched_at", "started_at", "ended_at")
LONG_AGO = "1970-01-01T00:00:00+00:00"
SHAPE = {
    "status": str, "model": str, "config": dict, "parameters": int | None,
    **dict.fromkeys(("kind", "message", "traceback", "device", *TIMES), str | None),
}  # fmt: skip


def runs_home() -> Path:
    """The folder that holds all runs: $QOR_LAB_RUNS, or runs/ beside the code."""
    chosen = os.environ.get("QOR_LAB_RUNS")
    return Path(chosen).expanduser() if chosen else Path(__file__).resolve().parents[2] / "runs"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Run:
    """One run as its folder has it. `record` is run.json; `damage` says why it cannot be read, or is None; `stamp` changes
    with run.json and the log."""

    id: str
    folder: Path
    record: dict[str, Any]
    damage: str | None = None
    stamp: str = ""

    @property
    def status(self) -> str:
        return "unreadable" if self.damage else str(self.record["status"])

    @property
    def kind(self) -> str:
        return str(self.record.get("kind") or TRAIN)

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
        self._known: dict[str, Run] = {}  # as they were read last

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
        self.home.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        record = {
            "run": run, "kind": kind, "model": model, "config": options,
            "status": "starting", "created_at": now(), "launched_at": now(), "started_at": None, "ended_at": None, "message": None,
        }  # fmt: skip
        write_durably(folder / "run.json", _as_json(record))
        return Run(run, folder, record)

    def read(self, folder: Path | str) -> Run:
        """Read one run's folder, where it changed since it was read last; what is wrong with it is in `damage`."""
        stamp, run = stamp_of(folder), self._known.get(str(folder))
        if run is None or run.stamp != stamp:
            folder, name = Path(folder), name_of(Path(folder))
            try:
                run = Run(name, folder, _read_record(folder), stamp=stamp)
            except UNREADABLE as error:
                run = Run(name, folder, {}, f"a run's folder must be whole; {name} is not: {error}. Mend it.", stamp)
            if stamp:
                self._known[str(folder)] = run
        return run

    def list(self, kind: str | None = None) -> list[Run]:
        """Give all runs, or those of one kind, newest first, then the starters; unreadable ones are of every kind."""
        places = ((self.home, True), (STARTERS, False))
        names = [(at, name) for at, down in places if at.is_dir() for name in sorted(os.listdir(at), reverse=down)]
        found = [run for place, name in names if (run := self.read(f"{place}/{name}")).stamp]
        runs = [*{run.id: run for run in reversed(found)}.values()][::-1]  # a run goes before a starter of its name
        return runs if kind is None else [run for run in runs if run.damage or run.kind == kind]

    def get(self, name: str, kind: str | None = None) -> Run:
        """Find a run by its name, the beginning or end of it that fits only one, or "last" (of that kind).

        Raises ConfigError when none or several fit.
        """
        for folder in (self.home / name, STARTERS / name):
            if folder.name == name != ".." and os.path.isdir(folder) and (run := self.read(folder)).stamp:
                return run
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
        write_durably(run.folder / "run.json", _as_json(record))
        return Run(run.id, run.folder, record)

    def reserve(self, run: Run) -> None:
        """Keep room in the run's folder, so that `close` works on a full disk. Raises OSError."""
        reserve_room(run.folder / "reserve", RESERVE_BYTES)

    def close(self, run: Run, **fields: Any) -> Run:
        """Change run.json for the last time, in the reserved room where there is some."""
        record, reserve = {**run.record, **fields}, run.folder / "reserve"
        if not reserve.is_file():
            return self.update(run, **fields)
        write_into_reserve(reserve, run.folder / "run.json", _as_json(record))
        return Run(run.id, run.folder, record)


def name_of(folder: Path) -> str:
    """A folder's name as text that can be written, also where it is none."""
    return os.fsencode(folder.name).decode(errors="backslashreplace")


def stamp_of(folder: Path | str) -> str:
    """What changes whenever a run's folder says something new; "" where it is none."""
    record, log = mark(f"{folder}/run.json"), mark(f"{folder}/events.jsonl")
    return f"{record} {log}" if record + log != "--" or os.path.isdir(f"{folder}/checkpoints") else ""


def mark(path: str | Path) -> str:
    """What changes whenever a file does; "-" where there is none."""
    try:
        about = os.stat(path)
        return f"{about.st_size}@{about.st_ino}@{about.st_mtime_ns}@{about.st_ctime_ns}"
    except (FileNotFoundError, NotADirectoryError):
        return "-"
    except OSError as error:  # it must be told that it cannot be read
        return f"error {error.errno}"


def _read_record(folder: Path) -> dict[str, Any]:
    """Read run.json and see that there can be a log. Raises UNREADABLE."""
    if name_of(folder) != folder.name:
        raise ValueError("its name is not UTF-8")
    with open_regular(folder / "run.json") as file:
        record = parse(file.read(LONGEST_LINE))
    if not isinstance(record, dict):
        raise ValueError(f"run.json holds a {type(record).__name__}")
    wrong = next((name for name, kind in SHAPE.items() if not isinstance(record.get(name), kind)), None)
    if wrong or record.get("kind") not in (None, TRAIN, ARENA):
        raise ValueError(f"run.json has {wrong or 'kind'} {record.get(wrong or 'kind')!r}"[:80])
    for name in TIMES:
        datetime.fromisoformat(record.get(name) or LONG_AGO)
    if (folder / "events.jsonl").exists():
        open_regular(folder / "events.jsonl").close()
    return {**record, "launched_at": record.get("launched_at") or record.get("created_at") or LONG_AGO}


def _as_json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode()
