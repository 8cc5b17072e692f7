"""Streams: what contestants learn, task after task."""

from collections.abc import Callable
from pathlib import Path

from lab.arena.streams.files import folder_stream, labels_stream
from lab.arena.streams.tasks import Example, OpenLessons, PastDataError, Task, check_tasks, segments
from lab.arena.streams.worlds import mind_test, same_subjects, tuning, updates, worlds_5
from lab.config import ArenaConfig, ConfigError

WORLDS: dict[str, Callable[[int, int], list[Task]]] = {
    "mind-test": mind_test, "worlds-5": worlds_5, "same-subjects": same_subjects, "updates": updates, "tuning": tuning,
}  # fmt: skip


def make_stream(config: ArenaConfig, seed: int, order: str) -> list[Task]:
    """Make the tasks of one seed in `order`. Raises ConfigError for a stream that is not there or cannot be scored."""
    kind, path = _what_is(config.stream)
    if config.stream in WORLDS:
        tasks = WORLDS[config.stream](config.facts, seed)
    elif kind == "folder":
        tasks = folder_stream(path, config.facts, seed)
    elif kind in (".json", ".csv"):
        tasks = labels_stream(path, config.facts, config.parts, seed)
    else:
        rule = f"stream must be one of {', '.join(WORLDS)}, a folder of task files, or a .json or .csv file of labels"
        raise ConfigError(f"{rule}; got {config.stream!r}.", "stream")
    if order == "reverse":
        if any(task.stale for task in tasks):
            raise ConfigError("updates must run forward; the other way round there is nothing to update.", "order")
        tasks = tasks[::-1]
    check_tasks(tasks)
    return tasks


def _what_is(name: str) -> tuple[str, Path]:
    """Give "folder" or the ending of the file that `name` names, "" for neither, and its path."""
    try:
        path = Path(name).expanduser()
        return ("folder" if path.is_dir() else path.suffix.lower() if path.is_file() else ""), path
    except (OSError, RuntimeError, ValueError):  # no such user, a name too long, a zero byte
        return "", Path()


__all__ = ["WORLDS", "Example", "OpenLessons", "PastDataError", "Task", "check_tasks", "make_stream", "segments"]
