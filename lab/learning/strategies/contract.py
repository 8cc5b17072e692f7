"""What every strategy promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lab.models import Brain


class Strategy(ABC):
    """Chooses what of a brain learns, and what pulls it back. Used for one task, then thrown away."""

    @abstractmethod
    def begin(self, brain: Brain, old_loss: Callable[[], Tensor] | None) -> list[nn.Parameter]:
        """Make ready and give the parameters that will learn.

        `old_loss` gives the loss on one more batch of what is already known, each time it is called; None where there
        is nothing to hold.
        """

    def penalty(self) -> Tensor:
        """What is added to the loss, a scalar in nats."""
        return torch.zeros(())

    def finish(self) -> None:
        """Leave a plain brain behind."""
        return
