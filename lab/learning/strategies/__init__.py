"""How knowledge is kept while something new is learnt. A strategy is one file and one line here."""

from collections.abc import Callable

from lab.learning.strategies.bands import Bands
from lab.learning.strategies.contract import Strategy
from lab.learning.strategies.dreaming import Dreams, Held
from lab.learning.strategies.ewc import EWC
from lab.learning.strategies.fast_band import FastBand
from lab.learning.strategies.frozen import Frozen
from lab.learning.strategies.joint import Joint
from lab.learning.strategies.l2sp import L2SP
from lab.learning.strategies.lora import LoRA
from lab.learning.strategies.lwf import LwF
from lab.learning.strategies.replay import DER, Replay
from lab.learning.strategies.slots import Slots
from lab.learning.strategies.sparse import Sparse
from lab.text import Lesson

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "naive": Strategy, "joint": Joint, "frozen": Frozen, "replay": Replay, "der": DER, "ewc": EWC, "lwf": LwF, "l2": L2SP,
    "lora": LoRA, "fast": FastBand, "dreams": Dreams,
    "sparse": Sparse, "slots": Slots, "bands": Bands,
}  # fmt: skip

NEED_MEMORY = frozenset({"sparse", "slots"})  # write into a memory layer

__all__ = ["NEED_MEMORY", "STRATEGIES", "Dreams", "Held", "Lesson", "Strategy"]
