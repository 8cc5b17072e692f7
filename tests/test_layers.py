"""DESIGN's table of who may import whom."""

import ast
import re
from pathlib import Path

import pytest

from lab.config import FAMILIES

LAB = Path(__file__).parents[1] / "lab"
EVERYONE = {"config", "events", "disk", "text"}
MAY = {
    "text": set(), "config": EVERYONE, "events": EVERYONE, "disk": EVERYONE, "views": EVERYONE, "__main__": {"cli"},
    **dict.fromkeys(("data", "models", "memory", "store"), EVERYONE),
    "learning": {*EVERYONE, "data", "models", "memory"},
    "arena": {*EVERYONE, "data", "models", "learning"},
    "mind": {*EVERYONE, "data", "models", "memory", "learning"},
    # an exam asks made facts (data), takes the time of publishing (store) and of searching notes (memory)
    "exam": {*EVERYONE, "arena", "mind", "learning", "models", "data", "memory", "store"},
    "report": {*EVERYONE, "arena", "store", "views"},
    "jobs": {*EVERYONE, "learning", "arena", "mind", "exam", "store", "models"},
    "api": {*EVERYONE, "mind"},
    "ui": {*EVERYONE, "jobs", "mind", "store", "views", "report", "exam"},
    "cli": {*EVERYONE, "jobs", "mind", "store", "report", "exam"},
}  # fmt: skip


def lab_imports(path: Path) -> set[str]:
    layers = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        layers |= {name.split(".")[1] for name in names if name.startswith("lab.")}
    return layers


@pytest.mark.parametrize("path", sorted(LAB.rglob("*.py")), ids=lambda path: str(path.relative_to(LAB)))
def test_a_layer_imports_only_what_it_may(path: Path) -> None:
    """Data flows one way: no layer knows its caller."""
    layer = path.relative_to(LAB).parts[0].removesuffix(".py")
    if layer != "__init__":
        assert lab_imports(path) <= MAY[layer] | {layer}


def test_the_top_level_holds_only_what_the_design_names() -> None:
    """app.py, lab, notebooks, runs, tests, README.md, requirements.txt and dot-files."""
    names = {path.name for path in LAB.parent.iterdir() if not path.name.startswith((".", "__pycache__"))}
    assert names <= {"app.py", "lab", "notebooks", "runs", "tests", "README.md", "requirements.txt"}


@pytest.mark.parametrize("path", sorted(LAB.rglob("*.py")), ids=lambda path: str(path.relative_to(LAB)))
def test_marks_and_families_are_known_in_their_rooms_alone(path: Path) -> None:
    """How a lesson is spelt stands in text, a family's name in its two files and the table: nobody else knows either."""
    room, code = path.relative_to(LAB).as_posix(), path.read_text(encoding="utf-8")
    if not room.startswith("text/"):
        assert not re.search(r"\b(START|ANSWER|NOTE|QUIZ|UNKNOWN)\b", code)
    if not room.startswith("config/brains/") and room not in {f"models/{name}.py" for name in FAMILIES}:
        names = "|".join(FAMILIES)
        assert not re.search(rf"\b({names})\b(?! Lab|-lab)", code, re.I)
