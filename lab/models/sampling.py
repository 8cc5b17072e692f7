"""Writing: a brain goes on from prompts, one token at a time, its state carried, so every token costs the same.

Letters: B prompts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lab.models.contract import Brain, choose_rows

WORTH_IT = 0.75  # share of the lanes still written on below which the others are let go, since that copies their state


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


class Guide(Protocol):
    """Says which tokens may come next in one row; `push` tells it what came."""

    def allowed(self) -> Sequence[int]: ...

    def push(self, token: int) -> None: ...


def guided(scores: Tensor, guide: Guide) -> int:
    """scores (V,) → the likeliest token that `guide` allows."""
    allowed = list(guide.allowed())
    token = allowed[int(scores[allowed].argmax())]
    guide.push(token)
    return token


@dataclass(frozen=True)
class Completion:
    """What a brain wrote after one prompt, without the stop token; `ended` says whether it came to one."""

    tokens: list[int]
    ended: bool
    log_probability: float  # of all that it wrote, the stop token among it
    first: Tensor  # probabilities of its first token, (V,)


@torch.no_grad()
def complete(
    brain: Brain,
    prompts: Sequence[Sequence[int]],
    length: int,
    *,
    stop: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    rows: int = 64,
    spread: int = 6,
    guides: Sequence[Guide | None] | None = None,
    gate: tuple[int, float] | None = None,
    never: Sequence[int] = (),
) -> list[Completion]:
    """Write up to `length` tokens after every prompt, many side by side; results come in the order of the prompts.

    Prompts of nearly equal length (`spread`) are taken together, since shorter ones are read one token at a time. Where a
    prompt has a guide, that one says which tokens may come. `gate`, a token and a probability: the token comes first
    where it is at least so likely, and else not at all. `never` are tokens that nothing is written with.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, Completion] = {}
    while order:
        limit = len(prompts[order[0]]) + spread
        chosen = [i for i in order[:rows] if len(prompts[i]) <= limit]
        order = order[len(chosen) :]
        leads = [guides[i] if guides else None for i in chosen]
        done = _complete([prompts[i] for i in chosen], leads, brain, length, stop, temperature, generator, gate, never)
        found.update(zip(chosen, done, strict=True))
    return [found[i] for i in range(len(prompts))]


def _complete(
    prompts: list[Sequence[int]], guides: list[Guide | None], brain: Brain, length: int, stop: int, temperature: float,
    generator: torch.Generator | None, gate: tuple[int, float] | None, never: Sequence[int],
) -> list[Completion]:  # fmt: skip
    """Prompts that have come to the same so far are one lane, a row of the state that is read once for all of them, until
    most have parted: then each has its own."""
    device = next(brain.parameters()).device
    written: list[list[int]] = [[] for _ in prompts]
    ended, total, first = [False] * len(prompts), [0.0] * len(prompts), [torch.empty(0)] * len(prompts)
    place = min(map(len, prompts))
    left = list(range(len(prompts))) if length else []  # the prompts that are still written on
    starts = list(dict.fromkeys(tuple(p[:place]) for p in prompts))
    lane = {i: starts.index(tuple(p[:place])) for i, p in enumerate(prompts)}
    fed, state, apart = [list(start) for start in starts], None, False
    while left:
        logits, state = brain(torch.tensor(fed, device=device), state)
        last = logits[:, -1].float()
        last[:, list(never)] = -math.inf
        lanes = [lane[i] for i in left]
        tokens = draw(last[lanes], temperature, 40, generator).tolist()
        sure = last.log_softmax(-1).cpu()
        for row, i in enumerate(left):
            own = sure[lanes[row]]
            if place < len(prompts[i]):
                tokens[row] = int(prompts[i][place])
                continue
            guide = guides[i]
            if not written[i]:
                first[i] = own.exp()
            if gate and not written[i] and first[i][gate[0]] >= gate[1]:
                tokens[row] = gate[0]
            elif guide:
                tokens[row] = guided(own, guide)
            elif gate and tokens[row] == gate[0]:
                tokens[row] = int(own.index_fill(0, torch.tensor([gate[0]]), -math.inf).argmax())
            total[i] += float(own[tokens[row]])
            if tokens[row] == stop:
                ended[i] = True
            else:
                written[i].append(tokens[row])
        place += 1
        apart = apart or len(fed) > len(left) / 2
        next_of = {i: (lane[i], token, i if apart else -1) for i, token in zip(left, tokens, strict=True)}
        left = [i for i in left if not ended[i] and len(written[i]) < length]
        ways = list(dict.fromkeys(next_of[i] for i in left))  # (lane, token, …): how some prompt goes on
        parted = len({way[0] for way in ways}) < len(ways)
        if parted or len(ways) <= WORTH_IT * len(fed):
            state = choose_rows(state, [way[0] for way in ways], len(fed))
            numbers = {way: number for number, way in enumerate(ways)}
            lane = {i: numbers[next_of[i]] for i in left}
            fed = [[way[1]] for way in ways]
        else:
            goes = {way[0]: way[1] for way in ways}
            fed = [[goes.get(old, stop)] for old in range(len(fed))]
    return [Completion(*parts) for parts in zip(written, ended, total, first, strict=True)]
