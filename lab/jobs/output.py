"""What a run leaves behind for others: written text, tables in files, and the brain in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lab.config import ConfigError
from lab.disk import write_durably
from lab.store import Run, RunStore, query
from lab.store.tables import write_tables

EXPORTED = ("steps", "bands", "evals", "samples", "notices")


def write(
    run: Run, prompt: str, *, ask: bool = False, length: int = 200, temperature: float = 0.8, seed: int = 0
) -> Iterator[str]:
    """Yield what the run's brain writes after `prompt`. Raises ConfigError when it has no checkpoint."""
    from lab.learning import load_trained
    from lab.learning import write as write_with

    if length < 1:
        raise ConfigError(f"length must be at least 1; got {length}. Try 200.", "length")
    if not 0 <= temperature <= 10:
        raise ConfigError(f"temperature must be from 0 to 10; got {temperature}. Try 0.8.", "temperature")
    brain, _ = load_trained(run.config(), run.folder)
    yield from write_with(brain, prompt, ask=ask, length=length, temperature=temperature, seed=seed)


def export_tables(store: RunStore, runs: list[Run], folder: Path, kind: str) -> list[Path]:
    """Write the tables of `runs` to `folder` as csv or parquet files, and give their paths."""
    if kind not in ("csv", "parquet"):
        raise ConfigError(f"format must be csv or parquet; got {kind!r}.", "format")
    names = [run.id for run in runs]
    found = "SELECT * FROM {} WHERE run IN (SELECT unnest(?)) ORDER BY ALL"
    return write_tables({t: query(found.format(t), [names], store=store) for t in ("runs", *EXPORTED)}, folder, kind)


def export_starter(run: Run, folder: Path) -> list[Path]:
    """Write a finished run to `folder` as a starter: its brain in bf16, what it knows by heart, and its log."""
    from lab.learning import export_trained
    from lab.mind.night.retention import write_by_heart

    if run.status != "finished":
        raise ConfigError(f"a starter must come from a finished run; {run.id} is {run.status}. Resume it.", "run")
    paths = export_trained(run.config(), run.folder, folder / "brain", half=True)
    paths.append(write_by_heart(folder / "brain"))
    record = {**run.record, "run": folder.name}
    write_durably(folder / "run.json", json.dumps(record, indent=1).encode())
    write_durably(folder / "events.jsonl", run.events.read_bytes())
    return [*paths, folder / "run.json", folder / "events.jsonl"]


def export_brain(run: Run, folder: Path) -> list[Path]:
    """Write the run's brain to `folder`: safetensors with its config beside it."""
    from lab.learning import export_trained

    return export_trained(run.config(), run.folder, folder)
