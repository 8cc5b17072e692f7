"""The baseline: a plain pre-norm transformer with rotary positions, RMS norm and a tied embedding.

It is the control of every comparison, so it gets every improvement that is not the idea under test.
"""

from __future__ import annotations

from torch import Tensor, nn

from lab.config.brains.baseline import BaselineConfig
from lab.models.blocks import MLP, Attention, AttentionState, TiedEmbedding, rms_norm
from lab.models.contract import Brain, Layers
from lab.models.memory import add_slots


class Block(nn.Module):
    """x + attention(norm x), then x + MLP(norm x), then, where there are slots, x + slots(norm x)."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.conv_kernel)
        self.mlp = MLP(config.width, round(config.width * config.mlp_ratio))
        self.slots: nn.Module | None = None

    def forward(self, x: Tensor, state: AttentionState | None) -> tuple[Tensor, AttentionState]:
        attended, state = self.attention(rms_norm(x), state)
        x = x + attended
        x = x + self.mlp(rms_norm(x))
        return x if self.slots is None else x + self.slots(rms_norm(x)), state


class Baseline(Brain):
    """See the contract."""

    def __init__(self, config: BaselineConfig, vocabulary: int) -> None:
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
        return self.of_blocks("attention", "mlp", "slots")
