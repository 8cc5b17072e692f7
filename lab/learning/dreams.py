"""Dreams: a brain writes down samples of what it knows, and holds to them while it learns something new.

Self-generated replay (Marek et al. 2026; LAMOL, Sun et al. 2020): no old data are kept. The frozen brain's whole
distribution over every dreamt token is the target: λ · KL(frozen ‖ learning).
Letters: N dreams, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data import pad
from lab.learning.machine import Machine
from lab.models import Brain
from lab.models.sampling import complete
from lab.text import Exchange, Opening, Template

ROWS = 256  # dreams decoded side by side
LONGEST_WORD = 16  # tokens
RARE = 0.25  # when fewer than this share of new samples is new, there is little left to dream


@dataclass(frozen=True)
class Dream:
    """One sample, whole: the tokens with what they began with, and what it recites from the weights alone, if it does."""

    tokens: tuple[int, ...]
    exchange: Exchange | None = field(default=None, compare=False)


def dream(
    brain: Brain,
    count: int,
    generator: torch.Generator,
    *,
    cues: Sequence[Sequence[int]] = (),
    openings: Sequence[Opening] | None = None,
    again: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[Dream]]:
    """Yield new dreams, a batch at a time, about `count` in all; no dream comes twice.

    `openings` say how they begin, else the template does, and where they leave a rest, it begins as a dream did that had an
    answer, or is left out without `again`; `cues` are beginnings to dream on from beside them. It ends early where new samples become rare.
    """
    seen: set[tuple[int, ...]] = set()
    openings = brain.template.openings() if openings is None else openings
    for opening in openings:
        wanted, got = round(count * opening.share), 0
        while got < wanted and not stop():
            prompts: list[Sequence[int]] = [opening.prompt] * min(ROWS, wanted - got + 16)
            fresh = _sample(brain, prompts, opening.longest, generator, seen, opening.never)
            got += len(fresh)
            yield fresh
            if len(fresh) < RARE * len(prompts):
                break
    rest = count - round(count * sum(opening.share for opening in openings)) if again else 0
    for begins in (_begin_again(brain.template, seen, rest, generator), cues):
        for place in range(0, len(begins), ROWS):
            if not stop():
                yield _sample(brain, begins[place : place + ROWS], 96, generator, seen)


def recited(template: Template, tokens: Sequence[int]) -> Exchange | None:
    """The question and answer that tokens spell, where it was asked from the weights alone."""
    exchange = template.parse(tokens)
    return exchange if exchange and exchange.skill == "answer" and not exchange.notes else None


def _begin_again(
    template: Template, dreams: Collection[tuple[int, ...]], count: int, generator: torch.Generator
) -> list[list[int]]:
    """Beginnings of questions that had an answer, cut after a word."""
    asked = [recited(template, tokens) for tokens in sorted(dreams)]
    known = [exchange.question for exchange in asked if exchange and exchange.answer is not None]
    begins = []
    for pick in torch.randint(0, max(1, len(known)), (count if known else 0,), generator=generator).tolist():
        ends = [i + 1 for i, letter in enumerate(known[pick]) if letter == " "] or [0]
        end = ends[int(torch.randint(0, len(ends), (1,), generator=generator))]
        begins.append(template.begin(known[pick][:end]))
    return begins


def alter(brain: Brain, questions: Sequence[str], places: Sequence[int], generator: torch.Generator) -> list[str]:
    """Each question with its word number `places[i]` dreamt anew; as it was where no word comes that fits."""
    template, words = brain.template, [question.split(" ") for question in questions]
    sizes, space = template.tokenizer.bytes_of, template.tokenizer.encode(" ")[-1]
    prompts = [template.begin(" ".join([*some[:place], ""])) for some, place in zip(words, places, strict=True)]
    found = complete(brain, prompts, LONGEST_WORD, stop=space, temperature=1.0, generator=generator, rows=ROWS)
    altered = []
    for some, place, completion in zip(words, places, found, strict=True):
        mark = next((i for i, token in enumerate(completion.tokens) if not sizes[token]), None)
        new, more, _ = template.tokenizer.decode(completion.tokens[:mark]).partition(" ")
        if place == len(some) - 1:
            fits = mark is not None and not more and template.closes(completion.tokens[mark])
        else:
            fits = bool(more) or (completion.ended and mark is None)
        altered.append(" ".join([*some[:place], new if fits else some[place], *some[place + 1 :]]))
    return altered


def _sample(
    brain: Brain, prompts: Sequence[Sequence[int]], length: int, generator: torch.Generator, seen: set[tuple[int, ...]],
    never: Sequence[int] = (),
) -> list[Dream]:  # fmt: skip
    fresh, stop = [], brain.template.stop
    found = complete(brain, prompts, length, stop=stop, temperature=1.0, generator=generator, rows=ROWS, never=never)
    for prompt, completion in zip(prompts, found, strict=True):
        tokens = (*prompt, *completion.tokens, stop)
        if completion.ended and tokens not in seen:
            seen.add(tokens)
            fresh.append(Dream(tokens, recited(brain.template, tokens)))
    return fresh


class Anchor:
    """Dreams, and what the frozen brain would say at every token of them."""

    def __init__(self, brain: Brain, dreams: Sequence[Dream], machine: Machine) -> None:
        self.machine, self._filler = machine, brain.template.stop
        self.dreams = sorted(dreams, key=lambda one: len(one.tokens))
        self.targets: list[Tensor] = []
        with torch.no_grad():
            for begin in range(0, len(self.dreams), ROWS):
                batch, mask = self.batch(range(begin, min(begin + ROWS, len(self.dreams))))
                with machine.autocast():
                    logits, _ = brain(batch[:, :-1])
                sure = logits.float().log_softmax(-1).to(torch.float16)
                self.targets += [row[kept] for row, kept in zip(sure, mask, strict=True)]

    def __len__(self) -> int:
        return len(self.dreams)

    def batch(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Give dreams side by side, (N, T), and which of the targets (N, T - 1) are theirs."""
        rows = [self.dreams[i].tokens for i in chosen]
        tokens = pad(rows, self._filler)
        mask = torch.arange(1, tokens.shape[1]) < torch.tensor([[len(row)] for row in rows])
        return self.machine.place(tokens), self.machine.place(mask)

    def draw(self, count: int, generator: torch.Generator) -> list[int]:
        """Choose neighbours in length, so that little padding is computed."""
        begin = int(torch.randint(0, max(1, len(self.dreams) - count + 1), (1,), generator=generator))
        return list(range(begin, min(len(self.dreams), begin + count)))

    def divergence(self, logits: Tensor, mask: Tensor, chosen: Sequence[int]) -> Tensor:
        """logits (N, T, V) of the learning brain on the chosen dreams → mean KL(frozen ‖ learning) per token, nats."""
        target = torch.cat([self.targets[i] for i in chosen]).float()  # (tokens, V)
        return F.kl_div(logits.float()[mask].log_softmax(-1), target, log_target=True, reduction="batchmean")
