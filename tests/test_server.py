"""The page's server: guards, offline files, the port, uploads."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lab.store import RunStore
from lab.ui.form import Form
from lab.ui.shell import create_app
from lab.ui.train import keep_upload

ROOT = Path(__file__).parents[1]


@pytest.fixture
def client(store: RunStore) -> TestClient:
    return TestClient(create_app(store), base_url="http://127.0.0.1:7860")


def test_the_page_comes_from_here_alone(client: TestClient) -> None:
    """No address of another host in the page, and Plotly is ours."""
    page = client.get("/")
    assert page.status_code == 200 and "QOR Lab" in page.text
    script = client.get("/lab/plotly.min.js")
    assert script.status_code == 200 and len(script.content) > 10**6


def test_a_foreign_host_is_refused(client: TestClient) -> None:
    """DNS rebinding ends here."""
    assert client.get("/", headers={"Host": "evil.com"}).status_code == 400
    assert client.get("/config", headers={"Host": "evil.com:7860"}).status_code == 400
    assert client.get("/config", headers={"Host": "testserver"}).status_code == 400
    for ours in ("localhost", "localhost:7860", "[::1]:7860", "127.0.0.1"):
        assert client.get("/config", headers={"Host": ours}).status_code == 200


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/run/predict"])
def test_a_foreign_origin_may_change_nothing(client: TestClient, path: str) -> None:
    """Multipart uploads included; our own origin passes the guard."""
    answer = client.post(path, headers={"Origin": "http://evil.com"}, files={"files": ("a.txt", b"x")})
    assert answer.status_code == 403 and "requests must come from this page" in answer.text
    own = client.post(path, headers={"Origin": "http://127.0.0.1:7860"}, files={"files": ("a.txt", b"x")})
    assert own.status_code != 403


@pytest.mark.parametrize("path", ["/etc/passwd", "runs/../../etc/passwd", "lab/config/runs.py"])
def test_files_are_not_served(client: TestClient, path: str) -> None:
    """Neither the machine's nor the project's."""
    assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_a_taken_port_is_one_sentence() -> None:
    """Exit code 2, with the next port as the remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "app.py", "--port", str(port), "--no-browser"], cwd=ROOT, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2 and f"the port must be free; {port} is not" in done.stderr
    assert f"--port {port + 1}" in done.stderr or port >= 60000


def test_the_form_has_a_field_for_every_option_with_the_same_help() -> None:
    """The form and the flags are made from the same fields."""
    import gradio as gr

    from lab.config import build_config, flatten_config

    with gr.Blocks():
        form = Form()
    for model in ("qor", "baseline"):
        wanted = set(flatten_config(build_config({"model": model})))
        assert {field.name for field in form.fields if field.model in (None, model)} == wanted
    values = tuple(component.value for component in form.components)
    assert form.read(values) == build_config({})


def test_an_upload_is_kept_with_the_runs(store: RunStore, tmp_path: Path) -> None:
    """It outlives the browser's temporary file, and the same content is kept once."""
    source = tmp_path / "my words.txt"
    source.write_text("hello")
    kept = keep_upload(store, source)
    source.unlink()
    assert kept.read_text() == "hello" and kept.parent == store.home / "uploads"
    source.write_text("hello")
    assert keep_upload(store, source) == kept and store.list() == []
