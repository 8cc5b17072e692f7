"""DESIGN's table of who may import whom."""

import ast
from pathlib import Path

import pytest

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
