"""What a score matrix says, as pure functions. Letters: T tasks.

R (T + 1, T): R[t, i] is the score on task i after task t, both counted from 1 for tasks; row 0 is before any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def matrix(scores: Sequence[tuple[int, int, float]], tasks: int) -> Matrix:
    """(after task, on task, score) triples → R (T + 1, T); what was not scored is not a number."""
    r = np.full((tasks + 1, tasks), np.nan)
    for after, on, score in scores:
        r[after, on - 1] = score
    return r


def final_accuracy(r: Matrix) -> float:
    """ACC: the mean score on all tasks at the end."""
    return float(r[-1].mean())


def learning_accuracy(r: Matrix) -> float:
    """The mean score on each task just after it was learnt."""
    return float(np.diag(r[1:]).mean())


def backward_transfer(r: Matrix) -> float:
    """BWT: what learning the later tasks did to the earlier ones; below 0 is forgetting."""
    return float((r[-1] - np.diag(r[1:]))[:-1].mean())


def forgetting(r: Matrix) -> float:
    """The fall from the best score that each earlier task ever had before the end to its score at the end."""
    return float((r[:-1].max(axis=0) - r[-1])[:-1].mean())


def forward_transfer(r: Matrix) -> float:
    """FWT: the score on a task just before it is learnt, less that before anything was."""
    return float(np.mean([r[i, i] - r[0, i] for i in range(1, r.shape[1])]))


def kept_of_first(r: Matrix) -> float:
    """The share of the first task's score after it was learnt that is left at the end; 0 where there was none."""
    return float(r[-1, 0] / r[1, 0]) if r[1, 0] else 0.0


def anytime_accuracy(r: Matrix) -> list[float]:
    """After each task, the mean score on the tasks so far."""
    return [float(r[t, :t].mean()) for t in range(1, r.shape[1] + 1)]


def intransigence(r: Matrix, joint: Matrix) -> float:
    """What is missing, task by task, to a brain that learnt from everything at once."""
    return float((joint[-1] - np.diag(r[1:])).mean())


METRICS = {
    "ACC": final_accuracy, "learning accuracy": learning_accuracy, "BWT": backward_transfer, "forgetting": forgetting,
    "FWT": forward_transfer, "kept of the first task": kept_of_first,
}  # fmt: skip


def summarise(r: Matrix) -> dict[str, float]:
    """All metrics of one R, and the score on the oldest and newest task at the end."""
    ends = {"oldest": float(r[-1, 0]), "newest": float(r[-1, -1])}
    return {
        **{name: metric(r) for name, metric in METRICS.items()},
        "anytime": float(np.mean(anytime_accuracy(r))),
        **ends,
    }
