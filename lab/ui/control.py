"""What the handlers of several tabs share: the runs of one kind, a mistake in its place, tables packed to be taken away."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from lab import jobs
from lab.config import ConfigError
from lab.disk import explain_disk, explained
from lab.mind import Mind
from lab.store import TRAIN, Run, RunStore
from lab.ui.words import sentence

POLL_S = 1.0
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
BUSY: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
FAULTS = (ValueError, OSError)  # a person's mistake, in whatever layer it is found, and the disk's


def notice(text: Exception | str, place: int, count: int, kind: str = "error") -> list[Any]:
    """Updates of `count` components: the one at `place` says it, the others stay as they are."""
    return [sentence(str(text), kind) if i == place else gr.skip() for i in range(count)]


def export_folder() -> Path:
    """Make a folder for what a browser will fetch; it goes with the app. Raises OSError."""
    with explained(Path(tempfile.gettempdir())):
        return Path(tempfile.mkdtemp(prefix="lab-export-"))


def pack(paths: Sequence[Path], archive: Path) -> Path:
    """Put files into one that a browser can fetch. Raises OSError."""
    with explained(archive.parent), zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in paths:
            packed.write(path, path.name)
    return archive


def take_back(mind: Mind) -> str:
    """Undo the last thing that was done to a mind; says what."""
    what = mind.undo()
    return f"Taken back: {what}." if what else "There is nothing to take back since its last night."


def choices(store: RunStore, kind: str = TRAIN, runs: list[Run] | None = None) -> list[str]:
    """The names of runs for a dropdown, newest first."""
    return [run.id for run in (jobs.refresh_all(store, kind) if runs is None else runs)]


def say(error: Exception, store: RunStore) -> str:
    """What is wrong, in a sentence; a full disk tells what is free."""
    return (explain_disk(error, store.home) if isinstance(error, OSError) else None) or str(error)


class RunControl:
    """The runs of one kind, as a tab starts, chooses, stops and resumes them. `read` makes a config of the form's values, `keep`
    keeps an upload where a run can read it."""

    def __init__(self, store: RunStore, kind: str, read: Callable[..., Any], keep: Callable[..., Path]) -> None:
        self.store, self.kind, self.read, self.keep = store, kind, read, keep

    def attach(self, current: str | None) -> Any:
        """An update of the dropdown: where none is looked at, look at the newest live one, else at the newest."""
        runs = jobs.refresh_all(self.store, self.kind)
        names = choices(self.store, self.kind, runs)
        newest = next((run.id for run in runs if run.live), next(iter(names), None))
        return gr.update(choices=names, value=current if current in names else newest)

    def launch(self, *values: Any) -> list[Any]:
        """Start what the form says. Updates of the message, the dropdown and what was seen."""
        try:
            run = jobs.launch(self.read(values), self.store)
        except (ConfigError, OSError) as error:
            return [sentence(say(error, self.store), "error"), gr.skip(), ""]
        return ["", gr.update(choices=choices(self.store, self.kind), value=run.id), ""]

    def act(self, what: Callable[[RunStore, Run], Any], name: str | None) -> str:
        """Stop or resume a run; what was seen counts no more."""
        try:
            what(self.store, self.store.get(name or "", self.kind))
        except (ConfigError, OSError) as error:
            gr.Warning(say(error, self.store))
        return ""

    def take_upload(self, given: Any) -> Any:
        """Keep what was uploaded; gives where it is, for the form's field."""
        try:
            return str(self.keep(self.store, given)) if given else gr.skip()
        except (ConfigError, OSError) as error:
            gr.Warning(say(error, self.store))
            return gr.skip()


def stop_and_resume(run: Run) -> list[Any]:
    """Updates of the two buttons: whether a run can be stopped, and resumed, now."""
    ended = run.status in ("stopped", "failed", "crashed")
    return [gr.update(interactive=run.live and not run.stopping), gr.update(interactive=ended)]
