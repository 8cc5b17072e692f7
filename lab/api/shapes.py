"""What clients send, checked by pydantic; fields that we do not know are passed over, as the interface asks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    def text(self) -> str:
        """The words of the message; parts that are not text are passed over."""
        if isinstance(self.content, list):
            return " ".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")
        return self.content or ""


class Asked(BaseModel):
    """What both kinds of request say."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = 1
    memory: Literal["both", "notes", "weights"] = "both"  # ours
    mode: Literal["auto", "teach", "ask"] = "auto"  # ours


class ChatRequest(Asked):
    messages: list[ChatMessage] = Field(min_length=1)


class CompletionRequest(Asked):
    prompt: str | list[str]
