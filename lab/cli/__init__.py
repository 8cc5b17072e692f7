"""python -m lab …: everything that the page can do, from a shell. Flags are generated from the config's fields.

Exit codes: 0 done, 1 our fault, 2 the user's mistake (one sentence on standard error).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from lab.cli.arena import add_arena_command
from lab.cli.minds import add_mind_commands
from lab.config import BRAINS, RECIPES, SECTIONS, ConfigError, RunConfig, build_config, changed_options, command_line
from lab.disk import explain_disk
from lab.store import Run, RunStore, publish, query, refresh_database


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

    train = command("train", _train, "Train a brain; Ctrl-C saves it and stops.", json_help="print one event a line")
    add_option_flags(train)
    train.add_argument("--recipe", choices=tuple(RECIPES), help="Options of a long training; those you name win.")
    train.add_argument("--detach", action="store_true", help="Return at once; the run goes on by itself.")
    resume = command("resume", _resume, "Go on with a run that ended early.", json_help="print one event a line")
    resume.add_argument("--detach", action="store_true", help="Return at once; the run goes on by itself.")
    stop = command("stop", _stop, "Ask a run to save its state and end.")
    command("runs", _runs, "List all runs, newest first.")
    show = command("show", _show, "Show one run: how it stands, its options, its last samples.")
    generate = command("generate", _generate, "Let a run's brain write.")
    generate.add_argument("--prompt", default="", help="The text to go on from.")
    generate.add_argument("--ask", action="store_true", help="The prompt is a question; print the answer.")
    generate.add_argument("--length", type=int, default=200, help="Most bytes to write.")
    generate.add_argument("--temperature", type=float, help="0 takes the likeliest byte (default 0.8; with --ask 0).")
    generate.add_argument("--seed", type=int, default=0, help="Seed of the draws.")
    export = command("export", _export, "Write the tables and the brain of one or more runs to a folder.")
    export.add_argument("runs", metavar="RUN", nargs="+", help="Runs, named as for show.")
    export.add_argument("--to", help="Folder; by default export/ in the first run's folder.")
    export.add_argument("--format", default="csv", help="csv or parquet. Default csv.")
    export.add_argument(
        "--starter", action="store_true", help="Only the brain, in bf16, and the log: a starter for minds."
    )
    export.add_argument("--no-brain", action="store_true", help="Only the tables.")
    for sub in (resume, stop, show, generate):
        sub.add_argument("run", metavar="RUN", help='A run\'s name, a part that begins or ends only one, or "last".')
    preview = command("preview", _preview, "Show the first documents of some data.")
    for spec in fields(SECTIONS["data"]):
        _add_flag(preview, spec, get_type_hints(SECTIONS["data"])[spec.name], "")
    bench = command(
        "bench",
        _bench,
        "Measure speed on this machine, medians of interleaved runs; or fit what a mind judges its notes by.",
    )
    bench.add_argument(
        "what", choices=("train", "generate", "store", "page", "learn", "mind", "judgement"), help="What to measure."
    )
    bench.add_argument("--data", help="learn: the text file to learn from.")
    bench.add_argument("--minutes", type=float, default=3.0, help="learn: minutes for each brain.")
    bench.add_argument("--seeds", type=int, default=1, help="learn: seeds for each brain.")
    bench.add_argument("--readme", action="store_true", help="Also put the table into README.md.")
    add_arena_command(command, _add_flag)
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


def add_option_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of every config; one that only some models have says so."""
    owners: dict[str, list[str]] = {}
    for name, brain in BRAINS.items():
        for spec in fields(brain):
            owners.setdefault(spec.name, []).append(name)
    done: set[str] = set()
    kinds: tuple[type[Any], ...] = (RunConfig, *SECTIONS.values(), *BRAINS.values())
    for kind in kinds:
        hints = get_type_hints(kind)
        for spec in fields(kind):
            if "help" not in spec.metadata or spec.name in done:
                continue
            done.add(spec.name)
            of = owners.get(spec.name, list(BRAINS))
            _add_flag(parser, spec, hints[spec.name], "" if len(of) == len(BRAINS) else f" Only {', '.join(of)}.")


def _add_flag(parser: argparse.ArgumentParser, spec: Any, kind: type, note: str) -> None:
    flag, default = "--" + spec.name.replace("_", "-"), spec.default
    help = (spec.metadata["help"] + note + (f" Default {default}." if default != "" else "")).replace("%", "%%")
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=help)
    else:
        parser.add_argument(flag, dest=spec.name, default=None, help=help, metavar=kind.__name__.upper())


def parse_value(text: str, kind: type) -> Any:
    """Turn a flag's text into its field's type; text that does not fit stays text, and the config says the rule."""
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text


def options_of(arguments: argparse.Namespace, kinds: Sequence[type]) -> dict[str, Any]:
    """Give the options that were named on the command line, by the fields of `kinds`."""
    given = {}
    for kind in kinds:
        hints = get_type_hints(kind)
        for spec in fields(kind):
            value = getattr(arguments, spec.name, None)
            if value is not None and "help" in spec.metadata:
                given[spec.name] = parse_value(value, hints[spec.name]) if isinstance(value, str) else value
    return given


def _train(arguments: argparse.Namespace) -> int:
    from lab import jobs

    options = options_of(arguments, (RunConfig, *SECTIONS.values(), *BRAINS.values()))
    config = build_config({"recipe": arguments.recipe, **options})
    store = RunStore()
    run = jobs.launch(config, store)
    return _accompany(store, run, arguments, 0)


def _resume(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    run = store.get(arguments.run)
    offset = run.events.stat().st_size if run.events.exists() else 0
    return _accompany(store, jobs.resume(store, run), arguments, offset)


def _accompany(store: RunStore, run: Run, arguments: argparse.Namespace, offset: int) -> int:
    """Print what a run does until it ends; its exit code says how."""
    from lab import jobs

    if arguments.detach:
        print(json.dumps({"run": run.id}) if arguments.json else run.id)
        return 0
    if arguments.json:
        print(json.dumps({"kind": "launched", "run": run.id}), flush=True)
    else:
        print(f"run {run.id}", flush=True)
    records = jobs.follow(store, run, offset)
    while True:
        try:
            for record in records:
                _print_event(record, arguments.json)
            break
        except KeyboardInterrupt:
            jobs.stop(store, run)
            print("stopping: the run saves its state …", file=sys.stderr, flush=True)
            records = jobs.follow(store, run, run.events.stat().st_size if run.events.exists() else 0)
    run = jobs.refresh(store, run)
    if run.status in ("finished", "stopped"):
        return 0
    if run.record.get("traceback"):
        print(run.record["traceback"], file=sys.stderr)
    message = str(run.record.get("message"))
    if arguments.json:
        print(json.dumps({"kind": run.status, "run": run.id, "error": message}), flush=True)
    print(f"error: {message}", file=sys.stderr)
    return 2 if run.status == "failed" else 1


def _print_event(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(record), flush=True)
        return
    kind, step = record["kind"], record.get("step", 0)
    if kind == "started":
        begin = f"from {record['resumed_from']}" if record["resumed_from"] else "from the start"
        print(f"{record['parameters']:,} parameters on {record['device']} in {record['precision']}, {begin}")
    elif kind == "step" and (step % 50 == 0 or step == 1):
        bands = " ".join(name for name, moved in record["bands"].items() if moved)
        fired = "" if record["fire_rate"] is None else f"  gate {record['fire_rate']:.2f}"
        print(
            f"step {step:>6}  loss {record['loss']:.3f}  surprise {record['surprise']:.2f}{fired}  "
            f"{record['tokens_s']:>7,.0f} tokens/s  learnt: {bands}", flush=True,
        )  # fmt: skip
    elif kind == "evaluated":
        print(f"step {step:>6}  validation {record['bpb']:.3f} bits per byte", flush=True)
    elif kind == "sampled":
        print(f"step {step:>6}  {record['prompt']!r} → {record['text']!r}", flush=True)
    elif kind == "rolledback":
        print(f"the loss jumped to {record['loss']:.2f}; back to step {record['to_step']} with "
              f"{record['lr_scale']:.0%} of the rate", flush=True)  # fmt: skip
    elif kind == "notice":
        print(record["text"], flush=True)
    elif kind == "finished":
        print(f"{record['status']} at step {step} after {record['elapsed_s']:.1f} s", flush=True)


def _stop(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    run = store.get(arguments.run)
    jobs.stop(store, run)
    print(json.dumps({"run": run.id, "status": "stopping"}) if arguments.json else f"{run.id} is stopping")
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    runs = jobs.refresh_all(store)
    refresh_database(store)
    table = query("SELECT run, step, bpb, tokens_s FROM run_summary", store=store).set_index("run")
    rows = []
    for run in runs:
        told = table.loc[run.id].to_dict() if run.id in table.index else {}
        numbers = {key: None if value != value else value for key, value in told.items()}
        rows.append({"run": run.id, "status": run.status, "model": run.record.get("model"), **numbers,
                     "data": run.record.get("config", {}).get("data"), "message": run.damage or run.record.get("message")})  # fmt: skip
    if arguments.json:
        print(json.dumps(rows, default=float))
    elif not rows:
        print("There are no runs yet. Start one: python -m lab train")
    else:
        print(f"{'run':<46} {'status':<9} {'step':>7} {'bits/byte':>9} {'tokens/s':>9}  data")
        for row in rows:
            step, bpb, speed = (row.get(key) for key in ("step", "bpb", "tokens_s"))
            print(f"{row['run']:<46} {row['status']:<9} {_cell(step, ',.0f'):>7} {_cell(bpb, '.3f'):>9} "
                  f"{_cell(speed, ',.0f'):>9}  {row['data'] or ''}")  # fmt: skip
    return 0


def _cell(value: Any, form: str) -> str:
    return "–" if value is None else format(float(value), form)


def _show(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    run = jobs.refresh(store, store.get(arguments.run))
    refresh_database(store)
    found = query("SELECT * FROM run_summary WHERE run = ?", [run.id], store=store)
    summary = json.loads(found.to_json(orient="records", date_format="iso"))[0]
    samples = query("SELECT step, prompt, text FROM samples WHERE run = ? ORDER BY step", [run.id], store=store)
    notices = query("SELECT step, text FROM notices WHERE run = ? ORDER BY step", [run.id], store=store)
    if arguments.json:
        print(json.dumps({**summary, "record": run.record, "samples": samples.to_dict("records"),
                          "notices": notices.to_dict("records")}))  # fmt: skip
        return 0
    for name, value in summary.items():
        if value is not None:
            print(f"{name:<11} {value:,.3f}" if isinstance(value, float) else f"{name:<11} {value}")
    if not run.damage:
        config = run.config()
        print("options     " + ", ".join(f"{name} {value}" for name, value in changed_options(config).items()))
        print(f"same as     {command_line(config)}")
    for row in notices.itertuples():
        print(f"at step {row.step}: {row.text}")
    for row in samples.tail(3).itertuples():
        print(f"step {row.step}: {row.prompt!r} → {row.text!r}")
    return 0


def _generate(arguments: argparse.Namespace) -> int:
    from lab import jobs

    temperature = arguments.temperature
    if temperature is None:
        temperature = 0.0 if arguments.ask else 0.8
    run = RunStore().get(arguments.run)
    pieces = jobs.write(run, arguments.prompt, ask=arguments.ask, length=arguments.length, temperature=temperature,
                        seed=arguments.seed)  # fmt: skip
    if arguments.json:
        print(json.dumps({"run": run.id, "prompt": arguments.prompt, "text": "".join(pieces)}))
        return 0
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from lab import jobs

    store = RunStore()
    runs = [jobs.refresh(store, store.get(name)) for name in arguments.runs]
    folder = Path(arguments.to) if arguments.to else runs[0].folder / "export"
    if arguments.starter:
        paths = jobs.export_starter(runs[0], folder)
        print(json.dumps({"files": [str(path) for path in paths]}) if arguments.json else "\n".join(map(str, paths)))
        return 0
    refresh_database(store)
    paths = jobs.export_tables(store, runs, folder, arguments.format)
    for run in [] if arguments.no_brain else runs:
        try:
            paths += jobs.export_brain(run, folder / "brain" if len(runs) == 1 else folder / "brain" / run.id)
        except ConfigError as error:
            print(f"no brain: {error}", file=sys.stderr)
    names = [str(path) for path in paths]
    told = {"runs": [run.id for run in runs], "files": names}
    print(json.dumps(told) if arguments.json else "\n".join(names))
    return 0


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
    from lab.jobs import bench

    result = bench.measure(arguments.what, data=arguments.data, minutes=arguments.minutes, seeds=arguments.seeds)
    print(json.dumps(result) if arguments.json else bench.render(result))
    if arguments.readme:
        bench.write_readme(result)
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
