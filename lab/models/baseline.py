"""The baseline: a plain pre-norm transformer with rotary positions, RMS norm and a tied embedding.

It is the control of every comparison, so it gets every improvement that is not the idea under test.
"""

from __future__ import annotations

from torch import Tensor, nn

from lab.config import BaselineConfig
from lab.models.blocks import MLP, Attention, AttentionState, TiedEmbedding, rms_norm
from lab.models.contract import Brain
from lab.models.memory import HEADS, ProductKeyMemory


class Block(nn.Module):
    """x + attention(norm x), then x + MLP(norm x), then, where there are slots, x + slots(norm x)."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.conv_kernel)
        self.mlp = MLP(config.width, round(config.width * config.mlp_ratio))
        self.slots: ProductKeyMemory | None = None

    def forward(self, x: Tensor, state: AttentionState | None) -> tuple[Tensor, AttentionState]:
        attended, state = self.attention(rms_norm(x), state)
        x = x + attended
        x = x + self.mlp(rms_norm(x))
        return x if self.slots is None else x + self.slots(rms_norm(x)), state


class Baseline(Brain):
    """See the contract."""

    def __init__(self, config: BaselineConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = TiedEmbedding(vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        if config.memory_slots:  # drawn last, so that all else starts as it would without
            memory = ProductKeyMemory(config.width, config.memory_slots, min(config.heads, HEADS))
            self.blocks[config.layers // 2].slots = memory

    def forward(
        self, tokens: Tensor, state: tuple[AttentionState, ...] | None = None
    ) -> tuple[Tensor, tuple[AttentionState, ...]]:
        x = self.embedding.read(tokens)  # (B, T, D)
        after = []
        for i, block in enumerate(self.blocks):
            x, block_state = block(x, state[i] if state else None)
            after.append(block_state)
        return self.embedding.score(x), tuple(after)
