"""Adding a brain is two files and a line: the example of lab/README.md runs as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lab.arena import compete, find_contestant, settings
from lab.config import FAMILIES, ArenaConfig
from lab.events import Evaluated, Scored
from lab.learning import look_inside, train, write
from lab.mind import Mind
from lab.models import build
from lab.models.checkpoint import load_brain
from tests.conftest import tiny

README = Path(__file__).parents[1] / "lab" / "README.md"


@pytest.fixture
def fading(monkeypatch: pytest.MonkeyPatch) -> str:
    """The two files of the example as modules, and its line in the table; gives the family's name."""
    blocks = re.findall(r"`(lab/[\w/]+\.py)`:\n\n```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2 and sum(code.count("\n") for _, code in blocks) < 70
    for path, code in blocks:
        name = path.removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, path, "exec"), module.__dict__)
    monkeypatch.setitem(FAMILIES, "fading", sys.modules["lab.config.brains.fading"].FAMILY)
    return "fading"


def test_the_example_keeps_the_contract(fading: str) -> None:
    """It is causal, keeps rows apart, and gives the same whole, in pieces and from chosen rows."""
    brain = build(fading, FAMILIES[fading].config(width=16, layers=2, heads=2)).double()
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    tokens = torch.randint(0, 256, (3, 20))
    whole, first = brain(tokens)[0], brain(tokens[:, :7])
    torch.testing.assert_close(torch.cat((first[0], brain(tokens[:, 7:], first[1])[0]), 1), whole)
    torch.testing.assert_close(brain(tokens[[2, 0], 7:], first[1].rows([2, 0]))[0], whole[[2, 0], 7:])


def test_a_new_brain_trains_writes_competes_becomes_a_mind_and_is_looked_into(fading: str, tmp_path: Path) -> None:
    """All of the lab finds it by its line in the table; nothing outside its two files was edited."""
    config = tiny(model=fading, steps=30, keep=0.7)
    events = list(train(config, tmp_path / "run"))
    scores = [event.bpb for event in events if isinstance(event, Evaluated)]
    assert len(scores) >= 2 and scores[-1] < scores[0]
    _, brain = load_brain(tmp_path / "run" / "brain")
    assert "".join(write(brain, "The", length=5, temperature=0.0))
    reading = look_inside(brain, "The capital")["mean"]
    assert reading.values.shape == (1, 1, 16) and reading.meaning

    arena = ArenaConfig(contestants=fading, facts=4, steps=3, width=16, layers=1, heads=2, probes=0)
    tuned = settings()
    cell = compete(arena, find_contestant(fading, tuned), 1, "forward", tmp_path / "cell", tuned)
    assert sum(isinstance(event, Scored) and event.split == "test" for event in cell) == 6  # two tasks, three times

    with Mind.create("toy", str(tmp_path / "run" / "brain"), tmp_path / "minds") as mind:
        mind.teach("My name is Alice.")
        assert [trace.text for trace in mind.traces()] == ["My name is Alice."] and mind.stats()["model"] == fading
        assert mind.ask("What is my name?").text
