"""Learning: the trainer, and what a trained brain can be asked for."""

from lab.learning.checkpoint import load_newest, save_checkpoint
from lab.learning.consolidation import consolidate, hold, make_room
from lab.learning.contradictions import Contradictions
from lab.learning.dreams import Dream, alter, dream
from lab.learning.machine import Machine, choose_machine
from lab.learning.practice import Practice, Progress, answer_loss, answers_of, copy_brain, practise
from lab.learning.strategies import NEED_MEMORY, STRATEGIES, Dreams, Strategy
from lab.learning.trainer import UnstableError, rate_at, train
from lab.learning.writing import export_trained, load_trained, preview_data, write
from lab.models import count_parameters

__all__ = [
    "NEED_MEMORY", "STRATEGIES", "Contradictions", "Dream", "Dreams", "Machine", "Practice", "Progress", "Strategy",
    "UnstableError", "alter", "answer_loss", "answers_of", "choose_machine", "consolidate", "copy_brain",
    "count_parameters", "dream", "export_trained", "hold", "load_newest", "load_trained", "make_room", "practise",
    "preview_data", "rate_at", "save_checkpoint", "train", "write",
]  # fmt: skip
