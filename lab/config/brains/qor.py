"""QOR: attention (Focus), a self-modifying layer (Live adaptation) and multi-speed memory (CMS)."""

from __future__ import annotations

from dataclasses import dataclass

from lab.config.brains.family import STARTER, BrainConfig, Family
from lab.config.options import ConfigError, option


@dataclass(frozen=True)
class QORConfig(BrainConfig):
    """QOR: attention (Focus), a self-modifying layer (Live adaptation) and multi-speed memory (CMS)."""

    heads: int = option(4, "Heads of attention and of the self-modifying layer.", minimum=1, maximum=64)
    mlp_ratio: float = option(
        2.0, "Hidden width of each of the three CMS memories, as a multiple of the width.", minimum=0.1, maximum=64
    )
    conv_kernel: int = option(4, "Tokens that the causal convolutions see; 1 is no convolution.", minimum=1, maximum=16)
    self_mod_lr: float = option(
        0.9, "How strongly a surprising token rewrites the live memory, at the start of training.", minimum=0.001, maximum=0.999
    )  # fmt: skip
    self_mod_decay: float = option(
        0.995, "How much of the live memory is kept from token to token, at the start of training.", minimum=0.5, maximum=0.99999
    )  # fmt: skip
    self_mod_chunk: int = option(
        32, "Tokens that the live memory takes in at once before it measures surprise anew.", minimum=1, maximum=256
    )
    surprise_threshold: float = option(
        0.5, "Quantile of surprise below which the live memory shuts itself to a token, softly; 0 never shuts it.",
        minimum=0.0, maximum=0.99,
    )  # fmt: skip
    cms_med_freq: int = option(16, "The medium band learns once in this many training steps.", minimum=1)
    cms_slow_freq: int = option(64, "The deep band learns once in this many training steps.", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        bands = (1, self.cms_med_freq, self.cms_slow_freq)
        ablation = bands == (1, 1, 1)  # all periods 1 is the ablation of multi-speed memory, and allowed
        if not ablation and not bands[0] < bands[1] < bands[2]:
            raise ConfigError(f"bands must rise; got {bands}. Try (1, 16, 64).", "cms_med_freq")


FAMILY = Family(
    QORConfig,
    "lab.models.qor:QOR",
    "#7c5cff",
    # lessons do not change from step to step, so slow bands would only learn less of them
    starter={**STARTER, "cms_med_freq": 2, "cms_slow_freq": 8, "mlp_ratio": 4.0},
    ablations={
        "no-gate": ("", {"surprise_threshold": 0.0}),
        "one-period": ("", {"cms_med_freq": 1, "cms_slow_freq": 1}),
        "no-dreams": ("dreams", {}), "no-memory": ("slots", {}), "no-sleep": ("bands", {}),
    },
    strategies=("dreams",),
)  # fmt: skip
