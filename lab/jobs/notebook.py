"""A JupyterLab for the notebooks, started once, on this machine only, with its usual token."""

from __future__ import annotations

import atexit
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from lab.config import ConfigError

WAIT_S = 30.0
ROOT = Path(__file__).resolve().parents[2]
_started: dict[str, tuple[subprocess.Popen[bytes], str, str]] = {}


def open_notebook(name: str) -> str:
    """Give the address of notebooks/`name` in a JupyterLab of ours. Raises ConfigError when it does not come up."""
    if find_spec("jupyterlab") is None:
        raise ConfigError("jupyterlab must be installed to open a notebook; it is not. Run pip install jupyterlab.")
    running = _started.get("lab")
    if running is None or running[0].poll() is not None:
        running = _started["lab"] = _start()
    process, base, token = running
    deadline = time.monotonic() + WAIT_S
    while not _answers(base, token):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ConfigError("JupyterLab must come up; it did not. Run jupyter lab notebooks to see why.")
        time.sleep(0.2)
    return f"{base}/lab/tree/{name}?token={token}"


def _start() -> tuple[subprocess.Popen[bytes], str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(24)
    words = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={ROOT / 'notebooks'}", "--ServerApp.allow_root=True",
        f"--IdentityProvider.token={token}", "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=ROOT, stdin=quiet, stdout=quiet, stderr=quiet)
    atexit.register(process.terminate)
    return process, f"http://127.0.0.1:{port}", token


def _answers(base: str, token: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/api/status?token={token}", timeout=2) as answer:
            return isinstance(json.load(answer), dict)
    except (OSError, ValueError):
        return False
