"""Serving the page on this machine."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Sequence
from typing import Any

HOST = "127.0.0.1"
PORT = 7860


def serve(argv: Sequence[str] | None = None, api: Callable[[Any], Any] | None = None) -> int:
    """Open the lab at 127.0.0.1, with `api` (minds → application) under /v1; gives the exit code, 2 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Open the lab in the browser.")
    parser.add_argument("--port", type=int, default=PORT, help=f"Port on {HOST}. Default {PORT}.")
    parser.add_argument("--no-browser", action="store_true", help="Do not open a browser window.")
    arguments = parser.parse_args(argv)
    try:
        listener = listen(arguments.port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        print(f"error: the port must be free; {arguments.port} is not ({reason}). Try python app.py --port "
              f"{arguments.port % 60000 + 1}", file=sys.stderr)  # fmt: skip
        return 2
    print("opening the lab …", flush=True)
    os.umask(0o077)  # runs and minds are nobody else's
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what must be done at the end is done
    import uvicorn

    url = f"http://{HOST}:{listener.getsockname()[1]}"
    # what is up- and downloaded passes through a folder that nobody else may enter and that goes when we go
    with tempfile.TemporaryDirectory(prefix="qor-lab-", ignore_cleanup_errors=True) as passing:
        os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = passing
        from lab.ui.shell import KEY, create_app  # gradio asks for the folder when it is imported

        server = uvicorn.Server(uvicorn.Config(create_app(api=api), log_level="warning", timeout_graceful_shutdown=2))
        screen = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
        if screen and not arguments.no_browser:
            threading.Timer(1.0, webbrowser.open, [url]).start()
        print(f"QOR Lab is at {url}  (Ctrl-C ends it; runs go on)", flush=True)
        if os.environ.get(KEY, "").strip():
            print(f"{KEY} guards everything: the page, its functions and files, and /v1", flush=True)
        server.run(sockets=[listener])
    return 0


def listen(port: int) -> socket.socket:
    """Take the port, so that nobody else can between asking and serving. Raises OSError when it is taken."""
    # with the protocol named, asyncio sends small answers at once; otherwise each waits 40 ms for an acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # there the option would let two programs share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(128)
    return listener
