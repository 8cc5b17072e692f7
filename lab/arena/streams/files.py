"""Streams from a user's files: a folder of tasks, or texts with labels, cut by domain or into equal parts."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.arena.streams.tasks import Example, Task
from lab.config import ConfigError

INTENT = "intent: "  # what a label's answer begins with
HELD_OUT = 5  # of texts without a split, every fifth is scored
SPLITS = {"train": ("train",), "validation": ("val", "validation", "valid", "dev"), "test": ("test",)}


def folder_stream(folder: Path, count: int, seed: int) -> list[Task]:
    """A task for every .jsonl file, in order of name: lines of {"prompt", "answer", "paraphrases": [...]}.

    The last paraphrase is only scored, and with two or more the one before it is for tuning; without any the prompt
    itself is scored.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise ConfigError(f"a folder of tasks must hold .jsonl files; {folder} has none.", "stream")
    tasks = []
    for path in files:
        rows = [_row(path, number, line) for number, line in enumerate(_read(path).split("\n"), 1) if line.strip()]
        _check_rows(path, rows)
        rows = random.Random(f"{path.name} {seed}").sample(rows, min(count, len(rows)))
        train, validation, test = [], [], []
        for prompt, answer, others in rows:
            held = others[-2:] if len(others) > 1 else others
            train += [Example(text, answer) for text in (prompt, *others[: len(others) - len(held)])]
            test.append(Example(held[-1] if held else prompt, answer))
            validation.append(Example(held[0] if held else prompt, answer))
        tasks.append(Task(path.stem, tuple(train), tuple(validation), tuple(test)))
    return tasks


def _check_rows(path: Path, rows: Sequence[tuple[str, str, list[str]]]) -> None:
    """Raises ConfigError where a file says something twice or two things of one prompt, whatever is drawn from it later."""
    answers: dict[str, str] = {}
    for prompt, answer, others in rows:
        for text in (prompt, *others):
            if text in answers:
                same = answers[text] == answer
                rule = "an example must not come twice" if same else "a prompt must have one answer within a task"
                raise ConfigError(f"{rule}; {path.name} has {text!r} twice. Leave one out.", "stream")
            answers[text] = answer


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a stream must be readable text; {path} is not ({error}).", "stream") from error


def _row(path: Path, number: int, line: str) -> tuple[str, str, list[str]]:
    try:
        row = json.loads(line)
        prompt, answer, others = row["prompt"], row["answer"], row.get("paraphrases") or []
        if not all(isinstance(text, str) and text.strip() for text in (prompt, answer, *others)):
            raise ValueError("an empty prompt or answer")
        return prompt.strip(), answer.strip(), [text.strip() for text in others]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        rule = 'a line of a task file must be JSON with "prompt" and "answer"'
        raise ConfigError(f"{rule}; line {number} of {path.name} is not ({error}). Mend it.", "stream") from error


def labels_stream(path: Path, count: int, parts: int, seed: int) -> list[Task]:
    """Texts with labels: a .csv with columns text and label (and split), or a CLINC150-like .json of [text, label].

    The answer is "intent: " and the label. A file beside it that is called …domains.json and maps domains to labels
    makes a task of each of the first `parts` domains; else the labels are cut into `parts` tasks. `count` texts of a
    task are learnt at most, spread evenly over its labels.
    """
    rows = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    labels = sorted({label for _, label, _ in rows})
    if len(labels) < 2:
        raise ConfigError(f"a file of labels must have at least 2; {path.name} has {len(labels)}.", "stream")
    groups = _domains(path, labels) or _cut(labels, parts, seed)
    by_label: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text, label, split in rows:
        by_label[label, split].append(text)
    return [_task(name, group, by_label, count, seed) for name, group in list(groups.items())[:parts]]


def _task(name: str, labels: Sequence[str], by_label: dict[tuple[str, str], list[str]], count: int, seed: int) -> Task:
    rng = random.Random(f"{name} {seed}")
    splits: dict[str, tuple[Example, ...]] = {}
    for split in SPLITS:
        most = max(1, count // len(labels)) if split == "train" else max(1, min(count, 100) // len(labels))
        chosen = []
        for label in labels:
            texts = sorted(set(by_label[label, split]) - (set() if split == "train" else set(by_label[label, "train"])))
            if split == "train" and not texts:
                raise ConfigError(f"a label must have texts to learn from; {label!r} has none.", "stream")
            chosen += [Example(text, INTENT + label) for text in rng.sample(texts, min(most, len(texts)))]
        splits[split] = tuple(chosen)
    return Task(name, splits["train"], splits["validation"], splits["test"])


def _cut(labels: list[str], parts: int, seed: int) -> dict[str, list[str]]:
    shuffled = random.Random(f"labels {seed}").sample(labels, len(labels))
    return {f"part {i + 1}": shuffled[i::parts] for i in range(min(parts, len(labels)))}


def _domains(path: Path, labels: list[str]) -> dict[str, list[str]]:
    """Labels by domain, from the file beside `path` that names them all; nothing where there is none."""
    for beside in sorted(path.parent.glob("*domains.json")):
        try:
            read: Any = json.loads(_read(beside))
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"a file of domains must be JSON; {beside.name} is not ({error}). Mend it.", "stream"
            ) from error
        if isinstance(read, dict) and all(isinstance(group, list) for group in read.values()):
            spelt = {label.replace("_", " "): label for label in labels} | {label: label for label in labels}
            found = {str(name): [spelt[str(one)] for one in group if str(one) in spelt] for name, group in read.items()}
            if set(labels) <= {label for group in found.values() for label in group}:  # else it is about another file
                return {name: group for name, group in found.items() if group}
    return {}


def _read_json(path: Path) -> list[tuple[str, str, str]]:
    try:
        read: Any = json.loads(_read(path))
        rows = []
        for split, names in SPLITS.items():
            for name in names:
                rows += [(str(text).strip(), str(label).strip(), split) for text, label in read.get(name, [])]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        rule = 'a .json of labels must have "train" and "test" with [text, label] pairs'
        raise ConfigError(f"{rule}; {path.name} has not ({error}).", "stream") from error
    if not all(text and label for text, label, _ in rows):
        raise ConfigError(f"a pair must have a text and a label; one in {path.name} is empty. Mend it.", "stream")
    if not rows:
        raise ConfigError(f'a .json of labels must have "train" and "test"; {path.name} has neither.', "stream")
    return rows


def _read_csv(path: Path) -> list[tuple[str, str, str]]:
    """Rows of text, label and split; where the file names no splits, every fifth text of a label is for the test. What comes again
    is passed over."""
    reader, known = csv.DictReader(io.StringIO(_read(path), newline="")), set[tuple[str, str]]()
    rows, spelt, seen = [], {name: split for split, names in SPLITS.items() for name in names}, Counter[str]()
    try:
        if not {"text", "label"} <= set(reader.fieldnames or []):
            raise ConfigError(
                f"a .csv of labels must have columns text and label; {path.name} has {reader.fieldnames}.", "stream"
            )
        for row in reader:
            text, label = (row["text"] or "").strip(), (row["label"] or "").strip()
            if not text or not label:
                raise ConfigError(
                    f"a row must have a text and a label; line {reader.line_num} of {path.name} has not.", "stream"
                )
            if (text, label) in known:
                continue
            known.add((text, label))
            seen[label] += 1
            own = "test" if seen[label] % HELD_OUT == 0 else "train"
            rows.append((text, label, spelt.get((row.get("split") or "").lower(), own)))
    except csv.Error as error:
        raise ConfigError(f"a .csv must be well formed; {path.name} is not ({error}). Mend it.", "stream") from error
    return rows
