"""The conversation of a mind: what a message is, small talk, and what was said, kept on disk."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from lab.mind.notes import Notes
from lab.mind.reader import Reader
from lab.mind.replies import TALK, Answer, Taught, unknown


class Conversation:
    """What is said to one mind, and by it."""

    def __init__(self, notes: Notes, reader: Reader) -> None:
        self.notes, self.reader = notes, reader

    def chat(self, message: str, memory: str) -> Answer:
        """Reply to small talk."""
        reply = self.reader.answer([message])[0]
        if reply.text is None:
            return unknown(message, memory, reply.unknown)
        return Answer(reply.text, TALK, reply.probability, (), message, memory)

    def keep(self, message: str, outcome: Answer | Taught) -> None:
        """Put a message and what became of it on disk."""
        now, store = time.time(), self.notes.store
        with self.notes.lock, store.transaction():
            store.append("messages", {"at": now, "role": "user", "text": message, "about": "{}"})
            about = json.dumps(_about(outcome))
            store.append("messages", {"at": now, "role": "assistant", "text": outcome.text, "about": about})

    def messages(self) -> list[dict[str, Any]]:
        """Give the conversation, oldest first."""
        return [{**row, "about": json.loads(row["about"])} for row in self.notes.store.rows("messages")]

    def answer_of(self, message: dict[str, Any]) -> Answer:
        """Give the Answer that a message of the assistant was."""
        kept, traces = message["about"], []
        for number in kept.get("traces", []):
            with contextlib.suppress(ValueError):  # undone since
                traces.append(self.notes.store.get(number))
        source, confidence = kept.get("source", "unknown"), kept.get("confidence", 0.0)
        return Answer(message["text"], source, confidence, tuple(traces), kept.get("question", ""))


def _about(outcome: Answer | Taught) -> dict[str, Any]:
    """What is kept beside a reply, as JSON."""
    if isinstance(outcome, Taught):
        traces = [t.id for t in (*outcome.traces, *outcome.repeated)]
        return {"kind": "taught", "traces": traces, "source": "taught", "confidence": 1.0}
    return {
        "kind": "answer", "source": outcome.source, "confidence": outcome.confidence, "question": outcome.question,
        "traces": [t.id for t in outcome.traces], "memory": outcome.memory,
    }  # fmt: skip
