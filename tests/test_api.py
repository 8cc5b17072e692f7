"""The OpenAI-compatible endpoints: the `openai` package can use them, and every answer fits a schema of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jsonschema import validate

from lab.api import create_api
from lab.config import MindConfig
from lab.mind import Minds

TRACES = {"type": "array", "items": {"type": "object", "required": ["trace", "text", "tier"]}}
MEMORY = {
    "type": "object", "required": ["source", "confidence", "traces"],
    "properties": {"source": {"type": "string"}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}, "traces": TRACES},
}  # fmt: skip
USAGE = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "additionalProperties": {"type": "integer"},
}


def schema(kind: str, content: dict[str, Any], *, chunk: bool = False) -> dict[str, Any]:
    """What an answer or a chunk of one must look like."""
    choice = {
        "type": "object", "required": ["index", "finish_reason", *content], "additionalProperties": False,
        "properties": {
            "index": {"const": 0},
            "finish_reason": {"enum": [None, "stop"] if chunk else ["stop"]}, "logprobs": {"type": "null"}, **content,
        },
    }  # fmt: skip
    return {
        "type": "object", "additionalProperties": False,
        "required": ["id", "object", "created", "model", "choices", *([] if chunk else ["usage", "memory"])],
        "properties": {
            "id": {"type": "string"}, "object": {"const": kind}, "created": {"type": "integer"}, "model": {"type": "string"},
            "choices": {"type": "array", "items": choice, "maxItems": 1}, "usage": {"anyOf": [USAGE, {"type": "null"}]}, "memory": MEMORY,
        },
    }  # fmt: skip


MESSAGE = {
    "message": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"const": "assistant"}, "content": {"type": "string"}},
    }
}
ERROR = {
    "type": "object", "required": ["error"], "additionalProperties": False,
    "properties": {
        "error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {"message": {"type": "string"}}}
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def minds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minds]:
    """One mind called alice, taught its name."""
    found = Minds(tmp_path_factory.mktemp("api") / "minds")
    found.create("alice", "qor", MindConfig(auto_sleep=False)).teach("My name is Alice.")
    yield found
    found.close()


@pytest.fixture
def client(minds: Minds) -> TestClient:
    app = FastAPI()
    app.mount("/v1", create_api(minds))
    return TestClient(app, base_url="http://127.0.0.1")


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "alice",
        "messages": [{"role": "system", "content": "be nice"}, {"role": "user", "content": text}],
        **more,
    }


def test_the_openai_package_can_talk_with_a_mind(client: TestClient) -> None:
    """Models, a chat, a streamed chat and a completion, by the package itself."""
    api = openai.OpenAI(api_key="anything", base_url="http://127.0.0.1/v1", http_client=client)
    assert [model.id for model in api.models.list()] == ["alice"]
    assert api.models.retrieve("alice").owned_by == "qor-lab"
    messages: Any = [{"role": "user", "content": "What is my name?"}]
    reply = api.chat.completions.create(model="alice", messages=messages)
    assert reply.choices[0].message.content == "Alice"
    assert reply.model_extra is not None and reply.model_extra["memory"]["source"] in ("STM", "LTM")
    chunks = list(
        api.chat.completions.create(
            model="alice", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Alice"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage is not None
    assert api.completions.create(model="alice", prompt="What is my name?").choices[0].text == "Alice"
    with pytest.raises(openai.NotFoundError, match="there is alice"):
        api.chat.completions.create(model="bob", messages=messages)


def test_every_answer_fits_the_schema(client: TestClient) -> None:
    """Whole and in chunks, chat and completion."""
    validate(
        client.post("/v1/chat/completions", json=ask("What is my name?")).json(), schema("chat.completion", MESSAGE)
    )
    text = {"text": {"type": "string"}}
    validate(
        client.post("/v1/completions", json={"model": "alice", "prompt": "hello"}).json(),
        schema("text_completion", text),
    )
    for path, kind, body, content in (
        ("chat/completions", "chat.completion.chunk", ask("What is my name?"), {"delta": {"type": "object"}}),
        ("completions", "text_completion", {"model": "alice", "prompt": "What is my name?"}, text),
    ):
        reply = client.post(f"/v1/{path}", json={**body, "stream": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        events = [json.loads(line) for line in lines]
        for event in events:
            validate(event, schema(kind, content, chunk=True))
        finishes = [event["choices"][0]["finish_reason"] for event in events]
        assert finishes[-1] == "stop" and set(finishes[:-1]) == {None}
        assert "memory" in events[-1]


def test_a_mind_can_be_taught_through_the_interface(client: TestClient, minds: Minds) -> None:
    """A statement is stored; the memory block says where."""
    reply = client.post("/v1/chat/completions", json=ask("I live in Oslo.", mode="teach")).json()
    assert reply["memory"]["source"] == "taught" and reply["memory"]["traces"][0]["text"] == "I live in Oslo."
    assert any(trace.text == "I live in Oslo." for trace in minds.get("alice").traces())


def test_parts_of_a_message_that_are_not_text_are_passed_over(client: TestClient) -> None:
    body = ask("")
    body["messages"][-1]["content"] = [
        {"type": "text", "text": "What is my name?"},
        {"type": "image_url", "image_url": {"url": "x"}},
    ]
    body["unknown_field"] = 1
    assert client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"] == "Alice"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("chat/completions", ask(""), 400, "got nothing"),
        ("chat/completions", ask("x" * 100_000), 400, "at most"),
        ("chat/completions", {"model": "alice", "messages": []}, 400, "messages"),
        ("chat/completions", {"model": "alice", "messages": [{"role": "assistant", "content": "hi"}]}, 400, "role user"),
        ("chat/completions", {"model": "nobody", "messages": [{"role": "user", "content": "hi"}]}, 404, "must be a mind"),
        ("chat/completions", ask("hi", n=3), 400, "n must be 1"),
        ("chat/completions", ask("hi", memory="all"), 400, "memory"),
        ("chat/completions", {}, 400, "model"),
        ("completions", {"model": "alice", "prompt": ["a", "b"]}, 400, "one text"),
        ("embeddings", {"model": "alice", "input": "a"}, 404, "no POST"),
    ],
)  # fmt: skip
def test_mistakes_are_errors_in_the_interfaces_own_shape(
    client: TestClient, path: str, body: Any, status: int, words: str
) -> None:
    reply = client.post(f"/v1/{path}", json=body)
    assert reply.status_code == status
    validate(reply.json(), ERROR)
    assert words in reply.json()["error"]["message"]


def test_a_mind_that_another_process_has_is_said(tmp_path: Path) -> None:
    """A locked mind is an error, not a crash."""
    owner, other = Minds(tmp_path / "minds"), Minds(tmp_path / "minds")
    owner.create("bob", "qor")
    app = FastAPI()
    app.mount("/v1", create_api(other))
    reply = TestClient(app).post("/v1/chat/completions", json={**ask("hi"), "model": "bob"})
    assert reply.status_code == 400 and "one process" in reply.json()["error"]["message"]
    owner.close()
