"""A night: its agenda, what sleep does to a brain, and what becomes of it."""

from lab.mind.night.agenda import Agenda, Due
from lab.mind.night.learner import BrainLearner, Learner
from lab.mind.night.sleep import make_lessons, sleep

__all__ = ["Agenda", "BrainLearner", "Due", "Learner", "make_lessons", "sleep"]
