"""The baseline: a plain pre-norm transformer, the control that every other brain is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from lab.config.brains.family import STARTER, BrainConfig, Family
from lab.config.options import option


@dataclass(frozen=True)
class BaselineConfig(BrainConfig):
    """A plain pre-norm transformer: the control that every other brain is compared with."""

    heads: int = option(4, "Attention heads; they share the width equally.", minimum=1, maximum=64)
    mlp_ratio: float = option(4.0, "Hidden width of the MLP, as a multiple of the width.", minimum=0.1, maximum=64)
    conv_kernel: int = option(
        1, "Tokens that the causal convolution before attention sees; 1 is no convolution.", minimum=1, maximum=16
    )


FAMILY = Family(
    BaselineConfig,
    "lab.models.baseline:Baseline",
    "#e8833a",
    starter={**STARTER, "conv_kernel": 4, "mlp_ratio": 14.0},
    competes={"conv_kernel": 4},  # a control gets every improvement that is not the idea under test
)
