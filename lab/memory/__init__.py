"""What a mind remembers outside its weights: traces in three tiers, found again by likeness. Knows no model."""

from lab.memory.index import RecallIndex
from lab.memory.store import TraceStore
from lab.memory.tiers import strength_now
from lab.memory.traces import TIERS, MemoryError, Trace, Veto

__all__ = ["TIERS", "MemoryError", "RecallIndex", "Trace", "TraceStore", "Veto", "strength_now"]
