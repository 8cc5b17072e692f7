"""What a run knows so far: its loss on a batch, bits per byte of the validation text, and samples that it writes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data import ANSWER, BYTES, DRAWN, END, START, decode, encode
from lab.events import Evaluated, Sampled
from lab.learning.state import RunState
from lab.models.sampling import write_text

PROMPT_BYTES = 24


def token_losses(run: RunState, batch: Tensor) -> tuple[Tensor, Tensor | None, Any]:
    """batch (B, T + 1) → the loss of every token (B·T,) in nats, its weight if not 1, and the brain's state."""
    batch = run.machine.place(batch)
    with run.machine.autocast():
        logits, state = run.forward(batch[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
    return losses, run.source.weigh(batch).flatten() if run.source.weigh else None, state


@torch.no_grad()
def evaluate(run: RunState) -> Evaluated:
    """Bits for each byte of the validation text; the marks between documents cost bits too."""
    nats, size_bytes = 0.0, 0
    for batch in run.validation:
        losses, weights, _ = token_losses(run, batch)
        nats += float(losses.sum() if weights is None else losses[weights > 0].sum())
        size_bytes += int((batch[:, 1:] < BYTES).sum())
    return Evaluated(run.step, "validation", nats / math.log(2) / size_bytes)


def sample(run: RunState) -> Sampled:
    """Let the brain go on from the given prompt, or from the start of a validation document."""
    options = run.options
    prompt = [START, *encode(options.prompt)] if options.prompt else _validation_prompt(run)
    stop, temperature = (END, 0.0) if prompt[-1] == ANSWER else (None, 0.8)
    draws = torch.Generator().manual_seed(options.seed * 1_000_003 + run.step)
    with run.machine.autocast():
        text = write_text(run.brain, prompt, options.sample_bytes, stop=stop, temperature=temperature, generator=draws)
    return Sampled(run.step, decode(prompt, DRAWN).strip(), decode(text))


def _validation_prompt(run: RunState) -> list[int]:
    """A question with its mark, or the first bytes, of another validation document each time."""
    turn = run.step // run.options.sample_every * 7919
    if run.source.weigh:  # a row is a whole lesson, or several that share their notes
        rows = [row for batch in run.validation for row in batch if ANSWER in row]
        lesson: list[int] = rows[turn % len(rows)].tolist()
        return lesson[: lesson.index(ANSWER) + 1]
    stream: list[int] = torch.cat([batch[:, :-1].flatten() for batch in run.validation]).tolist()
    starts = [i for i, token in enumerate(stream) if token == START] or [0]
    begin = starts[turn % len(starts)]
    document = stream[begin : begin + 256]
    end = document.index(END) if END in document else len(document)
    return document[: document.index(ANSWER) + 1 if ANSWER in document[:end] else min(end, PROMPT_BYTES)]
