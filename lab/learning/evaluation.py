"""What a run knows so far: its loss on a batch, bits per byte of the validation text, and samples that it writes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data import Batch
from lab.events import Evaluated, Sampled
from lab.learning.state import RunState
from lab.models.sampling import write_text

PROMPT_TOKENS = 24  # of a text
LONGEST_HEAD = 256  # tokens of a document among which its answer is looked for


def token_losses(run: RunState, batch: Batch) -> tuple[Tensor, Tensor | None, Any]:
    """A batch (B, T + 1) → the loss of every token (B·T,) in nats, its weight if not 1, and the brain's state."""
    batch = run.machine.place(batch)
    with run.machine.autocast():
        logits, state = run.forward(batch.tokens[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
    return losses, None if batch.weights is None else batch.weights.flatten(), state


@torch.no_grad()
def evaluate(run: RunState) -> Evaluated:
    """Bits for each byte of the validation text; the marks between documents cost bits too."""
    nats, size_bytes, bytes_of = 0.0, 0, torch.from_numpy(run.brain.template.tokenizer.bytes_of)
    for batch in run.validation:
        losses, weights, _ = token_losses(run, batch)
        nats += float(losses.sum() if weights is None else losses[weights > 0].sum())
        size_bytes += int(bytes_of[batch.tokens[:, 1:]].sum())
    return Evaluated(run.step, "validation", nats / math.log(2) / size_bytes)


def sample(run: RunState) -> Sampled:
    """Let the brain go on from the given prompt, or from the start of a validation document."""
    options, template = run.options, run.brain.template
    prompt = template.begin(options.prompt) if options.prompt else _validation_prompt(run)
    stop, temperature = (template.stop, 0.0) if template.asks(prompt) else (None, 0.8)
    draws = torch.Generator().manual_seed(options.seed * 1_000_003 + run.step)
    with run.machine.autocast():
        text = write_text(run.brain, prompt, options.sample_bytes, stop=stop, temperature=temperature, generator=draws)
    return Sampled(run.step, template.show(prompt), template.tokenizer.decode(text))


def _validation_prompt(run: RunState) -> list[int]:
    """A question, or the first tokens, of another validation document each time."""
    turn, template = run.step // run.options.sample_every * 7919, run.brain.template
    if run.source.lessons:  # a row is a whole lesson, or several that share their notes
        heads = [template.head(row.tolist(), PROMPT_TOKENS) for batch in run.validation for row in batch.tokens]
        asking = [head for head in heads if template.asks(head)]
        return asking[turn % len(asking)]
    stream: list[int] = torch.cat([batch.tokens[:, :-1].flatten() for batch in run.validation]).tolist()
    first = template.begin("")[0]
    starts = [i for i, token in enumerate(stream) if token == first] or [0]
    begin = starts[turn % len(starts)]
    return template.head(stream[begin : begin + LONGEST_HEAD], PROMPT_TOKENS)
