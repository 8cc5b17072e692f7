"""Asking: a brain's own answers to a task's examples, and which examples are asked when all would be too many."""

from __future__ import annotations

from collections.abc import Sequence

from lab.arena.streams import Example, Task
from lab.models import Brain
from lab.models.sampling import complete


def answer(brain: Brain, examples: Sequence[Example], longest: int) -> list[str]:
    """Give the brain's free-running greedy answers of up to `longest` tokens; one that does not end by itself is none."""
    template = brain.template
    written = complete(brain, [template.prompt(example.exchange) for example in examples], longest, stop=template.stop)
    return [template.tokenizer.decode(answer.tokens) if answer.ended else "" for answer in written]


def first_wordings(task: Task) -> tuple[Example, ...]:
    """One trained wording of every fact: what was learnt just so."""
    seen: set[str] = set()
    first = []
    share = max(1, len(task.train) // max(1, len(task.test)))
    for i, one in enumerate(task.train):
        if i % share == 0 and one.prompt not in seen:
            seen.add(one.prompt)
            first.append(one)
    return tuple(first)


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    stride = max(1, len(examples) // count)
    return list(examples[::stride])[:count]
