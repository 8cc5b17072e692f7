"""Live adaptation: a self-modifying layer, the gated delta rule with a surprise gate.

Sources: delta rule, Schlag et al. 2021 and Yang et al. 2024; gate, Yang et al. 2025; surprise gate, ours.
    S_t = α_t S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ,      o_t = S_t q_t
The state S (d×d a head) belongs to one row, lives in `state` and so adapts while the brain thinks, training or not.

The surprise of a byte is the memory's own error e_t = ‖v_t - S k_t‖ against the state at the start of its chunk. With
τ the running quantile of surprise, β_t is multiplied by the gate σ(a (e_t / τ - 1) + b); a and b are learnt a head and
start mostly open. A gate that shuts at τ cost 0.1 bits per byte (notebooks/LOG.md). Both e and τ are known before the
byte is used, and the place inside the chunk is part of the state, so whole, in pieces or one by one is the same.

A chunk of C bytes is taken in at once. With g = cumsum log α inside the chunk, K̃ = e^g ⊙ K, K̂ = e^-g ⊙ K, Q̃ = e^g ⊙ Q:
    U = (I + tril(diag(β) K̃ K̂ᵀ, -1))⁻¹ diag(β) (V - K̃ S),
    O = Q̃ S + tril(Q̃ K̂ᵀ) U,      S ← e^{g_C} (S + K̂ᵀ U)       (S here is transposed: from keys to values)
The usual form has Γ_ij = e^{g_i - g_j} as a C×C tensor a chunk instead; splitting it halves the time, and is safe in
fp32 because log α is kept above -60 / C.
Letters: B batch, T time, D width, H heads, d = D/H, N = B·H, C chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.models.blocks import ConvLinear, Linear, as_given, rms_norm, scale_to
from lab.models.contract import State

QUANTILE_SPEED = 0.5  # share of a chunk's own quantile in the running one
GATE_SHAPE = (4.0, 2.0)  # at the start of training: how sharp the gate is, and how far open at the threshold
NO_THRESHOLD = 1e-6  # before the first chunk has ended: every byte surprises
STEEPEST = 60.0  # -log of how little of the memory a whole chunk may leave: e^60 is well inside fp32


@dataclass(frozen=True)
class DeltaState(State):
    """All that the layer carries between calls; N = B·H rows and heads."""

    memory: Tensor  # (N, d, d) from keys to values, now
    reference: Tensor  # (N, d, d) the same at the start of the chunk: surprise is measured against it
    threshold: Tensor  # (N, 1) running quantile of surprise
    errors: Tensor  # (N, c) surprise of the c bytes of the unfinished chunk
    inputs: Tensor | None  # the last inputs of the convolution
    fired: Tensor  # () mean opening of the gate over the bytes of the last call
    heads: int

    @property
    def count(self) -> int:
        return len(self.memory) // self.heads


class SelfModifying(nn.Module):
    """A linear memory a head that rewrites itself, byte by byte, where it is surprised."""

    def __init__(
        self, width: int, heads: int, kernel: int, *, write: float, keep: float, chunk: int, quantile: float
    ) -> None:
        super().__init__()
        self.heads, self.chunk, self.quantile = heads, chunk, quantile
        self.inner = ConvLinear(width, 3 * width + 2 * heads, kernel)  # to q, k, v, and the gates of β, then of α
        with torch.no_grad():
            self.inner.linear.weight[3 * width :] = 0
        bias = torch.empty(2 * heads)
        bias[:heads] = math.log(write / (1 - write))
        bias[heads:] = math.log(math.expm1(-math.log(keep)))  # softplus of it is -log α
        self.gate_bias = nn.Parameter(bias)
        self.gate_shape = nn.Parameter(torch.tensor(GATE_SHAPE).repeat_interleave(heads))  # a vector: no weight decay
        self.out = Linear(width, width, zero=True)

    def forward(self, x: Tensor, state: DeltaState | None) -> tuple[Tensor, DeltaState]:
        """x (B, T, D) → (B, T, D)."""
        B, _, D = x.shape
        inner, inputs = self.inner(x, state.inputs if state else None)
        kind = torch.promote_types(x.dtype, torch.float32)  # the recurrence is kept in fp32
        qk, v, gates = inner.to(kind).split((2 * D, D, 2 * self.heads), -1)
        q, k = scale_to(qk.unflatten(-1, (2, self.heads, -1)), 1.0).unbind(2)  # (B, T, H, d)
        beta, fall = (gates + self.gate_bias)[..., None].chunk(2, 2)  # (B, T, H, 1)
        log_keep = -F.softplus(fall).clamp(max=STEEPEST / self.chunk)
        if state is None:
            N, d = B * self.heads, q.shape[-1]
            blank, low = q.new_zeros(N, d, d), q.new_full((N, 1), NO_THRESHOLD)
            state = DeltaState(blank, blank, low, low[:, :0], None, low[0, 0], self.heads)
        with as_given(x):
            y, state = self._scan((q, k, v.unflatten(-1, (self.heads, -1)), beta.sigmoid(), log_keep), state)
        return self.out(rms_norm(y).flatten(2).to(x.dtype)), replace(state, inputs=inputs)

    def _scan(self, parts: tuple[Tensor, ...], state: DeltaState) -> tuple[Tensor, DeltaState]:
        """q, k, v (B, T, H, d), β and log α (B, T, H, 1) → outputs (B, T, H, d) and the state after.

        First what completes the chunk that the last call left unfinished, then whole chunks, then the rest.
        """
        (B, T, H, d), C = parts[0].shape, self.chunk
        if T == 1:  # a byte at a time, views into chunks would take as long as the arithmetic
            q, k, v, beta, log_keep = (part.reshape(B * H, 1, -1) for part in parts)
            y, state = self._absorb_one(q, k, v, beta, log_keep.exp(), state)
            return y.view(B, 1, H, d), replace(state, fired=state.fired / (B * H))
        first = min(T, (C - state.errors.shape[1]) % C)
        whole = (T - first) // C
        outputs, fired, begin = [], torch.zeros_like(state.fired), 0
        for n, size in ((1, first), (whole, C), (1, T - first - whole * C)):
            if n * size == 0:
                continue
            span = slice(begin, begin + n * size)
            cut = [part[:, span].unflatten(1, (n, size)).permute(1, 0, 3, 2, 4).flatten(1, 2) for part in parts]
            y, state = self._absorb(cut[0], cut[1], cut[2], cut[3], cut[4], state)  # all (n, N, size, …)
            outputs.append(y.view(n, B, H, size, d).permute(1, 0, 3, 2, 4).flatten(1, 2))
            fired = fired + state.fired
            begin = span.stop
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
        return y, replace(state, fired=fired / (B * H * T))

    def _absorb(
        self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_keep: Tensor, state: DeltaState
    ) -> tuple[Tensor, DeltaState]:
        """Take in n chunks of C bytes: q, k, v (n, N, C, d), β and log α (n, N, C, 1) → outputs (n, N, C, d), state.

        What does not depend on the memory is computed for all chunks at once; `fired` counts the writes.
        """
        g = log_keep.cumsum(2)
        grown = g.exp()
        q_up, k_up, k_down = q * grown, k * grown, k * (-g).exp()  # not k / grown: its gradient would divide by e^2g
        turned = k_down.transpose(2, 3)  # (n, N, d, C)
        lower = (k_up @ turned).unbind(0)  # the solver reads below the diagonal only
        memory, memories, updates, fired = state.memory, [], [], torch.zeros_like(state.fired)
        shape = self._gate_shape(q.shape[1], q.dtype)
        chunks = zip(*(t.unbind(0) for t in (k_up, v, beta, grown, turned, grown[:, :, -1:])), lower, strict=True)
        for k_, v_, beta_, grown_, turned_, last_, lower_ in chunks:
            recalled = torch.bmm(k_, memory)  # grown
            surprise = self._surprise(k_, v_, recalled, grown_, memory, state)  # (N, C)
            gate = self._gate(surprise, state.threshold, shape)  # (N, C)
            beta_ = beta_ * gate[:, :, None]
            target = (v_ - recalled) * beta_
            update = torch.linalg.solve_triangular(lower_ * beta_, target, upper=False, unitriangular=True)  # U
            memories.append(memory)
            updates.append(update)
            memory = torch.baddbmm(memory, turned_, update) * last_
            fired = fired + gate.detach().sum()
            state = self._advance(state, memory, surprise)
        y = q_up @ torch.stack(memories) + (q_up @ turned).tril() @ torch.stack(updates)
        return y, replace(state, fired=fired)

    def _absorb_one(
        self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, keep: Tensor, state: DeltaState
    ) -> tuple[Tensor, DeltaState]:
        """The same for one byte, as the recurrence says it: all (N, 1, …)."""
        k_up = k * keep
        recalled = torch.bmm(k_up, state.memory)
        surprise = self._surprise(k_up, v, recalled, keep, state.memory, state)
        gate = self._gate(surprise, state.threshold, self._gate_shape(k.shape[0], k.dtype))
        update = (v - recalled) * (beta * gate[:, :, None])
        memory = (state.memory * keep).baddbmm_(k.transpose(1, 2), update)
        state = replace(self._advance(state, memory, surprise), fired=gate.detach().sum())
        return torch.bmm(q, memory), state

    def _gate_shape(self, rows: int, kind: torch.dtype) -> Tensor:
        """The learnt shape of each row's gate, (2, N, 1): how sharp it is, and how far open at the threshold."""
        shape = self.gate_shape.to(kind).view(2, 1, self.heads)
        return shape.expand(2, rows // self.heads, self.heads).reshape(2, rows, 1)

    def _gate(self, surprise: Tensor, threshold: Tensor, shape: Tensor) -> Tensor:
        """How much of each byte's change is written, (N, C) from 0 to 1."""
        if self.quantile == 0:
            return torch.ones_like(surprise)
        with torch.no_grad():
            excess = surprise / threshold - 1
        return torch.addcmul(shape[1], shape[0], excess).sigmoid()

    @staticmethod
    @torch.no_grad()
    def _surprise(
        k_up: Tensor, v: Tensor, recalled: Tensor, grown: Tensor, memory: Tensor, state: DeltaState
    ) -> Tensor:
        """How far the memory of the chunk's start is from v: (N, C). `recalled` is k_up from `memory`."""
        guess = recalled if state.reference is memory else torch.bmm(k_up, state.reference)
        error: Tensor = torch.linalg.vector_norm(v - guess / grown, dim=-1)
        return error

    def _advance(self, state: DeltaState, memory: Tensor, surprise: Tensor) -> DeltaState:
        """Give the state after bytes of this surprise (N, c); a finished chunk sets a new threshold and reference."""
        errors = torch.cat((state.errors, surprise), 1) if state.errors.shape[1] else surprise
        if errors.shape[1] < self.chunk:
            return replace(state, memory=memory, errors=errors)
        threshold = self._next_threshold(state.threshold, errors)
        return replace(state, memory=memory, reference=memory, threshold=threshold, errors=errors[:, :0])

    @torch.no_grad()
    def _next_threshold(self, threshold: Tensor, errors: Tensor) -> Tensor:
        """Move the running quantile (N, 1) toward that of the finished chunk's errors (N, C)."""
        rank = min(self.chunk, 1 + int(self.quantile * self.chunk))
        fresh = errors.sort(dim=1).values[:, rank - 1 : rank].clamp_min(NO_THRESHOLD)
        return torch.where(threshold == NO_THRESHOLD, fresh, threshold.lerp(fresh, QUANTILE_SPEED))
