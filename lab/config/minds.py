"""The options of a mind: its memory and its nights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.config.options import check_limits, check_slots, option


@dataclass(frozen=True)
class MindConfig:
    """What a mind keeps, when it sleeps, and how a night writes into its weights."""

    stm_capacity: int = option(64, "Traces in short-term memory; when it is full the mind goes to sleep.", minimum=4)
    ltm_capacity: int = option(10_000, "Traces in long-term memory.", minimum=4)
    archive_capacity: int = option(100_000, "Traces in the archive, compressed.", minimum=4)
    promotion_uses: int = option(3, "Uses or repetitions that move a trace from STM to LTM.", minimum=1)
    importance_threshold: float = option(
        0.8, "A trace at least this important goes to LTM at once.", minimum=0.0, maximum=1.0
    )
    surprise_threshold: float = option(
        0.9,
        "Quantile of surprise from which on a trace goes to LTM, once the mind has reflected on it.",
        minimum=0.0,
        maximum=1.0,
    )
    memory_decay: float = option(
        0.98, "Share of a trace's strength left after a day without use.", minimum=0.5, maximum=1.0
    )
    archive_after_days: float = option(
        30.0, "Days without use after which LTM hands a trace to the archive.", minimum=0.0
    )
    notes_open: int = option(8, "Most notes that are opened for one answer, each by itself.", minimum=1, maximum=16)
    unknown_threshold: float = option(
        0.5, "Probability of not knowing from which on the mind says so.", minimum=0.01, maximum=1.0
    )
    auto_sleep: bool = option(True, "Go to sleep by itself when short-term memory is full.")
    strategy: str = option(
        "naive",
        "Which weights a night may write, and how, beside dreams; naive may write all.",
        choices=("naive", "ewc", "lora", "fast", "l2", "slots", "sparse"),
    )
    memory_slots: int = option(
        1024,
        "Slots of the memory layer that a brain without one gets for a night that writes only there (slots, sparse); a square.",
        minimum=16,
        maximum=1_048_576,
    )
    night_steps: int = option(900, "Most training steps of a night.", minimum=1, maximum=100_000)
    night_lr: float = option(0.0006, "Learning rate of a night.", minimum=1e-7, maximum=0.1)
    night_batch: int = option(24, "Questions in one step of a night.", minimum=1, maximum=1024)
    dreams: int = option(1600, "Dreams that hold what is already known.", minimum=0, maximum=65536)
    dream_weight: float = option(30.0, "Weight of the dreams beside the new facts.", minimum=0.0, maximum=1000.0)
    quizzes: int = option(6, "Questions that a sleeping mind asks itself about each trace.", minimum=1, maximum=64)
    retention_drop: float = option(
        0.03, "Share of what was known that a night may lose before it is taken back.", minimum=0.0, maximum=1.0
    )

    def __post_init__(self) -> None:
        check_limits(self)
        check_slots(self.memory_slots)

    def strength(self, confidence: float, importance: float, uses: int, idle_s: float) -> float:
        """confidence · decay^days · (0.5 + importance) · log(e + uses): the weight of a trace `idle_s` after it was used last."""
        decay: float = self.memory_decay ** (max(0.0, idle_s) / 86400)
        return confidence * decay * (0.5 + importance) * math.log(math.e + uses)
