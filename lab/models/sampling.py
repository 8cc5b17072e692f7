"""Writing: a brain goes on from prompts, one token at a time, its state carried, so every token costs the same.

Letters: B prompts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.models.contract import Brain, State

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
        raise ValueError(
            f"every prompt must hold a token; got lengths {[len(p) for p in prompts]}. Begin with a token."
        )
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
    gate: tuple[int, float] | None = None,
    never: Sequence[int] = (),
) -> list[Completion]:
    """Write up to `length` tokens after every prompt, many side by side; results come in the order of the prompts.

    Prompts of nearly equal length (`spread`) are taken together, since shorter ones are read one token at a time.
    `gate`, a token and a probability: the token comes first where it is at least so likely, and else not at all. `never` are
    tokens that nothing is written with.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, Completion] = {}
    while order:
        limit = len(prompts[order[0]]) + spread
        chosen = [i for i in order[:rows] if len(prompts[i]) <= limit]
        order = order[len(chosen) :]
        done = _complete([prompts[i] for i in chosen], brain, length, stop, temperature, generator, gate, never)
        found.update(zip(chosen, done, strict=True))
    return [found[i] for i in range(len(prompts))]


class _Row:
    """One prompt and what is written after it."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self.prompt = prompt
        self.written: list[int] = []
        self.ended, self.total, self.first = False, 0.0, torch.empty(0)

    def go_on(self, place: int, sure: Tensor, drawn: int, stop: int, gate: tuple[int, float] | None) -> int:
        """Take the token at `place`, where the log-probabilities are `sure` (V,): the prompt's own, or one to write."""
        if place < len(self.prompt):
            return int(self.prompt[place])
        if not self.written:
            self.first = sure.exp()
        token = self._choose(sure, drawn, gate)
        self.total += float(sure[token])
        if token == stop:
            self.ended = True
        else:
            self.written.append(token)
        return token

    def _choose(self, sure: Tensor, drawn: int, gate: tuple[int, float] | None) -> int:
        if gate and not self.written and self.first[gate[0]] >= gate[1]:
            return gate[0]
        if gate and drawn == gate[0]:
            return int(sure.index_fill(0, torch.tensor([gate[0]]), -math.inf).argmax())
        return drawn


class _Lanes:
    """Rows that have come to the same so far are one lane, read once for all of them, until most have parted: then each has
    its own."""

    def __init__(self, brain: Brain, begun: list[tuple[int, ...]]) -> None:
        self.brain, self.apart = brain, False
        self.state: State | None = None
        self.device = next(brain.parameters()).device
        starts = list(dict.fromkeys(begun))
        self.of = {row: starts.index(start) for row, start in enumerate(begun)}  # row → lane
        self.fed = [list(start) for start in starts]  # what each lane reads next

    def read(self) -> Tensor:
        """Give the logits (lanes, V) of what comes next in each lane."""
        logits: Tensor
        logits, self.state = self.brain(torch.tensor(self.fed, device=self.device), self.state)
        return logits[:, -1].float()

    def follow(self, said: dict[int, int], left: list[int]) -> None:
        """Let the rows that are `left` go on, each by the token that it said."""
        self.apart = self.apart or len(self.fed) > len(said) / 2
        way_of = {row: (self.of[row], said[row], row if self.apart else -1) for row in left}
        ways = list(dict.fromkeys(way_of.values()))
        parted = len({lane for lane, *_ in ways}) < len(ways)
        if parted or len(ways) <= WORTH_IT * len(self.fed):
            assert self.state is not None
            self.state = self.state.rows([lane for lane, *_ in ways])
            numbers = {way: number for number, way in enumerate(ways)}
            self.of = {row: numbers[way] for row, way in way_of.items()}
            self.fed = [[token] for _, token, _ in ways]
        else:
            goes = {lane: token for lane, token, _ in ways}
            self.fed = [[goes.get(lane, 0)] for lane in range(len(self.fed))]


def _complete(
    prompts: list[Sequence[int]], brain: Brain, length: int, stop: int, temperature: float,
    generator: torch.Generator | None, gate: tuple[int, float] | None, never: Sequence[int],
) -> list[Completion]:  # fmt: skip
    place = min(map(len, prompts))
    rows = [_Row(prompt) for prompt in prompts]
    lanes = _Lanes(brain, [tuple(prompt[:place]) for prompt in prompts])
    left = list(range(len(rows))) if length else []  # those that are still written on
    while left:
        last = lanes.read()
        last[:, list(never)] = -math.inf
        drawn = draw(last[[lanes.of[i] for i in left]], temperature, 40, generator).tolist()
        sure = last.log_softmax(-1).cpu()
        said = {
            i: rows[i].go_on(place, sure[lanes.of[i]], token, stop, gate) for i, token in zip(left, drawn, strict=True)
        }
        place += 1
        left = [i for i in left if not rows[i].ended and len(rows[i].written) < length]
        lanes.follow(said, left)
    return [Completion(row.written, row.ended, row.total, row.first) for row in rows]


@torch.no_grad()
def likely_endings(
    brain: Brain, prompt: Sequence[int], length: int, *, stop: int, at_least: float
) -> list[tuple[list[int], float]]:
    """Every way to go on from `prompt` that comes to `stop` within `length` tokens and has a probability of `at_least`: its
    tokens without `stop`, and its log-probability.

    None is missed, since nothing is likelier than what it begins with; so at most 1 / `at_least` ways are open at a time.
    """
    device = next(brain.parameters()).device
    found: list[tuple[list[int], float]] = []
    ways: list[list[int]] = [[]]
    totals, fed, state = torch.zeros(1), torch.tensor([list(prompt)]), None
    for _ in range(length + 1):
        logits, state = brain(fed.to(device), state)
        sure = totals[:, None] + logits[:, -1].float().log_softmax(-1).cpu()  # (ways, V)
        of, tokens = (sure >= math.log(at_least)).nonzero(as_tuple=True)
        goes = list(zip(of.tolist(), tokens.tolist(), strict=True))
        found += [(ways[way], float(sure[way, token])) for way, token in goes if token == stop]
        of, tokens = of[tokens != stop], tokens[tokens != stop]
        if not len(of):
            break
        if of.tolist() != list(range(len(ways))):
            state = state.rows(of.tolist())
        totals, fed = sure[of, tokens], tokens[:, None]
        ways = [[*ways[way], token] for way, token in goes if token != stop]
    return found
