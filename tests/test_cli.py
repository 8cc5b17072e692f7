"""The command line, as a person calls it, and the commands of the README."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from lab.cli import main
from lab.config import build_config, command_line, flatten_config
from lab.store import TRAIN, RunStore
from tests.conftest import TINY, tiny, wait_until

ROOT = Path(__file__).parents[1]
FLAGS = [word for name, value in TINY.items() for word in ("--" + name.replace("_", "-"), str(value))]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_from_start_to_export(store: RunStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """train, runs, show, generate, export, preview, rebuild-db; each with --json too."""
    code, out, _ = call(capsys, "train", "--json", *FLAGS)
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [event["kind"] for event in events]
    assert code == 0 and kinds[0] == "launched" and kinds[-1] == "finished" and kinds.count("step") == 40
    run = events[0]["run"]

    code, out, _ = call(capsys, "runs", "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["run"] == run and row["status"] == "finished" and row["step"] == 40
    assert run in call(capsys, "runs")[1]

    code, out, _ = call(capsys, "show", "last", "--json")
    shown = json.loads(out)
    assert code == 0 and shown["record"]["config"] == flatten_config(tiny()) and len(shown["samples"]) == 2
    assert "same as     python -m lab train --model qor" in call(capsys, "show", run)[1]

    code, out, _ = call(capsys, "generate", run, "--prompt", "The", "--length", "9", "--json")
    again = call(capsys, "generate", run, "--prompt", "The", "--length", "9", "--json")[1]
    assert code == 0 and json.loads(out)["prompt"] == "The" and out == again

    code, out, _ = call(capsys, "export", run, "--to", str(tmp_path / "out"), "--format", "parquet", "--json")
    assert code == 0 and all(Path(name).exists() for name in json.loads(out)["files"])
    assert (tmp_path / "out" / "brain" / "model.safetensors").exists()

    code, out, _ = call(capsys, "rebuild-db", "--json")
    assert code == 0 and json.loads(out) == {"runs": 1, "steps": 40}


def test_the_flags_are_those_of_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option has a flag with its own help text and default."""
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in flatten_config(build_config({})):
        assert "--" + name.replace("_", "-") in text
    assert "The medium band learns once in this many training steps. Only qor. Default 16." in text


def test_the_shown_command_makes_the_same_run() -> None:
    """command_line and the parser are inverses, for odd values too."""
    from lab.cli import _parser
    from lab.cli.flags import options_of
    from lab.config import option_kinds

    config = build_config(
        {"model": "baseline", "preset": "nano", "prompt": 'it\'s "so" $HOME', "lr": 1e-4, "compile": True}
    )
    words = shlex.split(command_line(config))[3:]
    parsed = build_config(options_of(_parser().parse_args(words), option_kinds()))
    assert parsed == config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--steps", "0"], "steps must be at least 1; got 0"),
        (["train", "--steps", "many"], "steps must be a whole number; got 'many'"),
        (["train", "--width", "30", "--heads", "4"], "width must be divisible by heads; got 30 and 4"),
        (["train", "--cms-med-freq", "64", "--cms-slow-freq", "16"], "bands must rise; got (1, 64, 16)"),
        (["train", "--data", "nowhere.txt"], "data must name a file that exists"),
        (["train", "--model", "gpt"], "model must be one of qor, baseline"),
        (["show", "nothing"], "there is none called 'nothing'"),
        (["resume", "nothing"], "there is none called 'nothing'"),
        (["stop", "last"], "there is none called 'last'"),
        (["generate", "x", "--prompt", "y"], "there is none called 'x'"),
        (["preview", "--data", "facts:mars"], "a facts world must be one of"),
        (["bench", "learn"], "must be given a text file"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    store: RunStore, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """On standard error, and as JSON where that was asked for; nothing is left behind."""
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    code, out, _ = call(capsys, *words, "--json")
    assert code == 2 and message in json.loads(out)["error"]
    assert store.list() == []


def test_a_detached_run_goes_on_and_can_be_stopped(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    """train --detach returns the name at once; stop ends it; resume --detach goes on."""
    code, out, _ = call(capsys, "train", "--detach", *FLAGS, "--steps", "100000")
    run = out.strip()
    wait_until(lambda: store.get(run).status == "running" and store.get(run).events.exists())
    assert code == 0 and call(capsys, "stop", run)[0] == 0
    wait_until(lambda: store.get(run).status == "stopped")
    assert call(capsys, "resume", run, "--detach", "--json")[0] == 0
    wait_until(lambda: store.get(run).status == "running")
    assert call(capsys, "stop", run, "--json")[0] == 0
    wait_until(lambda: store.get(run).status == "stopped")


def readme_commands() -> list[str]:
    """Every `python -m lab …` line in the README's shell blocks."""
    blocks = re.findall(r"```(?:sh|bash|shell)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("python -m lab")]


def test_the_readme_shows_every_command() -> None:
    """None is missing, and none is invented."""
    shown = {shlex.split(line)[3] for line in readme_commands()}
    known = {"train", "resume", "stop", "runs", "show", "generate", "export", "preview", "bench", "rebuild-db"}
    known |= {"minds", "teach", "ask", "sleep", "forget", "chat", "exam", "arena"}
    assert shown == known


def test_the_readme_commands_work(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is run as it stands, in order, on fewer steps; benches are only parsed, they take minutes."""
    from lab.cli import _parser

    text = tmp_path / "PATH.txt"
    text.write_text("\n\n".join(f"Line {i} of a small book." for i in range(400)))
    stopped = store.create(tiny(steps=30))
    store.update(stopped, status="stopped")
    for line in readme_commands():
        words = shlex.split(
            line.replace("PATH", str(text)).replace("RUN", "last").replace("STARTER", str(tmp_path / "s"))
        )[3:]
        arguments = _parser().parse_args(words)
        if words[0] in ("bench", "exam", "sleep") or {"--recipe", "--starter"} & set(words):
            assert arguments.act
            continue
        if words[0] == "train":
            words += [
                word
                for name, value in TINY.items()
                if name != "data"
                for word in ("--" + name.replace("_", "-"), str(value))
            ]
        if words[0] == "arena" and len(words) > 1 and words[1] == "tune":
            continue
        if words[0] == "arena" and "--stream" in words:
            words += ["--facts", "4", "--steps", "6", "--width", "16", "--heads", "2", "--layers", "2", "--seeds", "1"]
        if words[0] == "stop":
            assert main(["train", "--detach", *FLAGS, "--steps", "100000"]) == 0
            wait_until(lambda: store.list(TRAIN)[0].status == "running")
        if words[0] == "resume":
            wait_until(lambda: not any(run.live for run in store.list()))
            words = [*words, "--detach"]
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        assert main(words) == 0, (line, capsys.readouterr().err)
    live = [run for run in store.list() if run.live]
    for run in live:
        main(["stop", run.id])
    wait_until(lambda: not any(store.read(run.folder).live for run in live))
