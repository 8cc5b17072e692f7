"""QOR: in every block attention (Focus), a self-modifying layer (Live adaptation) and CMS (Multi-speed memory)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.config import QORConfig
from lab.models.blocks import Attention, AttentionState, TiedEmbedding, rms_norm
from lab.models.cms import ContinuumMemory
from lab.models.contract import Brain
from lab.models.delta import DeltaState, SelfModifying
from lab.models.memory import HEADS, ProductKeyMemory


@dataclass(frozen=True)
class BlockState:
    attention: AttentionState
    live: DeltaState


class Block(nn.Module):
    """Pre-norm: attention, the self-modifying layer, the bands and, where there are any, slots, each added to the stream."""

    def __init__(self, config: QORConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.conv_kernel)
        self.live = SelfModifying(
            config.width, config.heads, config.conv_kernel, write=config.self_mod_lr, keep=config.self_mod_decay,
            chunk=config.self_mod_chunk, quantile=config.surprise_threshold,
        )  # fmt: skip
        self.memory = ContinuumMemory(config.width, round(config.width * config.mlp_ratio))
        self.slots: ProductKeyMemory | None = None

    def forward(self, x: Tensor, state: BlockState | None) -> tuple[Tensor, BlockState]:
        attended, attention = self.attention(rms_norm(x), state.attention if state else None)
        x = x + attended
        adapted, live = self.live(rms_norm(x), state.live if state else None)
        x = self.memory(x + adapted)
        return x if self.slots is None else x + self.slots(rms_norm(x)), BlockState(attention, live)


class QOR(Brain):
    """See the contract."""

    def __init__(self, config: QORConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = TiedEmbedding(vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        if config.memory_slots:  # drawn last, so that all else starts as it would without
            memory = ProductKeyMemory(config.width, config.memory_slots, min(config.heads, HEADS))
            self.blocks[config.layers // 2].slots = memory

    def forward(
        self, tokens: Tensor, state: tuple[BlockState, ...] | None = None
    ) -> tuple[Tensor, tuple[BlockState, ...]]:
        x = self.embedding.read(tokens)  # (B, T, D)
        after = []
        for i, block in enumerate(self.blocks):
            x, block_state = block(x, state[i] if state else None)
            after.append(block_state)
        return self.embedding.score(x), tuple(after)

    def band_of(self, name: str) -> tuple[str, int]:
        if ".memory.medium." in name:
            return "medium", self.config.cms_med_freq
        if ".memory.deep." in name:
            return "deep", self.config.cms_slow_freq
        return "fast", 1

    def fire_rate(self, state: tuple[BlockState, ...]) -> Tensor:
        return torch.stack([block.live.fired for block in state]).mean()
