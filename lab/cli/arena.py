"""python -m lab arena: compare who forgets what, from a shell, with the page's own functions."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.cli.flags import add_flags, options_of
from lab.cli.runs import end_badly
from lab.config import ArenaConfig, arena_line, build_arena
from lab.store import ARENA, ArenaLog, Run, RunStore

POLL_S = 0.5
COLUMNS = (
    "contestant", "task_order", "seeds", "ACC", "kept of the first task", "learning accuracy", "forgetting", "seconds",
)  # fmt: skip
RESULT_COLUMNS = (
    "contestant", "task_order", "seeds", "ACC", "kept of the first task", "newest", "learning accuracy", "old values left",
    "seconds", "tokens", "stored_bytes", "parameters",
)  # fmt: skip


def add_arena_command(command: Any) -> None:
    """Add the command."""
    about = "Compare who forgets what, on a stream of tasks."
    arena = command("arena", _arena, about, json_help="print one JSON document at the end")
    arena.add_argument(
        "what", nargs="?", choices=("report", "tune"), help="report RUN: what a run found; tune: choose settings."
    )
    arena.add_argument(
        "run", metavar="RUN", nargs="?", help="report: a run's name, a part of it, or last (the default)."
    )
    add_flags(arena, ArenaConfig)
    arena.add_argument("--resume", metavar="RUN", help="Go on with a run that was stopped or killed.")
    arena.add_argument("--detach", action="store_true", help="Return at once; the run goes on by itself.")
    arena.add_argument("--format", help="report: also write files, as csv, parquet, json or html.")
    arena.add_argument("--to", help="report: the folder for them; by default export/ in the run's folder.")
    arena.add_argument("--results", action="store_true", help="report: also put the table into notebooks/RESULTS.md.")


def _arena(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    if arguments.what == "report":
        return _report(store, jobs.refresh(store, store.get(arguments.run or "last", ARENA)), arguments)
    given = options_of(arguments, (ArenaConfig,))
    if arguments.what == "tune":
        return _tune(given)
    went_on = arguments.resume and jobs.resume(store, store.get(arguments.resume, ARENA))
    return _accompany(store, went_on or jobs.launch(build_arena(given), store), arguments)


def _accompany(store: RunStore, run: Run, arguments: argparse.Namespace) -> int:
    """Print what a run does until it ends; its exit code says how."""
    from lab import jobs

    if arguments.detach:
        print(json.dumps({"run": run.id}) if arguments.json else run.id)
        return 0
    progress = sys.stderr if arguments.json else sys.stdout
    print(f"run {run.id}", file=progress, flush=True)
    log, printed = ArenaLog(run), set[tuple[Any, ...]]()
    while True:
        try:
            run = jobs.refresh(store, run)
            if log.read():
                for row in log.table("costs").to_dict("records"):
                    task = (row["contestant"], row["seed"], row["task_order"], row["task"])
                    if task not in printed:
                        order = "" if row["task_order"] == "forward" else ", reverse"
                        line = f"{task[0]}, seed {task[1]}{order}: task {task[3]} after {row['seconds']:.0f} s"
                        print(line, file=progress, flush=True)
                    printed.add(task)
            elif not run.live:
                break
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            jobs.stop(store, run)
            print("stopping: what is whole is kept …", file=sys.stderr, flush=True)
    if run.status in ("finished", "stopped"):
        return _report(store, run, arguments)
    return end_badly(run, arguments.json, "status")


def _report(store: RunStore, run: Run, arguments: argparse.Namespace) -> int:
    from lab.report import contested_rows, export_arena, nothing_to_say, report, write_results

    config, log = run.arena(), ArenaLog(run)
    log.read()
    results = report(config, log)
    paths = []
    if arguments.format:
        paths = export_arena(run, Path(arguments.to) if arguments.to else run.folder / "export", arguments.format)
    if arguments.json:
        print(json.dumps({
            "run": run.id, "status": run.status, "command": arena_line(config), "verdicts": results.verdicts, "notices": log.notices,
            "means": json.loads(results.means.to_json(orient="records")), "seeds": json.loads(results.seeds.to_json(orient="records")),
            "files": [str(path) for path in paths],
        }))  # fmt: skip
    else:
        print(f"{run.id}: {run.status}\n{arena_line(config)}")
        if len(results.means):
            print(results.means[list(COLUMNS)].to_string(index=False, float_format=lambda value: f"{value:,.0f}"))
        for sentence in [*results.verdicts, *log.notices] or [nothing_to_say(results)]:
            print(sentence)
        if results.verdicts:
            print(results.proves)
        print("\n".join(map(str, paths)), end="\n" if paths else "")
    if arguments.results:
        order = " reverse" if config.order == "reverse" else ""
        write_results({
            "bench": f"arena {Path(config.stream).stem}{order}", "rows": contested_rows(results.means, RESULT_COLUMNS),
            "command": arena_line(replace(config, stream=Path(config.stream).name)),
            "verdicts": results.verdicts if config.seeds > 1 else ["One seed declares no winner."],
        })  # fmt: skip
    return 0


def _tune(given: dict[str, Any]) -> int:
    from lab import jobs

    parts = [part for part in str(given.pop("contestants", "")).split(",") if part]
    for trial in jobs.tune(build_arena({"seeds": 2, **given}), parts):
        accuracy = ", ".join(f"{value:.3f}" for value in trial.accuracy)
        print(f"{trial.what} {trial.values}: {trial.mean:.3f} ({accuracy})", flush=True)
    return 0
