"""/v1 for clients of the OpenAI kind: models are minds; answers carry a `memory` block with source and traces.

The last user message is told or asked; what came before it is history that the mind has already heard. Who may ask is
the concern of the application that it is mounted in: any Bearer token is accepted here.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from lab.api.shapes import ChatRequest, CompletionRequest
from lab.config import ConfigError
from lab.mind import Answer, MindError, Minds, Taught


class ApiError(Exception):
    """An answer that is an error, in the interface's own shape."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


def create_api(minds: Minds) -> FastAPI:
    """Make the application that answers under /v1."""
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @api.exception_handler(ApiError)
    async def told(_: Request, error: ApiError) -> JSONResponse:
        return error_body(error.status, error.message, error.param, error.code)

    @api.exception_handler(RequestValidationError)
    async def unshaped(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return error_body(400, f"{place or 'the request'}: {first['msg']}", place or None)

    @api.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> JSONResponse:
        place = f"{request.method} {request.url.path}"
        return error_body(error.status_code, f"there is no {place} here.", None, "unknown_url")

    @api.get("/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(minds, name) for name in minds.names()]}

    @api.get("/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        if name not in minds.names():
            raise _no_model(minds, name)
        return _model(minds, name)

    @api.post("/chat/completions")
    def chat(request: ChatRequest) -> Any:
        users = [message for message in request.messages if message.role == "user"]
        if not users:
            raise ApiError(400, "messages must hold one of role user; got none.", param="messages")
        return _respond(minds, request, users[-1].text(), "chat.completion")

    @api.post("/completions")
    def complete(request: CompletionRequest) -> Any:
        prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
        if len(prompts) != 1:
            raise ApiError(400, f"prompt must be one text; got {len(prompts)}.", param="prompt")
        return _respond(minds, request, prompts[0], "text_completion")

    return api


def _model(minds: Minds, name: str) -> dict[str, Any]:
    created = int((minds.home / name / "mind.json").stat().st_mtime)
    return {"id": name, "object": "model", "created": created, "owned_by": "qor-lab"}


def _no_model(minds: Minds, name: str) -> ApiError:
    message = f"model must be a mind; got {name!r}, there is {', '.join(minds.names()) or 'none yet'}."
    return ApiError(404, message, param="model", code="model_not_found")


def _respond(minds: Minds, request: ChatRequest | CompletionRequest, text: str, kind: str) -> Any:
    """Say `text` to the mind and give the reply, whole or as server-sent events."""
    if request.n != 1:
        raise ApiError(400, f"n must be 1; got {request.n}. A mind has one answer.", param="n")
    if request.model not in minds.names():
        raise _no_model(minds, request.model)
    chat = kind.startswith("chat")
    name = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
    head = {"id": name, "created": int(time.time()), "model": request.model}
    try:
        pieces = minds.get(request.model).say_stream(text, request.mode, request.memory)
        first = next(pieces)  # so that a bad message is an error and not a broken stream
    except (MindError, ConfigError, ValueError) as error:
        raise ApiError(400, str(error), param="messages" if chat else "prompt") from error
    except OSError as error:
        raise ApiError(503, str(error)) from error
    if request.stream:
        counted = bool(request.stream_options and request.stream_options.include_usage)
        events = _events(first, pieces, head, kind, text, counted)
        return StreamingResponse(events, media_type="text/event-stream")
    outcome = [first, *pieces][-1]
    assert not isinstance(outcome, str)
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    message = {"role": "assistant", "content": outcome.text, "refusal": None}
    choice |= {"message": message} if chat else {"text": outcome.text}
    usage, memory = _usage(text, outcome.text), memory_block(outcome)
    return {**head, "object": kind, "choices": [choice], "usage": usage, "memory": memory}


def _events(
    first: Any, pieces: Iterator[Any], head: dict[str, Any], kind: str, text: str, include_usage: bool
) -> Iterator[str]:
    chat = kind.startswith("chat")
    named = {**head, "object": "chat.completion.chunk" if chat else kind}

    def event(delta: dict[str, Any] | str, finish: str | None = None, **more: Any) -> str:
        body: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        body["delta" if chat else "text"] = delta
        usage = {"usage": None} if include_usage else {}
        return f"data: {json.dumps({**named, 'choices': [body], **usage, **more})}\n\n"

    if chat:
        yield event({"role": "assistant", "content": ""})
    outcome: Any = first
    try:
        while isinstance(outcome, str):
            yield event({"content": outcome} if chat else outcome)
            outcome = next(pieces)
        yield event({} if chat else "", "stop", memory=memory_block(outcome))
    except (ValueError, OSError) as error:
        yield f"data: {bytes(error_body(500, str(error)).body).decode()}\n\n"
        return
    if include_usage:
        yield f"data: {json.dumps({**named, 'choices': [], 'usage': _usage(text, outcome.text)})}\n\n"
    yield "data: [DONE]\n\n"


def memory_block(outcome: Answer | Taught) -> dict[str, Any]:
    """Where the reply came from: ours, beside the fields that every client knows."""
    if isinstance(outcome, Taught):
        stored = [{"trace": t.id, "text": t.text, "tier": t.tier} for t in (*outcome.traces, *outcome.repeated)]
        return {"source": "taught", "confidence": 1.0, "traces": stored, "replaced": [t.id for t in outcome.replaced]}
    traces = [{"trace": t.id, "text": t.text, "tier": t.tier} for t in outcome.traces]
    return {"source": outcome.source, "confidence": round(outcome.confidence, 4), "traces": traces}


def _usage(prompt: str, answer: str) -> dict[str, int]:
    read, written = len(prompt.encode()), len(answer.encode())  # a token is a byte
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
