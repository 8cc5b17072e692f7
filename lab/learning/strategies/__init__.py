"""How new facts may be written into the weights. A strategy is one file and one line here."""

from collections.abc import Callable

from lab.learning.strategies.all_weights import AllWeights
from lab.learning.strategies.contract import Strategy
from lab.learning.strategies.ewc import EWC
from lab.learning.strategies.fast_band import FastBand
from lab.learning.strategies.l2sp import L2SP
from lab.learning.strategies.lora import LoRA

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "all": AllWeights, "ewc": EWC, "l2": L2SP, "lora": LoRA, "fast": FastBand,
}  # fmt: skip

__all__ = ["STRATEGIES", "Strategy"]
