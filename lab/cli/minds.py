"""python -m lab chat, teach, ask, sleep, forget, minds, exam: minds from a shell, with the page's own functions."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.cli.flags import add_flags, options_of
from lab.config import DEFAULT, MindConfig
from lab.store import RunStore


def add_mind_commands(command: Any) -> None:
    """Add the commands; `command(name, act, help)` makes a subparser."""
    chat = command(
        "chat", _chat, "Talk with a mind: tell it, ask it, correct it. An empty line ends it.", json_help=None
    )
    teach = command("teach", _teach, "Tell a mind something; it is on disk when this ends.")
    teach.add_argument("text", nargs="?", help="A statement.")
    teach.add_argument("--question", help="Teach an answer to this question instead.")
    teach.add_argument("--answer", help="The answer to --question.")
    teach.add_argument("--file", help="Import a file: JSON lines with text, or a statement a line.")
    ask = command("ask", _ask, "Ask a mind.")
    ask.add_argument("text", help="A question.")
    ask.add_argument("--memory", default="both", help="both, notes or weights. Default both.")
    ask.add_argument("--wrong", action="store_true", help="Tell it that its answer is wrong.")
    ask.add_argument("--correction", help="Tell it the right answer.")
    sleep = command(
        "sleep", _sleep, "Let a mind sleep one night: notes move into its weights.", json_help="print one event a line"
    )
    forget = command("forget", _forget, "Let a mind forget a trace.")
    forget.add_argument("trace", type=int, help="The trace's number, as minds MIND shows it.")
    for sub in (chat, teach, ask, sleep, forget):
        sub.add_argument("--brain", help="Make the mind from this brain if there is none of that name.")
    for sub in (chat, teach, ask, sleep, forget):
        _put_first(sub, "mind", "A mind's name.")
    minds = command("minds", _minds, "List all minds; show one; make one; save what a damaged one still holds.")
    minds.add_argument("what", nargs="?", help="A mind to show, or: new, export, salvage.")
    minds.add_argument("name", nargs="?", help="The mind for new, export and salvage.")
    minds.add_argument(
        "--brain", default=DEFAULT, help=f"new: a starter's name, a run or a model folder. Default {DEFAULT}."
    )
    minds.add_argument("--to", help="export, salvage: the file to write, JSON lines.")
    exam = command("exam", _exam, "Examine brains on facts and wordings that none was trained on.")
    exam.add_argument("--brains", default="", help="Brains, with commas between. Default: all starters.")
    exam.add_argument("--facts", type=int, default=200, help="Facts for each measure. Default 200.")
    exam.add_argument("--seed", default="1", help="Seed of the facts. Default 1.")
    exam.add_argument("--parts", default="", help="Parts, with commas between. Default: all.")
    exam.add_argument("--results", action="store_true", help="Also put the table into notebooks/RESULTS.md.")
    add_flags(exam, MindConfig, without=("auto_sleep",))


def _put_first(sub: argparse.ArgumentParser, name: str, help: str) -> None:
    """Add a positional that is read before the others."""
    action = sub.add_argument(name, help=help)
    positionals = sub._positionals._group_actions
    positionals.remove(action)
    positionals.insert(0, action)
    sub._actions.remove(action)
    sub._actions.insert(0, action)


@contextlib.contextmanager
def _mind(arguments: argparse.Namespace) -> Iterator[Any]:
    """Open the named mind for as long as needed; make it where --brain says of what."""
    from lab.mind import Minds, minds_home

    minds = Minds(minds_home(RunStore().home))
    try:
        known = arguments.mind in minds.names()
        new = arguments.brain and not known
        mind = minds.create(arguments.mind, arguments.brain) if new else minds.get(arguments.mind)
        _warn(mind)
        yield mind
    finally:
        minds.close()


def _warn(mind: Any) -> None:
    if mind.notice:
        print(f"note: {mind.notice}", file=sys.stderr)


def _answer_record(answer: Any) -> dict[str, Any]:
    return {
        "text": answer.text, "source": answer.source, "confidence": round(answer.confidence, 4),
        "traces": [{"trace": t.id, "text": t.text, "tier": t.tier} for t in answer.traces],
    }  # fmt: skip


def _taught_record(taught: Any) -> dict[str, Any]:
    return {
        "text": taught.text, "stored": [{"trace": t.id, "text": t.text, "tier": t.tier} for t in taught.traces],
        "repeated": [t.id for t in taught.repeated], "replaced": [t.id for t in taught.replaced],
        "beside": [t.id for t in taught.beside],
    }  # fmt: skip


def _chat(arguments: argparse.Namespace) -> int:
    from lab.mind import Answer, MindError

    with _mind(arguments) as mind:
        print(f"{mind.name} listens. Tell it something or ask; an empty line ends the talk.")
        while True:
            try:
                line = input("> ")
            except EOFError:
                return 0
            if not line.strip():
                return 0
            try:
                for piece in mind.say_stream(line):
                    if isinstance(piece, str):
                        print(piece, end="", flush=True)
                    elif isinstance(piece, Answer):
                        print(f"   [{piece.source}, {piece.confidence:.0%}]", end="")
                print()
            except MindError as error:
                print(f"error: {error}")


def _teach(arguments: argparse.Namespace) -> int:
    from lab.mind import Taught

    with _mind(arguments) as mind:
        if arguments.file:
            count = mind.import_traces(Path(arguments.file))
            print(json.dumps({"imported": count}) if arguments.json else f"{count} new traces")
            return 0
        taught = mind.teach(arguments.text, question=arguments.question, answer=arguments.answer)
        found = mind.reflect()
        taught = Taught.of((taught, found))
        print(json.dumps(_taught_record(taught)) if arguments.json else taught.text)
    return 0


def _ask(arguments: argparse.Namespace) -> int:
    with _mind(arguments) as mind:
        answer = mind.ask(arguments.text, arguments.memory)
        told = _answer_record(answer)
        words = f"{answer.text}   [{answer.source}, {answer.confidence:.0%}]"
        if arguments.wrong or arguments.correction:
            taught = mind.feedback(answer, "wrong", arguments.correction)
            told["feedback"] = _taught_record(taught) if taught else {"wrong": True}
            words += f"\n{taught.text if taught else 'It will not give that answer to this question again.'}"
        print(json.dumps(told) if arguments.json else words)
    return 0


def _sleep(arguments: argparse.Namespace) -> int:
    from lab.events import NightEnded, Phase, TraceAudited, to_record

    with _mind(arguments) as mind:
        for event in mind.sleep():
            if arguments.json:
                print(json.dumps(to_record(event)), flush=True)
            elif isinstance(event, Phase):
                print(f"{event.seconds:6.1f} s  {event.phase}: {event.doing}", flush=True)
            elif isinstance(event, TraceAudited):
                print(f"          {'by heart' if event.passed else 'not yet'}: {event.question}", flush=True)
            elif isinstance(event, NightEnded):
                shares = {
                    "recall before": event.recall_before,
                    "recall after": event.recall_after,
                    "old knowledge kept": event.retained,
                }
                told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share is not None)
                print(
                    f"{event.seconds:6.1f} s  {'the night is kept' if event.kept else 'the night is taken back'}: {told}",
                    flush=True,
                )
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    with _mind(arguments) as mind:
        gone = mind.forget(arguments.trace)
        print(json.dumps({"forgotten": gone.id, "text": gone.text}) if arguments.json else f"forgotten: {gone.text}")
    return 0


def _minds(arguments: argparse.Namespace) -> int:
    from lab.mind import Minds, minds_home
    from lab.mind.home import salvage_mind

    minds = Minds(minds_home(RunStore().home))
    try:
        if arguments.what == "new":
            mind = minds.create(arguments.name or "", arguments.brain)
            print(json.dumps(mind.stats()) if arguments.json else f"{mind.name} is here, made from {mind.origin}.")
        elif arguments.what in ("export", "salvage"):
            name = arguments.name or ""
            to = Path(arguments.to or f"{name}-traces.jsonl")
            count = (
                salvage_mind(minds.home, name, to) if arguments.what == "salvage" else minds.get(name).export_traces(to)
            )
            print(json.dumps({"traces": count, "file": str(to)}) if arguments.json else f"{count} traces in {to}")
        elif arguments.what:
            mind = minds.get(arguments.what)
            _warn(mind)
            traces = [dataclasses.asdict(trace) for trace in mind.traces()]
            if arguments.json:
                print(json.dumps({**mind.stats(), "traces": traces}))
            for trace in [] if arguments.json else traces:
                print(
                    f"{trace['id']:>6}  {trace['tier']:<8} {trace['stage']:<8} {trace['confidence']:.1f}  {trace['text']}"
                )
        else:
            names = minds.names()
            print(
                json.dumps(names)
                if arguments.json
                else "\n".join(names) or "no minds yet: python -m lab minds new NAME"
            )
    finally:
        minds.close()
    return 0


def _exam(arguments: argparse.Namespace) -> int:
    from lab.exam.minds import check_whole, take_exam
    from lab.mind import brains
    from lab.report import render, write_results

    names = [name for name in arguments.brains.split(",") if name] or brains()
    parts = [part for part in arguments.parts.split(",") if part]
    if arguments.results:
        check_whole(names, parts, arguments.facts)
    rows = []
    config = MindConfig(**options_of(arguments, (MindConfig,)))
    for measure in take_exam(names, config, facts=arguments.facts, seed=arguments.seed, parts=parts):
        low, high = measure.interval
        rows.append({
            "brain": measure.brain, "measure": measure.name, "value": measure.share,
            "low": low, "high": high, "n": measure.of, "goal": measure.goal, "at_most": measure.at_most, "reached": measure.reached,
        })  # fmt: skip
        print(f"{measure.brain}: {measure.name} {rows[-1]['value']:.3f}", file=sys.stderr, flush=True)
    result = {"bench": "exam", "seed": arguments.seed, "facts": arguments.facts, "rows": rows}
    table = {**result, "rows": [_shown(row) for row in rows]}
    print(json.dumps(result) if arguments.json else render(table))
    if arguments.results:
        write_results(table)
    return 0


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A measure of the exam as a person reads it."""
    goal = "" if row["goal"] is None else f"{'≤' if row['at_most'] else '≥'} {row['goal']}"
    reached = {None: "", True: "yes", False: "no"}[row["reached"]]
    plain = {name: row[name] for name in ("brain", "measure", "value", "low", "high", "n")}
    return {**plain, "goal": goal, "reached": reached}
