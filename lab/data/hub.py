"""Texts streamed from a dataset hub by name, through `datasets`. Nothing is asked of the network before that.

`state_dict` of a stream is exact only to a chunk, so the place is ours: the number of the next text. After a 500, a
timeout or a dropped connection the stream is opened anew at that number.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lab.config import ConfigError

TRIES = 5
KNOCK_S = 10.0
FIRST_WAIT_S = 0.5


def stream_texts(dataset: str, subset: str | None, column: str) -> Callable[[int], Iterator[bytes]]:
    """Give a function that yields the texts of the training split of `dataset` from number `start` on.

    The function raises ConfigError when the data set or the column does not exist, and when the hub stays out of reach
    through several tries.
    """

    def texts(start: int) -> Iterator[bytes]:
        number, failures = start, 0
        while True:
            try:
                _knock()
                rows = _open(dataset, subset)
            except Exception as error:  # `datasets` has tried several times by itself
                raise ConfigError(_sentence(dataset, subset, error), "data") from error
            try:
                for row in rows.skip(number):
                    yield _text_of(row, column, dataset)
                    number, failures = number + 1, 0
                return
            except ConfigError:
                raise
            except Exception as error:  # what the network can raise is an open set; the last one is told
                failures += 1
                if failures >= TRIES:
                    raise ConfigError(_sentence(dataset, subset, error), "data") from error
                time.sleep(FIRST_WAIT_S * 2 ** (failures - 1))

    return texts


def _knock() -> None:
    """Raise OSError at once where nobody answers; `datasets` takes half a minute to say so. A proxy is not asked."""
    place = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    if place.hostname and not getproxies():
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname, port), timeout=KNOCK_S).close()


def _open(dataset: str, subset: str | None) -> Any:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import datasets
    from datasets import config

    config.STREAMING_READ_MAX_RETRIES = 3
    config.STREAMING_READ_RETRY_INTERVAL = 1
    datasets.logging.set_verbosity_error()
    return datasets.load_dataset(dataset, subset, split="train", streaming=True)


def _text_of(row: dict[str, Any], column: str, dataset: str) -> bytes:
    text = row.get(column)
    if not isinstance(text, str):
        have = ", ".join(repr(name) for name, value in row.items() if isinstance(value, str)) or "no text"
        raise ConfigError(
            f"{dataset} must have a text column {column!r}; it has {have}. Add it: hub:NAME:CONFIG:COLUMN", "data"
        )
    return text.encode("utf-8", errors="replace")


def _sentence(dataset: str, subset: str | None, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, ValueError) or type(error).__name__ in {"DatasetNotFoundError", "DataFilesNotFoundError"}:
        name = f"{dataset}:{subset}" if subset else dataset
        return f"hub:{name} must name a data set with a training split; the hub says: {reason}."
    return f"the hub must be reachable to read {dataset}; it was not: {reason}. Try again or use a file."
