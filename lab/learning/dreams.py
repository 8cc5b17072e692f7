"""Dreams: a brain writes down samples of what it knows, and holds to them while it learns something new.

Self-generated replay (Marek et al. 2026; LAMOL, Sun et al. 2020): no old data are kept. The frozen brain's whole
distribution over every dreamt token is the target: λ · KL(frozen ‖ learning).
Letters: N dreams, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.data.tokenizer import ANSWER, BYTES, END, NOTE, QUIZ, SORT, START, UNKNOWN, decode, encode
from lab.models import Brain
from lab.models.sampling import complete

ROWS = 256  # dreams decoded side by side
SPACE = ord(" ")
LONGEST_WORD = 16  # bytes
RARE = 0.25  # when fewer than this share of new samples is new, there is little left to dream


class Opening(NamedTuple):
    """How some dreams begin."""

    mark: int  # their first token
    share: float = 1.0  # of all dreams
    longest: int = 96  # tokens
    never: tuple[int, ...] = ()  # tokens that do not come in them


OPENINGS = (  # the rest begins as what had an answer: what is known by heart can be harmed
    Opening(START, 0.29, never=(QUIZ,)),
    Opening(START, 0.14, never=(ANSWER,)),
    Opening(NOTE, 0.25, 160),
    Opening(SORT, 0.04, 64),
)


@dataclass(frozen=True)
class Dream:
    """One sample, whole: the tokens with what they began with."""

    tokens: tuple[int, ...]


def dream(
    brain: Brain,
    count: int,
    generator: torch.Generator,
    *,
    cues: Sequence[Sequence[int]] = (),
    openings: Sequence[Opening] = OPENINGS,
    again: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[Dream]]:
    """Yield new dreams, a batch at a time, about `count` in all; no dream comes twice.

    `openings` say how they begin, and where they leave a rest, it begins as a dream did that had an answer, or is left out
    without `again`; `cues` are beginnings to dream on from beside them. It ends early where new samples become rare.
    """
    seen: set[tuple[int, ...]] = set()
    for mark, share, longest, never in openings:
        wanted, got = round(count * share), 0
        while got < wanted and not stop():
            prompts: list[Sequence[int]] = [[mark]] * min(ROWS, wanted - got + 16)
            fresh = _sample(brain, prompts, longest, generator, seen, never)
            got += len(fresh)
            yield fresh
            if len(fresh) < RARE * len(prompts):
                break
    rest = count - round(count * sum(opening.share for opening in openings)) if again else 0
    for begins in (_begin_again(seen, rest, generator), cues):
        for place in range(0, len(begins), ROWS):
            if not stop():
                yield _sample(brain, begins[place : place + ROWS], 96, generator, seen)


def _begin_again(dreams: Collection[tuple[int, ...]], count: int, generator: torch.Generator) -> list[list[int]]:
    """Beginnings of questions that had an answer, cut after a word."""
    known = sorted(one for one in dreams if one[0] == START and ANSWER in one and UNKNOWN not in one)
    begins = []
    for pick in torch.randint(0, max(1, len(known)), (count if known else 0,), generator=generator).tolist():
        asked = known[pick][: known[pick].index(ANSWER)]
        words = [i + 1 for i, token in enumerate(asked) if token == SPACE] or [1]
        begins.append(list(asked[: words[int(torch.randint(0, len(words), (1,), generator=generator))]]))
    return begins


def alter(brain: Brain, questions: Sequence[str], places: Sequence[int], generator: torch.Generator) -> list[str]:
    """Each question with its word number `places[i]` dreamt anew; as it was where no word comes that fits."""
    words = [question.split(" ") for question in questions]
    prompts = [[START, *encode(" ".join([*some[:place], ""]))] for some, place in zip(words, places, strict=True)]
    found = complete(brain, prompts, LONGEST_WORD, stop=SPACE, temperature=1.0, generator=generator, rows=ROWS)
    altered = []
    for some, place, one in zip(words, places, found, strict=True):
        ends = next((i for i, token in enumerate(one.tokens) if token >= BYTES), None)
        last = place == len(some) - 1
        fits = (
            one.tokens[ends] in (ANSWER, QUIZ) if last and ends is not None else one.ended and ends is None and not last
        )
        new = decode(one.tokens[:ends]) if fits else some[place]
        altered.append(" ".join([*some[:place], new, *some[place + 1 :]]))
    return altered


def _sample(
    brain: Brain, prompts: Sequence[Sequence[int]], length: int, generator: torch.Generator, seen: set[tuple[int, ...]],
    never: Sequence[int] = (),
) -> list[Dream]:  # fmt: skip
    fresh = []
    for prompt, found in zip(
        prompts,
        complete(brain, prompts, length, stop=END, temperature=1.0, generator=generator, rows=ROWS, never=never),
        strict=True,
    ):
        tokens = (*prompt, *found.tokens, END)
        if found.ended and tokens not in seen:
            seen.add(tokens)
            fresh.append(Dream(tokens))
    return fresh


class Anchor:
    """Dreams, and what the frozen brain would say at every token of them."""

    def __init__(
        self, brain: Brain, dreams: Sequence[Dream], autocast: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self.dreams = sorted(dreams, key=lambda one: len(one.tokens))
        self.targets: list[Tensor] = []
        with torch.no_grad():
            for begin in range(0, len(self.dreams), ROWS):
                batch, mask = pad_dreams(self.dreams[begin : begin + ROWS])
                with autocast():
                    logits, _ = brain(batch[:, :-1])
                sure = logits.float().log_softmax(-1).to(torch.float16)
                self.targets += [row[kept] for row, kept in zip(sure, mask, strict=True)]

    def __len__(self) -> int:
        return len(self.dreams)

    def draw(self, count: int, generator: torch.Generator) -> list[int]:
        """Choose neighbours in length, so that little padding is computed."""
        begin = int(torch.randint(0, max(1, len(self.dreams) - count + 1), (1,), generator=generator))
        return list(range(begin, min(len(self.dreams), begin + count)))

    def divergence(self, logits: Tensor, mask: Tensor, chosen: Sequence[int]) -> Tensor:
        """logits (N, T, V) of the learning brain on the chosen dreams → mean KL(frozen ‖ learning) per token, nats."""
        target = torch.cat([self.targets[i] for i in chosen]).float()  # (tokens, V)
        return F.kl_div(logits.float()[mask].log_softmax(-1), target, log_target=True, reduction="batchmean")


def pad_dreams(dreams: Sequence[Dream]) -> tuple[Tensor, Tensor]:
    """Dreams side by side (N, T) filled with END, and which of the targets (N, T - 1) are theirs."""
    longest = max(len(one.tokens) for one in dreams)
    batch = torch.full((len(dreams), longest), END, dtype=torch.int64)
    mask = torch.zeros(len(dreams), longest - 1, dtype=torch.bool)
    for i, one in enumerate(dreams):
        batch[i, : len(one.tokens)] = torch.tensor(one.tokens)
        mask[i, : len(one.tokens) - 1] = True
    return batch, mask
