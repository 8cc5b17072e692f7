"""Writing: a brain goes on from prompts, one token at a time, its state carried, so every token costs the same.

Letters: B prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lab.models.contract import Brain


@torch.no_grad()
def stream_tokens(
    brain: Brain,
    prompts: Sequence[Sequence[int]],
    *,
    temperature: float = 0.0,
    top_k: int = 40,
    generator: torch.Generator | None = None,
) -> Iterator[list[int]]:
    """Yield the next token of each prompt (B numbers), without end; temperature 0 is greedy.

    Prompts may differ in length: rows are fed side by side up to the end of the shortest, and while a longer prompt
    lasts its row is given the prompt's token instead of a drawn one. Each yield holds one token a row; for a row whose
    prompt is still being read that token is the prompt's, so callers skip the first (its length - shortest) of them.
    """
    if not prompts or not min(map(len, prompts)):
        raise ValueError(f"every prompt must hold a token; got lengths {[len(p) for p in prompts]}. Begin with START.")
    device = next(brain.parameters()).device
    shared = min(map(len, prompts))
    logits, state = brain(torch.tensor([list(p[:shared]) for p in prompts], device=device))
    place = shared
    while True:
        drawn = draw(logits[:, -1], temperature, top_k, generator).tolist()
        tokens = [int(p[place]) if place < len(p) else token for p, token in zip(prompts, drawn, strict=True)]
        yield tokens
        place += 1
        logits, state = brain(torch.tensor(tokens, device=device)[:, None], state)


def draw(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator | None) -> Tensor:
    """logits (B, V) → tokens (B,): the likeliest at temperature 0, else drawn among the `top_k` likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    best = logits.float().topk(min(top_k, logits.shape[-1]), -1)
    weights = (best.values / temperature).softmax(-1).cpu()
    chosen = torch.multinomial(weights, 1, generator=generator)  # (B, 1)
    return best.indices.cpu().gather(1, chosen)[:, 0]


def write_text(
    brain: Brain,
    prompt: Sequence[int],
    length: int,
    *,
    stop: int | None = None,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Give up to `length` tokens after `prompt`, without the `stop` token that ended them."""
    written: list[int] = []
    for (token,) in stream_tokens(brain, [prompt], temperature=temperature, generator=generator):
        if token == stop or len(written) == length:
            break
        written.append(token)
    return written
