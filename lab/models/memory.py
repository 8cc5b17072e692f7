"""A product-key memory: many value rows, of which each byte reads a few (Lample et al. 2019, Berges et al. 2024).

A slot's key is a pair of half-keys, one of n and one of n, so K = n² slots are searched by 2n comparisons: the best
pairs are among the best halves. What one fact writes into its slots touches few others.
Letters: B batch, T time, D width, H heads, K slots, n = √K half-keys, h numbers in a half-key, k slots read by a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config import BrainConfig, ConfigError
from lab.models.blocks import Linear, as_given, drawn, rms_norm
from lab.models.contract import Brain

HEADS = 2  # at most; 4 take twice the time
TOP = 16  # slots that a head reads for a byte


class _WeightedSum(torch.autograd.Function):
    """`embedding_bag` with weights; its own gradient of the rows takes 7 times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, slots: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, slots, weights)
        return F.embedding_bag(slots, rows, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        rows, slots, weights = ctx.saved_tensors
        for_rows = for_weights = None
        if ctx.needs_input_grad[0]:  # each slot sums the gradients of those who read it: a weighted sum as well
            order = slots.flatten().argsort(stable=True)
            counts = slots.flatten().bincount(minlength=rows.shape[0])
            begins = counts.cumsum(0) - counts
            readers, share = order // slots.shape[1], weights.flatten()[order]
            for_rows = F.embedding_bag(readers, grad.contiguous(), begins, mode="sum", per_sample_weights=share)
        if ctx.needs_input_grad[2]:
            with torch.enable_grad():
                asked = weights.detach().requires_grad_(True)
                read = F.embedding_bag(slots, rows.detach(), mode="sum", per_sample_weights=asked)
            (for_weights,) = torch.autograd.grad(read, asked, grad.contiguous())
        return for_rows, None, for_weights


def weighted_sum(rows: Tensor, slots: Tensor, weights: Tensor) -> Tensor:
    """rows (K, D), slots (N, k) int64 and weights (N, k) → Σ_j weights_j · rows[slots_j], (N, D)."""
    y: Tensor = _WeightedSum.apply(rows, slots, weights)  # type: ignore[no-untyped-call]
    return y


class ProductKeyMemory(nn.Module):
    """out(SiLU(gate x) ⊙ Σ softmax(scores) · value rows), to be added to the stream.

    Value rows start at zero, so a fresh layer changes nothing. From Berges et al. come the gate and normed queries and keys;
    in place of one large layer shared by several blocks there is one layer. After a call `read` has the slots that it
    read, (B, T, H, k) int64: nothing depends on it, it is there to be counted.
    """

    def __init__(self, width: int, slots: int, heads: int = HEADS, top: int = TOP) -> None:
        super().__init__()
        n, half = math.isqrt(slots), max(4, width // 4)
        assert n * n == slots
        self.heads, self.top = heads, min(top, n)
        self.queries = Linear(width, heads * 2 * half)
        # not `keys` and `values`: a parametrization keeps names in a dict, whose methods these are
        self.half_keys = drawn(heads, 2, n, half)
        self.value_rows = nn.Parameter(torch.zeros(slots, width))
        self.gate, self.out = Linear(width, width), Linear(width, width)
        # of halves sorted by score, pair (i, j) is beaten by all (i' ≤ i, j' ≤ j): more than k of them, and it is out
        pairs = [(i, j) for i in range(self.top) for j in range(self.top) if (i + 1) * (j + 1) <= self.top]
        self._first, self._second = [i for i, _ in pairs], [j for _, j in pairs]
        self.read: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D), normed → (B, T, D)."""
        slots, weights = self.choose(x)
        self.read = slots
        found = weighted_sum(self.value_rows, slots.flatten(2).flatten(0, 1), weights.flatten(2).flatten(0, 1))
        gate = F.silu(self.gate(x))
        return self.out(found.view(x.shape).to(gate.dtype) * gate)  # type: ignore[no-any-return]

    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D) → the k best slots of every head, (B, T, H, k) int64, and their weights, which sum to 1.

        Exact search; in fp32 or more, since a rounded score would choose other slots.
        """
        n, half = self.half_keys.shape[2:]
        kind = self.value_rows.dtype
        with as_given(x):
            queries = self.queries(x.to(kind)).unflatten(-1, (self.heads, 2, half))
            scores = torch.einsum("bthsd,hsnd->bthsn", rms_norm(queries), rms_norm(self.half_keys) / (2 * half) ** 0.5)
            best, where = scores.topk(self.top, -1)  # (B, T, H, 2, k)
            sums = best[..., 0, self._first] + best[..., 1, self._second]
            slots = where[..., 0, self._first] * n + where[..., 1, self._second]
            total, chosen = sums.topk(self.top, -1)  # (B, T, H, k)
            return slots.gather(-1, chosen), total.softmax(-1)


def add_slots(blocks: nn.ModuleList, config: BrainConfig) -> None:
    """Give the middle block the memory layer that `config` asks for; drawn last, so that all else starts as it would without."""
    if config.memory_slots:
        memory = ProductKeyMemory(config.width, config.memory_slots, min(config.heads, HEADS))
        blocks[config.layers // 2].slots = memory


def memory_of(brain: Brain) -> ProductKeyMemory:
    """Give a brain's memory layer. Raises ConfigError where it has none."""
    for module in brain.parts().get("slots", ()):
        if isinstance(module, ProductKeyMemory):
            return module
    raise ConfigError("memory_slots must be there for this strategy; got 0. Try 4096.", "memory_slots")
