"""Live adaptation: a self-modifying layer, the gated delta rule with a surprise gate.

Sources: delta rule, Schlag et al. 2021 and Yang et al. 2024; gate, Yang et al. 2025; surprise gate, ours.
    S_t = α_t S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ,      o_t = S_t q_t
The state S (d×d a head) belongs to one row, lives in `state` and so adapts while the brain thinks, training or not.

The surprise of a byte is the memory's own error ‖v_t - S k_t‖ against the state at the start of its chunk. Only a
byte above the running quantile of surprise may write (β_t is 0 below it). Both are known before the byte is used,
and the place inside the chunk is part of the state, so feeding bytes whole, in pieces or one by one is the same.

A chunk of C bytes is taken in at once. With g = cumsum log α inside the chunk, Γ_ij = e^{g_i - g_j} for i ≥ j:
    U = (I + tril(diag(β) K Kᵀ ⊙ Γ, -1))⁻¹ diag(β) (V - (e^g ⊙ K) S),
    O = (e^g ⊙ Q) S + tril(Q Kᵀ ⊙ Γ) U,      S ← e^{g_C} S + (e^{g_C - g} ⊙ K)ᵀ U       (S here is transposed: k → v)
Letters: B batch, T time, D width, H heads, d = D/H, N = B·H, C chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.models.blocks import ConvLinear, as_given, rms_norm, scale_to, zero_linear

QUANTILE_SPEED = 0.25  # share of a chunk's own quantile in the running one


@dataclass(frozen=True)
class DeltaState:
    """All that the layer carries between calls; N = B·H rows and heads."""

    memory: Tensor  # (N, d, d) from keys to values, now
    reference: Tensor  # (N, d, d) the same at the start of the chunk: surprise is measured against it
    threshold: Tensor  # (N, 1) running quantile of surprise; below 0 before the first chunk has ended
    errors: Tensor  # (N, c) surprise of the c bytes of the unfinished chunk
    inputs: Tensor | None  # the last inputs of the convolution
    fired: Tensor  # () share of the bytes of the last call that wrote


def _rows(x: Tensor) -> Tensor:
    """Give every head a row of its own: (B, T, H, d) → (B·H, T, d)."""
    return x.transpose(1, 2).flatten(0, 1)


class SelfModifying(nn.Module):
    """A linear memory a head that rewrites itself, byte by byte, where it is surprised."""

    def __init__(
        self, width: int, heads: int, kernel: int, *, write: float, keep: float, chunk: int, quantile: float
    ) -> None:
        super().__init__()
        self.heads, self.chunk, self.quantile = heads, chunk, quantile
        self.qkv = ConvLinear(width, 3 * width, kernel)
        self.gates = nn.Parameter(torch.zeros(2 * heads, width))  # of β, then of α
        bias = torch.empty(2 * heads)
        bias[:heads] = math.log(write / (1 - write))
        bias[heads:] = math.log(math.expm1(-math.log(keep)))  # softplus of it is -log α
        self.gate_bias = nn.Parameter(bias)
        self.out = zero_linear(width, width)

    def forward(self, x: Tensor, state: DeltaState | None) -> tuple[Tensor, DeltaState]:
        """x (B, T, D) → (B, T, D)."""
        B, T, D = x.shape
        qkv, inputs = self.qkv(x, state.inputs if state else None)
        kind = torch.promote_types(x.dtype, torch.float32)  # the recurrence is kept in fp32
        heads = qkv.to(kind).view(B, T, 3, self.heads, -1)
        q, k = (_rows(part) for part in scale_to(heads[:, :, :2], 1.0).unbind(2))  # (N, T, d)
        gates = (F.linear(x, self.gates).to(kind) + self.gate_bias).view(B, T, 2, self.heads)
        gates = gates.permute(2, 0, 3, 1).flatten(1, 2)  # (2, N, T)
        if state is None:
            blank = q.new_zeros(B * self.heads, q.shape[-1], q.shape[-1])
            never = q.new_full((B * self.heads, 1), -1.0)
            state = DeltaState(blank, blank, never, never[:, :0], None, never[0, 0])
        with as_given(x):
            y, state = self._scan(q, k, _rows(heads[:, :, 2]), gates[0].sigmoid(), -F.softplus(gates[1]), state)
        y = rms_norm(y.view(B, self.heads, T, -1).transpose(1, 2)).reshape(B, T, D).to(x.dtype)
        return F.linear(y, self.out), replace(state, inputs=inputs)

    def _scan(
        self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_keep: Tensor, state: DeltaState
    ) -> tuple[Tensor, DeltaState]:
        """q, k, v (N, T, d), beta and log α (N, T) → outputs (N, T, d) and the state after.

        First what completes the chunk that the last call left unfinished, then whole chunks, then the rest.
        """
        T, C = q.shape[1], self.chunk
        first = min(T, (C - state.errors.shape[1]) % C)
        whole = (T - first) // C
        outputs, fired, begin = [], torch.zeros_like(state.fired), 0
        for count, size in ((1, first), (whole, C), (1, T - first - whole * C)):
            if count * size == 0:
                continue
            span = slice(begin, begin + count * size)
            parts = [tensor[:, span].unflatten(1, (count, size)) for tensor in (q, k, v, beta, log_keep)]
            y, state = self._absorb(*parts, state)
            outputs.append(y)
            fired = fired + state.fired
            begin = span.stop
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
        return y, replace(state, fired=fired / (q.shape[0] * T))

    def _absorb(
        self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_keep: Tensor, state: DeltaState
    ) -> tuple[Tensor, DeltaState]:
        """Take in n chunks of C bytes: q, k, v (N, n, C, d), beta and log α (N, n, C) → outputs (N, n·C, d), state.

        What does not depend on the memory is computed for all chunks at once; `fired` counts the writes.
        """
        decay = log_keep.cumsum(-1)  # (N, n, C)
        future = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
        ratio = (decay[..., :, None] - decay[..., None, :]).masked_fill(future, -torch.inf).exp()  # Γ (N, n, C, C)
        lower = ((k @ k.transpose(-1, -2)) * ratio).unbind(1)  # the solver reads below the diagonal only
        grown, last = decay.exp()[..., None], decay[..., -1:]
        kept = ((last - decay).exp()[..., None] * k).transpose(-1, -2).unbind(1)  # n of (N, d, C)
        shrink = last.exp()[..., None].unbind(1)
        memory, memories, updates, fired = state.memory, [], [], state.fired * 0
        steps = zip(k.unbind(1), v.unbind(1), beta[..., None].unbind(1), grown.unbind(1), lower, kept, shrink, strict=True)
        for k_, v_, beta_, grown_, lower_, kept_, shrink_ in steps:
            recalled = torch.bmm(k_, memory)
            compared = recalled if state.reference is memory else torch.bmm(k_, state.reference)
            surprise = torch.linalg.vector_norm((v_ - compared).detach(), dim=-1)
            writes = surprise > state.threshold  # (N, C)
            beta_ = beta_ * writes[..., None]
            target = (v_ - grown_ * recalled) * beta_
            update = torch.linalg.solve_triangular(lower_ * beta_, target, upper=False, unitriangular=True)  # U (N, C, d)
            memories.append(memory)
            updates.append(update)
            memory = torch.baddbmm(memory * shrink_, kept_, update)
            fired = fired + writes.sum()
            state = self._advance(state, memory, surprise)
        y = (grown * q) @ torch.stack(memories, 1) + ((q @ k.transpose(-1, -2)) * ratio) @ torch.stack(updates, 1)
        return y.flatten(1, 2), replace(state, fired=fired)

    def _advance(self, state: DeltaState, memory: Tensor, surprise: Tensor) -> DeltaState:
        """Give the state after bytes of this surprise (N, c); a finished chunk sets a new threshold and reference."""
        errors = torch.cat((state.errors, surprise), 1)
        if errors.shape[1] < self.chunk:
            return replace(state, memory=memory, errors=errors)
        threshold = self._next_threshold(state.threshold, errors)
        return replace(state, memory=memory, reference=memory, threshold=threshold, errors=errors[:, :0])

    def _next_threshold(self, threshold: Tensor, errors: Tensor) -> Tensor:
        """Move the running quantile (N, 1) toward that of the finished chunk's errors (N, C)."""
        if self.quantile == 0:
            return threshold
        rank = min(self.chunk, 1 + int(self.quantile * self.chunk))
        fresh = errors.kthvalue(rank, dim=1, keepdim=True).values
        return torch.where(threshold < 0, fresh, threshold.lerp(fresh, QUANTILE_SPEED))
