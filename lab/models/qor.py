"""QOR: in every block attention (Focus), a self-modifying layer (Live adaptation) and CMS (Multi-speed memory)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.config.brains.qor import QORConfig
from lab.models.blocks import Attention, AttentionState, TiedEmbedding, rms_norm
from lab.models.cms import ContinuumMemory
from lab.models.contract import Brain, Layers, Reading, State
from lab.models.delta import DeltaState, SelfModifying
from lab.models.memory import add_slots


@dataclass(frozen=True)
class BlockState(State):
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
        self.slots: nn.Module | None = None

    def forward(self, x: Tensor, state: BlockState | None) -> tuple[Tensor, BlockState]:
        attended, attention = self.attention(rms_norm(x), state.attention if state else None)
        x = x + attended
        adapted, live = self.live(rms_norm(x), state.live if state else None)
        x = self.memory(x + adapted)
        return x if self.slots is None else x + self.slots(rms_norm(x)), BlockState(attention, live)


class QOR(Brain):
    """See the contract."""

    slow: ClassVar[Mapping[str, str]] = {"medium": "cms_med_freq", "deep": "cms_slow_freq"}

    def __init__(self, config: QORConfig, vocabulary: int) -> None:
        super().__init__(config)
        self.embedding = TiedEmbedding(vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        add_slots(self.blocks, config)

    def forward(self, tokens: Tensor, state: Layers | None = None) -> tuple[Tensor, Layers]:
        x = self.embedding.read(tokens)  # (B, T, D)
        after = []
        for i, block in enumerate(self.blocks):
            x, block_state = block(x, state[i] if state else None)
            after.append(block_state)
        return self.embedding.score(x), Layers(tuple(after))

    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return self.of_blocks("attention", "live", "memory.fast", "memory.medium", "memory.deep", "slots")

    def measures(self, state: Layers) -> dict[str, Tensor]:
        return {"fire_rate": torch.stack([state[i].live.fired for i in range(len(self.blocks))]).mean()}

    def inspect(self, state: Layers) -> dict[str, Reading]:
        live = [state[i].live for i in range(len(self.blocks))]
        norms = torch.stack([torch.linalg.matrix_norm(one.memory).view(one.count, -1) for one in live])
        return {
            "fired": Reading(
                torch.stack([one.fired for one in live]), ("block",), "How far the gate of the live memory was open."
            ),
            "memory": Reading(norms, ("block", "row", "head"), "How much the live memory holds (Frobenius norm)."),
        }
