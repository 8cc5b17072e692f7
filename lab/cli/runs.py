"""python -m lab train, resume, stop, runs, show, generate, export: runs, from a shell."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lab.cli.flags import add_option_flags, options_of
from lab.config import RECIPES, ConfigError, build_config, changed_options, command_line, option_kinds
from lab.store import Run, RunStore, query, refresh_database, summaries


def add_run_commands(command: Any) -> None:
    """Add the commands that are about runs."""
    train = command("train", _train, "Train a brain; Ctrl-C saves it and stops.", json_help="print one event a line")
    add_option_flags(train)
    train.add_argument("--recipe", choices=RECIPES, help="Options of a long training; those you name win.")
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


def _train(arguments: argparse.Namespace) -> int:
    from lab import jobs

    options = options_of(arguments, option_kinds())
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
    return end_badly(run, arguments.json, "kind") if run.status not in ("finished", "stopped") else 0


def end_badly(run: Run, as_json: bool, key: str) -> int:
    """Say why a run did not end well, with its status under `key` where that is JSON; gives the exit code."""
    if run.record.get("traceback"):
        print(run.record["traceback"], file=sys.stderr)
    message = str(run.record.get("message"))
    if as_json:
        print(json.dumps({key: run.status, "run": run.id, "error": message}), flush=True)
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
        fired = "".join(f"  {name.replace('_', ' ')} {value:.2f}" for name, value in record["measures"].items())
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
    table = summaries(store)
    rows = []
    for run in runs:
        numbers = {key: table.get(run.id, {}).get(key) for key in ("step", "bpb", "tokens_s")}
        rows.append({"run": run.id, "status": run.status, "model": run.record.get("model"), **numbers,
                     "data": run.record.get("config", {}).get("data"), "message": run.damage or run.record.get("message")})  # fmt: skip
    if arguments.json:
        print(json.dumps(rows, default=float))
    elif not rows:
        print("There are no runs yet. Start one: python -m lab train")
    else:
        print(f"{'run':<46} {'status':<10} {'step':>7} {'bits/byte':>9} {'tokens/s':>9}  data")
        for row in rows:
            step, bpb, speed = (row.get(key) for key in ("step", "bpb", "tokens_s"))
            print(f"{row['run']:<46} {row['status']:<10} {_cell(step, ',.0f'):>7} {_cell(bpb, '.3f'):>9} "
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
    summary = (json.loads(found.to_json(orient="records", date_format="iso")) or [{}])[0]
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
