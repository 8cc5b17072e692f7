"""Learning: the trainer, and what a trained brain can be asked for."""

from lab.learning.trainer import UnstableError, rate_at, train
from lab.learning.writing import export_trained, load_trained, preview_data, write
from lab.models import count_parameters

__all__ = [
    "UnstableError", "count_parameters", "export_trained", "load_trained", "preview_data", "rate_at", "train", "write",
]  # fmt: skip
