"""What an arena run shows: metrics from the score matrices, means with intervals, verdicts.

Nothing here is stored: it is computed from the scores whenever somebody looks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lab.arena import METRIC_NAMES, PROVES, compare, estimate, intransigence, matrix, summarise
from lab.arena.metrics import Matrix
from lab.config import ArenaConfig
from lab.config.arena import CONTROLS
from lab.store import ArenaLog
from lab.store.arena import CELL

JUDGED = {"ACC": "recall of all tasks at the end", "kept of the first task": "of the first task kept"}
UPDATED = {"newest": "of the new values known", "old values gone": "of the old values gone"}  # where facts change
FURTHER = ("anytime", "oldest", "newest", "intransigence", "old values left", "dream coverage")
COSTS = ("seconds", "tokens", "stored_bytes", "peak_bytes")


@dataclass(frozen=True)
class Report:
    """`seeds` has a row for every whole cell: its metrics and costs; `means` one for every contestant and order."""

    seeds: pd.DataFrame
    means: pd.DataFrame
    verdicts: list[str]
    proves: str = PROVES

    @property
    def table(self) -> pd.DataFrame:
        """The means as a person reads them: with words for names, without columns that say nothing."""
        words = self.means.rename(columns=lambda name: name.replace("_", " "))
        return words.loc[:, [bool((words[name] != "–").any()) for name in words]] if len(words) else words


def control_of(config: ArenaConfig) -> str:
    """Whom the others are compared with: the chosen one, else the hardest control among them, else the last."""
    names = config.names()
    last = next((name for name in reversed(names) if name != "joint"), names[-1])
    return config.control or next((name for name in CONTROLS if name in names), last)


def judged(seeds: pd.DataFrame) -> dict[str, str]:
    """The metrics that a verdict is about: where facts change, to keep the old is no merit."""
    return UPDATED if len(seeds) and seeds["old values left"].notna().any() else JUDGED


def whole_cells(log: ArenaLog) -> list[tuple[tuple[str, int, str], Matrix, int]]:
    """Every cell that went through the stream, with its R and the number of tasks."""
    scores, cells = log.table("scores"), []
    for order, tasks in log.contested.get("tasks", {}).items():
        for cell, rows in scores[scores["task_order"] == order].groupby(CELL, sort=False):
            r = matrix(list(zip(rows["after_task"], rows["on_task"], rows["recall"], strict=True)), len(tasks))
            if not np.isnan(r).any():
                cells.append(((str(cell[0]), int(cell[1]), str(cell[2])), r, len(tasks)))
    return cells


def report(config: ArenaConfig, log: ArenaLog) -> Report:
    """Compute everything that a page, a shell or a file shows of a run, from what is whole so far."""
    cells = whole_cells(log)
    costs, side = log.table("costs"), log.table("side_scores")
    joint = {(seed, order): r for (name, seed, order), r, _ in cells if name == "joint"}
    rows = []
    for (name, seed, order), r, count in cells:
        own_costs = _of_cell(costs, name, seed, order)
        last = own_costs.sort_values("task").iloc[-1].to_dict() if len(own_costs) else {}
        own_side = _of_cell(side, name, seed, order)
        stale = own_side[(own_side["split"] == "stale") & (own_side["after_task"] == count)]["recall"]
        old_left = float(stale.mean()) if len(stale) else None
        coverage = own_costs["coverage"].dropna()
        ceiling = joint.get((seed, order))
        rows.append({
            "contestant": name, "seed": seed, "task_order": order, **summarise(r),
            "intransigence": None if ceiling is None else intransigence(r, ceiling),
            "old values left": old_left, "old values gone": None if old_left is None else 1 - old_left,
            "dream coverage": coverage.mean() if len(coverage) else None,
            **{cost: last.get(cost) for cost in COSTS}, "parameters": log.contested.get("parameters", {}).get(name),
        })  # fmt: skip
    seeds = pd.DataFrame(rows)
    return Report(seeds, _means(seeds, config), _verdicts(seeds, config))


def _of_cell(table: pd.DataFrame, name: str, seed: int, order: str) -> pd.DataFrame:
    return table[(table["contestant"] == name) & (table["seed"] == seed) & (table["task_order"] == order)]


def _means(seeds: pd.DataFrame, config: ArenaConfig) -> pd.DataFrame:
    """A row for every contestant and order: each metric's mean with its 95% interval as text, costs as medians."""
    rows = []
    groups = dict(list(seeds.groupby(["task_order", "contestant"]))) if len(seeds) else {}
    for order, name in itertools.product(config.orders(), config.names()):
        if (group := groups.get((order, name))) is None:
            continue
        row: dict[str, Any] = {"contestant": name, "task_order": order, "seeds": len(group)}
        for metric in (*METRIC_NAMES, *FURTHER):
            values = group[metric].dropna()
            row[metric] = str(estimate([float(value) for value in values])) if len(values) else "–"
        for cost in (*COSTS, "parameters"):
            values = group[cost].dropna()
            row[cost] = float(values.median()) if len(values) else None
        rows.append(row)
    return pd.DataFrame(rows)


def _verdicts(seeds: pd.DataFrame, config: ArenaConfig) -> list[str]:
    """A sentence for every pair, metric and order: everybody against the control, and the first against the other controls."""
    if not len(seeds):
        return []
    control, names = control_of(config), config.names()
    pairs = [(name, control) for name in names if name != control]
    others = [other for other in CONTROLS if other in names and other != control]
    pairs += [(names[0], other) for other in others if names[0] not in (control, other)]
    sentences = []
    for order in config.orders():
        here = seeds[seeds["task_order"] == order].set_index("seed")
        note = f" (tasks {order})" if len(config.orders()) > 1 else ""
        for name, against in pairs:
            ours, theirs = here[here["contestant"] == name], here[here["contestant"] == against]
            if not len(ours.index.intersection(theirs.index)):
                continue
            for metric, words in judged(seeds).items():
                _, sentence = compare(name, against, ours[metric].to_dict(), theirs[metric].to_dict(), words)
                sentences.append(sentence.removesuffix(".") + note + ".")
    return sentences


def nothing_to_say(results: Report) -> str:
    """Why there is no verdict."""
    if not len(results.seeds):
        return "Nothing is whole yet."
    return "A verdict needs a contestant and its control through the stream with the same seed; there is no such pair."
