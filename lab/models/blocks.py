"""Parts that brains are composed of: RMS norm, rotary positions, causal convolution, cached attention, MLP.

Letters: B batch, T time, D width, H heads, d = D/H, K convolution taps. Every part is causal and keeps rows apart.
On a CPU most of the time of a small brain goes into reading and writing activations, so three of the parts have
hand-written gradients; tests hold them to autograd. Norms have no gain and linear maps no bias: at this size they
cost time and bring nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.models.contract import State

EPS = 1e-6


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """Give the type to compute in: autocast's on this device where it is on, else the tensor's own."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype


def as_given(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which operations keep the types they are given, although autocast may be on around it."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _scale(x: Tensor, length: float) -> Tensor:
    """What to multiply the last axis with to give it this length."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return norm.add_(EPS).reciprocal_().mul_(length)


class _ScaleTo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float) -> Tensor:
        scale = _scale(x, length)
        y: Tensor = x * scale
        ctx.save_for_backward(y, scale)
        ctx.length = length
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        along = (grad * y).sum(-1, keepdim=True)
        return torch.addcmul(grad, y, along, value=-1 / ctx.length**2).mul_(scale), None


def scale_to(x: Tensor, length: float) -> Tensor:
    """Give the last axis this Euclidean length; any shape."""
    if not torch.is_grad_enabled():  # a byte at a time, the overhead of a gradient would be most of it
        return x * _scale(x, length)
    y: Tensor = _ScaleTo.apply(x, length)  # type: ignore[no-untyped-call]
    return y


def rms_norm(x: Tensor) -> Tensor:
    """Scale the last axis to a root mean square of 1 (Zhang & Sennrich 2019), without a gain; any shape."""
    return scale_to(x, x.shape[-1] ** 0.5)


@functools.lru_cache(maxsize=64)
def _rotations(start: int, length: int, half: int, device: torch.device) -> Tensor:
    """Complex rotations (length, 1, half) of positions start … start + length - 1."""
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(start, start + length, dtype=torch.float64), rates)  # not every GPU has fp64
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)[:, None].to(device)


def rotate(x: Tensor, start: int) -> Tensor:
    """Turn pairs of numbers by their position (RoPE, Su et al. 2021). x (B, T, H, d), computed in fp32 or more."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))  # (B, T, H, d/2)
    turned = pairs * _rotations(start, x.shape[1], x.shape[-1] // 2, x.device).to(pairs.dtype)
    return torch.view_as_real(turned).flatten(-2)


def drawn(*shape: int, std: float = 1.0) -> nn.Parameter:
    """A parameter drawn from a normal distribution around 0. On the meta device, where brains are only counted, it is left as it
    is: to draw there would load torch's compiler, which takes a second and more."""
    parameter = nn.Parameter(torch.empty(*shape))
    if not parameter.is_meta:
        nn.init.normal_(parameter, std=std)
    return parameter


class Linear(nn.Linear):
    """A linear map without bias, its weights drawn with a standard deviation of 1/√inner, or zero: an output projection that
    starts there changes nothing."""

    def __init__(self, inner: int, out: int, *, zero: bool = False) -> None:
        self._std = 0.0 if zero else inner**-0.5
        super().__init__(inner, out, bias=False)

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            nn.init.normal_(self.weight, std=self._std) if self._std else nn.init.zeros_(self.weight)


class ConvLinear(nn.Module):
    """A causal depthwise convolution over K tokens, then a linear map; the convolution starts as the identity."""

    def __init__(self, width: int, out: int, kernel: int) -> None:
        super().__init__()
        self.linear = Linear(width, out)
        taps = torch.zeros(width, kernel)
        taps[:, -1] = 1
        self.taps = nn.Parameter(taps) if kernel > 1 else None

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x (B, T, D) and the K-1 inputs before it (B, K-1, D) → (B, T, out) and the next K-1 inputs."""
        if self.taps is None:
            return self.linear(x), None
        reach = self.taps.shape[1] - 1
        padded = F.pad(x, (0, 0, reach, 0)) if past is None else torch.cat((past.to(x.dtype), x), 1)
        return self.linear(convolve(padded, self.taps).to(x.dtype)), padded[:, x.shape[1] :].detach()


def convolve(padded: Tensor, taps: Tensor) -> Tensor:
    """Depthwise convolution of (B, T+K-1, D) with taps (D, K) → (B, T, D), in the type of the taps.

    As a two-dimensional convolution with the width innermost in memory, in fp32, it is 3 times as fast on a CPU as
    `conv1d`, forward and backward.
    """
    if padded.shape[1] == taps.shape[1]:  # one byte at a time
        return (padded * taps.t()).sum(1, keepdim=True)
    with as_given(padded):
        image = padded.to(taps.dtype).transpose(1, 2).unsqueeze(2)  # (B, D, 1, T+K-1), the width innermost
        return F.conv2d(image, taps[:, None, None], groups=taps.shape[0]).squeeze(2).transpose(1, 2)


@dataclass(frozen=True)
class KVCache(State):
    """Keys and values of the past, (B, H, room, d) of which `length` are filled.

    Several states may share the room: who appends first writes into it, who appends to an older state gets a copy.
    So a state can be kept and gone back to, and a step still costs no copy.
    """

    keys: Tensor
    values: Tensor
    length: int
    filled: list[int]  # one number, shared by all who share the room: how much of it is written

    def rows(self, chosen: Sequence[int]) -> KVCache:
        return KVCache(self.keys[list(chosen)], self.values[list(chosen)], self.length, [self.length])

    def append(self, keys: Tensor, values: Tensor) -> KVCache:
        end = self.length + keys.shape[2]
        if self.filled[0] != self.length or end > self.keys.shape[2]:
            return self._moved(end).append(keys, values)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.filled[0] = end
        return replace(self, length=end)

    def _moved(self, end: int) -> KVCache:
        B, H, _, d = self.keys.shape
        room = max(64, 2 * end)
        fresh = [old.new_empty(B, H, room, d) for old in (self.keys, self.values)]
        for new, old in zip(fresh, (self.keys, self.values), strict=True):
            new[:, :, : self.length] = old[:, :, : self.length]
        return KVCache(fresh[0], fresh[1], self.length, [self.length])


@dataclass(frozen=True)
class AttentionState(State):
    cache: KVCache
    inputs: Tensor | None  # the last inputs of the convolution


class Attention(nn.Module):
    """Causal self-attention with rotary positions, RMS-normed q and k, and an optional short convolution."""

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ConvLinear(width, 3 * width, kernel)
        self.out = Linear(width, width, zero=True)

    def forward(self, x: Tensor, state: AttentionState | None) -> tuple[Tensor, AttentionState]:
        """x (B, T, D) → (B, T, D)."""
        B, T, D = x.shape
        start = state.cache.length if state else 0
        qkv, inputs = self.qkv(x, state.inputs if state else None)
        qk, v = qkv.view(B, T, 3 * self.heads, D // self.heads).split((2 * self.heads, self.heads), 2)
        qk = rotate(rms_norm(qk.to(torch.promote_types(x.dtype, torch.float32))), start)  # (B, T, 2H, d)
        q, k = (part.transpose(1, 2) for part in qk.chunk(2, 2))
        # a CPU's bf16 attention is 4 times slower backward than its fp32 one
        kind = qk.dtype if x.device.type == "cpu" else x.dtype
        q, k, v = q.to(kind), k.to(kind), v.transpose(1, 2).to(kind)
        with as_given(x):
            if state is None:
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                cache = KVCache(k.detach(), v.detach(), T, [T])
            else:
                cache = state.cache.append(k.detach(), v.detach())
                y = _attend_cached(q, cache, start)
        y = y.transpose(1, 2).reshape(B, T, D).to(x.dtype)
        return self.out(y), AttentionState(cache, inputs)


def _attend_cached(q: Tensor, cache: KVCache, start: int) -> Tensor:
    """q (B, H, T, d) at positions start… over all that the cache holds; (B, H, T, d)."""
    T, end = q.shape[2], cache.length
    keys, values = cache.keys[:, :, :end], cache.values[:, :, :end]
    mask = None
    if T > 1:
        mask = torch.ones(T, end, dtype=torch.bool, device=q.device).tril(start)
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        kept = x.relu()
        ctx.save_for_backward(kept)
        return kept * kept

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        kept: Tensor = ctx.saved_tensors[0]
        return (grad * kept).mul_(2)


class MLP(nn.Module):
    """Two linear maps with a squared ReLU between (So et al. 2021)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = Linear(width, hidden)
        self.out = Linear(hidden, width, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D) → (B, T, D)."""
        inner = self.inner(x)
        if not torch.is_grad_enabled():  # in place: a wide layer's fresh memory takes as long as its arithmetic
            kept = inner.relu_()
            return self.out(kept.mul_(kept))  # type: ignore[no-any-return]
        return self.out(_SquaredReLU.apply(inner))  # type: ignore[no-untyped-call, no-any-return]


class TiedEmbedding(nn.Module):
    """One matrix (V, D) that reads tokens in, normalised, and scores the next."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.weight = drawn(vocabulary, width, std=0.02)

    def read(self, tokens: Tensor) -> Tensor:
        """tokens (B, T) int64 → (B, T, D) in the type to compute in."""
        return rms_norm(F.embedding(tokens, self.weight).to(compute_dtype(self.weight)))

    def score(self, x: Tensor) -> Tensor:
        """x (B, T, D) → logits (B, T, V)."""
        return F.linear(rms_norm(x), self.weight)
