"""A JupyterLab for the notebooks, started once, on this machine only; its token is on no command line, and it ends with us."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from lab.config import ConfigError

WAIT_S = 30.0
ROOT = Path(__file__).resolve().parents[2]
# The token comes through a pipe; when we end, in whatever way, the pipe closes and JupyterLab ends as well. prctl would
# not do: it follows the thread that started it, and threads of a page come and go.
CHILD = """import os, signal, sys, threading
from jupyterlab.labapp import main
token = os.read(0, 99).decode()
threading.Thread(target=lambda: (os.read(0, 1), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
main([*sys.argv[1:], f"--IdentityProvider.token={token}"])"""
_started: dict[str, tuple[subprocess.Popen[bytes], str, str]] = {}
_starting = threading.Lock()


def open_notebook(name: str) -> str:
    """Give the address of notebooks/`name` in a JupyterLab of ours. Raises ConfigError when it does not come up."""
    if find_spec("jupyterlab") is None:
        raise ConfigError("jupyterlab must be installed to open a notebook; it is not. Run pip install jupyterlab.")
    with _starting:
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
        sys.executable, "-c", CHILD, "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={ROOT / 'notebooks'}", "--ServerApp.allow_root=True",
        "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    quiet = subprocess.DEVNULL  # and a session of its own, where Ctrl-C does not make it ask before it ends
    process = subprocess.Popen(words, 0, None, subprocess.PIPE, quiet, quiet, cwd=ROOT, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(token.encode())
    return process, f"http://127.0.0.1:{port}", token


def _answers(base: str, token: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/api/status?token={token}", timeout=2) as answer:
            return isinstance(json.load(answer), dict)
    except (OSError, ValueError):
        return False
