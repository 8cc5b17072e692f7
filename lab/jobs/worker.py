"""The worker: one process that works on one run and writes its log. It needs nobody; closing a page does not end it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from lab.disk import explain_disk
from lab.events import Checkpointed, Finished, Started, to_record
from lab.jobs.arena import compete_all
from lab.store import LogWriter, Run, RunStore, publish
from lab.store.publish import FRESH_S
from lab.store.runs import ARENA, now

NICENESS = 10


def work(store: RunStore, run: Run, *, resume: bool) -> int:
    """Take `run` to its end, its stop or its failure; gives the exit code. Only one process can work on a run."""
    try:
        with FileLock(run.folder / ".lock", timeout=5):
            code = _work(store, run, resume)
    except Timeout:
        print(f"a run must have one worker; {run.id} is being worked on by another process.")
        return 2
    with contextlib.suppress(OSError):
        _try_publish(store)
    return code


def _work(store: RunStore, run: Run, resume: bool) -> int:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):  # who launched us has written it as well
        write_pid(run, os.getpid())
    ended = threading.Event()
    publisher = threading.Thread(target=_publish_while, args=(store, ended), daemon=True)
    try:
        publisher.start()
        store.reserve(run)
        run = store.update(run, status="running", started_at=run.record["started_at"] or now(), ended_at=None,
                           message=None, traceback=None)  # fmt: skip
        run, status = (compete_all if run.kind == ARENA else _learn)(store, run, resume, _stop_signal(run))
        outcome, code = {"status": status}, 0
    except Exception as error:  # whatever it is, the run must say it
        outcome, code = _explain(error, run)
    finally:
        ended.set()
    fresh = store.read(run.folder)  # the run may have told its device and size since
    run = run if fresh.damage else fresh
    (run.folder / "stop").unlink(missing_ok=True)
    store.close(run, ended_at=now(), **outcome)
    with contextlib.suppress(OSError):  # on a full disk there is no room for worker.log either
        if code:
            print(outcome.get("traceback") or outcome["message"], flush=True)
    return code


def _learn(store: RunStore, run: Run, resume: bool, stop: Callable[[], bool]) -> tuple[Run, str]:
    """Iterate the trainer and log what it yields; gives how it ended."""
    from lab.learning import train

    status = "stopped"
    with LogWriter(run.events) as log:
        for event in train(run.config(), run.folder, resume=resume, stop=stop):
            log.append(to_record(event))
            if isinstance(event, Started):
                run = store.update(run, parameters=event.parameters, device=event.device, precision=event.precision,
                                   threads=event.threads)  # fmt: skip
            elif isinstance(event, Checkpointed):
                log.sync()
            elif isinstance(event, Finished):
                status = event.status
        log.sync()
    return run, status


def _explain(error: Exception, run: Run) -> tuple[dict[str, Any], int]:
    """Give what run.json says of an error, and the exit code: 2 where the user can mend it."""
    full = explain_disk(error, run.folder) if isinstance(error, OSError) else None
    if full:
        return {"status": "failed", "message": f"{full} Or resume the run."}, 2
    if isinstance(error, ValueError) and type(error).__module__.startswith("lab."):
        return {"status": "failed", "message": str(error)}, 2
    message = f"{type(error).__name__}: {error}".splitlines()[0]
    return {"status": "crashed", "message": message, "traceback": traceback.format_exc()}, 1


def _stop_signal(run: Run) -> Callable[[], bool]:
    """Give a function that says whether someone asked the run to stop: by its stop file or by a signal."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return lambda: asked.is_set() or (run.folder / "stop").exists()


def _publish_while(store: RunStore, ended: threading.Event) -> None:
    while not ended.wait(FRESH_S):
        with contextlib.suppress(OSError):
            _try_publish(store, FRESH_S / 2)


def _try_publish(store: RunStore, max_age_s: float = 0.0) -> None:
    """Publish; a failure is only noted, since the logs are whole and whoever reads next publishes them."""
    try:
        publish(store, max_age_s=max_age_s)
    except Exception:
        print(traceback.format_exc(), flush=True)


def write_pid(run: Run, pid: int) -> None:
    """Note which process works on `run`: its number and when it began, since numbers come back."""
    import psutil

    began = psutil.Process(pid).create_time()
    (run.folder / "pid").write_text(f"{pid} {began}")
