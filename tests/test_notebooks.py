"""The notebooks run end to end, and are kept without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lab.store import RunStore

QUICK = {"01": "STEPS = 20", "02": "NIGHTS, DREAMS, STEPS = 1, 0, 12", "03": "FACTS, STEPS, SEEDS, WIDTH = 4, 6, 2, 32"}
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_on_a_fresh_checkout(path: Path, store: RunStore) -> None:
    """Where there are no runs it makes its own, and every cell works; here with its parameters set to less."""
    notebook = nbformat.read(path, as_version=4)
    parameters = next(cell for cell in notebook.cells if cell.source.startswith("# Parameters"))
    parameters.source += "\n" + QUICK[path.name[:2]]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    figures = [
        output for cell in notebook.cells for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]  # fmt: skip
    assert len(figures) >= 3
    assert len(store.list()) == {"01": 2, "02": 0, "03": 1}[path.name[:2]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Cleared before it is committed."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_the_log_has_an_index_of_all_its_entries() -> None:
    """One line for each heading, in its order, with the anchor that GitHub gives it."""
    text = (Path(__file__).parents[1] / "notebooks" / "LOG.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.M)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    index = "\n".join(f"- [{heading}](#{anchor})" for heading, anchor in zip(headings, anchors, strict=True))
    assert len(headings) >= 30 and index in text.partition("\n## ")[0], f"the index must be:\n{index}"
