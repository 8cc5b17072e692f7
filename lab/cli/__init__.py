"""python -m lab …: everything that the page can do, from a shell. Flags are generated from the config's fields.

Exit codes: 0 done, 1 our fault, 2 the user's mistake (one sentence on standard error).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.cli.arena import add_arena_command
from lab.cli.flags import add_flags, options_of
from lab.cli.minds import add_mind_commands
from lab.cli.runs import add_run_commands
from lab.config import SECTIONS, build_config
from lab.disk import explain_disk
from lab.store import RunStore, publish, query


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.act(arguments))
    except ValueError as error:
        if not type(error).__module__.startswith("lab."):
            raise
        return _fail(arguments, str(error))
    except OSError as error:
        sentence = explain_disk(error, RunStore().home)
        if sentence is None:
            raise
        return _fail(arguments, sentence)
    except KeyboardInterrupt:
        return 130


def _fail(arguments: argparse.Namespace, sentence: str) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"error": sentence}))
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="Build, teach and measure small brains.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, act: Any, help: str, *, json_help: str | None = "print one JSON document") -> Any:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(act=act)
        if json_help:
            sub.add_argument("--json", action="store_true", help=json_help)
        return sub

    add_run_commands(command)
    preview = command("preview", _preview, "Show the first documents of some data.")
    add_flags(preview, SECTIONS["data"])
    about = "Measure speed on this machine, medians of interleaved runs; or fit what a mind judges its notes by."
    bench = command("bench", _bench, about)
    kinds = ("train", "generate", "store", "page", "learn", "mind", "judgement")
    bench.add_argument("what", choices=kinds, help="What to measure.")
    bench.add_argument("--data", help="learn: the text file to learn from.")
    bench.add_argument("--minutes", type=float, default=3.0, help="learn: minutes for each brain.")
    bench.add_argument("--seeds", type=int, default=1, help="learn: seeds for each brain.")
    bench.add_argument("--results", action="store_true", help="Also put the table into notebooks/RESULTS.md.")
    add_arena_command(command)
    add_mind_commands(command)
    command("rebuild-db", _rebuild, "Make lab.duckdb anew from the runs' logs.")
    worker = commands.add_parser("worker")
    worker.add_argument("run")
    worker.add_argument("--resume", action="store_true")
    worker.set_defaults(act=_worker)
    sleeper = commands.add_parser("sleeper")
    sleeper.add_argument("folder")
    sleeper.set_defaults(act=_sleeper)
    return parser


def _preview(arguments: argparse.Namespace) -> int:
    from lab import jobs

    documents = jobs.check_data(build_config(options_of(arguments, (SECTIONS["data"],))))
    if arguments.json:
        print(json.dumps([{"text": text, "validation": held_out} for text, held_out in documents]))
        return 0
    for text, held_out in documents:
        print(f"[{'validate' if held_out else 'learn'}] {text[:300]}")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from lab.exam import bench
    from lab.report import render, write_results

    result = bench.measure(arguments.what, data=arguments.data, minutes=arguments.minutes, seeds=arguments.seeds)
    print(json.dumps(result) if arguments.json else render(result))
    if arguments.results:
        write_results(result)
    return 0


def _rebuild(arguments: argparse.Namespace) -> int:
    store = RunStore()
    publish(store, whole=True)
    counts = query("SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM steps) AS steps", store=store)
    runs, steps = (int(counts[name][0]) for name in ("runs", "steps"))
    print(json.dumps({"runs": runs, "steps": steps}) if arguments.json else f"{runs} runs, {steps:,} steps")
    return 0


def _sleeper(arguments: argparse.Namespace) -> int:
    from lab import jobs

    return jobs.work_night(Path(arguments.folder))


def _worker(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    return jobs.work(store, store.get(arguments.run), resume=arguments.resume)
