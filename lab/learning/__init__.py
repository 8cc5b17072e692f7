"""Learning: the trainer, and what a trained brain can be asked for."""

from lab.learning.consolidation import Progress, consolidate, copy_brain, hold
from lab.learning.dreams import Dream, dream
from lab.learning.trainer import UnstableError, rate_at, train
from lab.learning.writing import export_trained, load_trained, preview_data, write
from lab.models import count_parameters

__all__ = [
    "Dream", "Progress", "UnstableError", "consolidate", "copy_brain", "count_parameters", "dream", "export_trained", "hold",
    "load_trained", "preview_data", "rate_at", "train", "write",
]  # fmt: skip
