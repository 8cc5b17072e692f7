"""Who may do what: the key, limits of requests, files for their owner alone, and sentences where the system says no."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from fastapi.testclient import TestClient
from jsonschema import validate
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send

from lab import models
from lab.api import create_api
from lab.config import ConfigError, MindConfig
from lab.config.brains.qor import QORConfig
from lab.disk import DiskFullError, explain_disk, write_durably
from lab.jobs import nights
from lab.mind import Minds
from lab.models import build
from lab.models.checkpoint import load_brain, save_brain
from lab.store import RunStore
from lab.ui import guard
from lab.ui.guard import COOKIE, LARGEST_BODY, Guard
from lab.ui.shell import create_app
from tests.conftest import wait_until
from tests.test_api import ERROR

ROOT = Path(__file__).parents[1]
KEY = "swordfish ü"
TINY = QORConfig(width=16, layers=1, heads=2)
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole application with a key."""
    return create_app(RunStore(tmp_path_factory.mktemp("runs")), create_api, KEY)


@pytest.fixture
def client(app: Any, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(guard, "WRONG_S", 0.0)
    return TestClient(app, base_url="http://127.0.0.1:7860", follow_redirects=False)


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    """A tiny brain in a folder."""
    save_brain(tmp_path / "brain", "qor", build("qor", TINY))
    return tmp_path / "brain"


def bearer(key: str = KEY, scheme: str = "Bearer") -> dict[bytes, bytes]:
    return {b"Authorization": f"{scheme} {key}".encode()}


def addresses(routes: list[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Method and address of everything that routes answer, with x for what they leave open."""
    for route in routes:
        place = before + getattr(route, "path", "")
        inner = getattr(route, "original_router", route)
        if inner is not route or not getattr(route, "methods", None):
            yield from addresses(getattr(inner, "routes", None) or [], place)
        for method in getattr(route, "methods", None) or ():
            yield method, re.sub(r"{[^}]*}", "x", place) or "/"


# ---- the key ---------------------------------------------------------------------------------------------------


def test_with_a_key_nothing_answers_without_it(app: Any, client: TestClient) -> None:
    """Every address there is: the page, its functions, files and uploads, and /v1; only /login is open."""
    known = set(addresses(app.routes))
    names = {place for _, place in known}
    assert len(names) > 60 and {"/gradio_api/upload", "/gradio_api/run/x", "/v1/chat/completions"} <= names
    for method, place in sorted(known):
        status = client.request(method, place).status_code
        if place != "/login" or method not in ("GET", "POST"):
            assert status == 401, f"{method} {place} answers {status}"
    for place in (
        "/file=x",
        "/gradio_api/file=/etc/passwd",
        "/nowhere",
        "/v1",
        "//",
        "/login/",
        "/gradio_api/run/open_notebook",
    ):
        assert client.get(place).status_code == client.post(place, json={"data": []}).status_code == 401
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("ws://127.0.0.1:7860/queue/join"):
        pass
    assert refused.value.status_code == 401
    assert client.get("/login").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_key_as_a_bearer_token_opens_everything(client: TestClient, scheme: str) -> None:
    """In whatever case the scheme is written."""
    for place in ("/", "/config", "/v1/models", "/lab/plotly.min.js"):
        assert client.get(place, headers=bearer(scheme=scheme)).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        bearer("wrong"),
        bearer(""),
        bearer(KEY + "x"),
        bearer(KEY[:-1]),
        bearer(scheme="Basic"),
        {"Cookie": f"{COOKIE}=x"},
    ],
)
def test_another_key_opens_nothing(client: TestClient, given: Any) -> None:
    """The answer has the shape that clients of /v1 know."""
    refused = client.get("/v1/models", headers=given)
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    validate(refused.json(), ERROR)
    assert refused.json()["error"]["code"] == "invalid_api_key" and "Bearer" in refused.json()["error"]["message"]


def test_a_browser_logs_in_with_one_field_and_out_again(app: Any, client: TestClient) -> None:
    """The cookie is for this site alone, no script reads it, it does not hold the key, and it is worth nothing afterwards."""
    page = client.get("/", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 401 and page.text.count("<input") == 1 and "<script" not in page.text
    wrong = client.post("/login", data={"key": "wrong"})
    assert wrong.status_code == 401 and "that was another" in wrong.text and COOKIE not in wrong.cookies
    right = client.post("/login", data={"key": KEY})
    assert right.status_code == 303 and right.headers["location"] == "/"
    cookie = right.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/")) and KEY.split()[0] not in cookie
    session = {"Cookie": f"{COOKIE}={right.cookies[COOKIE]}"}
    assert client.get("/").status_code == 200 and client.post("/gradio_api/run/nothing").status_code != 401
    other = TestClient(Guard(app, KEY), base_url="http://127.0.0.1:7860")  # as after a new start
    assert other.get("/config", headers=session).status_code == 401
    assert client.get("/logout").status_code == 303
    client.cookies.clear()
    assert client.get("/config", headers=session).status_code == 401


def test_a_page_from_elsewhere_may_not_log_in(client: TestClient) -> None:
    """Not even with the key."""
    answer = client.post("/login", data={"key": KEY}, headers={"Origin": "http://evil.com"})
    assert answer.status_code == 403 and COOKIE not in answer.cookies


@pytest.mark.parametrize("key", ["", "  "])
def test_without_a_key_the_lab_is_open(store: RunStore, key: str) -> None:
    """As it was: the page and /v1, whatever token is sent."""
    client = TestClient(create_app(store, create_api, key), base_url="http://127.0.0.1:7860")
    assert client.get("/").status_code == 200 and "Log out" not in client.get("/").text
    assert client.get("/v1/models", headers=bearer("any")).status_code == 200


# ---- requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/gradio_api/queue/join", "/gradio_api/run/x", "/login"])
def test_a_body_over_1_mib_is_refused(client: TestClient, path: str) -> None:
    """Whether its length says so or its pieces add up to it."""
    for body in (b"x" * (LARGEST_BODY + 1), (b"x" * 2**16 for _ in range(17))):
        answer = client.post(path, content=body, headers=bearer())
        assert answer.status_code == 413 and "at most 1,048,576" in answer.json()["error"]["message"]
    assert client.post(path, content=b"x" * LARGEST_BODY, headers=bearer()).status_code != 413


def test_a_file_may_be_larger_than_other_bodies(client: TestClient) -> None:
    """Uploads have a limit of their own."""
    answer = client.post("/gradio_api/upload", files={"files": ("a.txt", b"x" * 2 * LARGEST_BODY)}, headers=bearer())
    assert answer.status_code == 200
    Path(answer.json()[0]).unlink()


def test_only_what_was_uploaded_is_taken_for_an_upload(client: TestClient, tmp_path: Path) -> None:
    """A function of the page that is told of another file neither reads it nor lets it be fetched."""
    (tmp_path / "secret.txt").write_text("4711")
    given = {"path": str(tmp_path / "secret.txt"), "meta": {"_type": "gradio.FileData"}}
    for data in (given, [given]):
        answer = client.post("/gradio_api/run/take_upload", json={"data": [data]}, headers=bearer())
        assert answer.status_code == 500 and "not uploaded by a user" in answer.json()["error"]


def test_what_is_exported_comes_through_a_folder_of_our_own(
    brain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page gives out what it made, wherever minds live; their own folders it does not open."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "passing"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "passing"))
    (tmp_path / "passing").mkdir()
    app: Any = create_app(RunStore(tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1:7860")
    minds = Minds(tmp_path / "minds")
    minds.create("alice", str(brain)).teach("My name is Alice.")
    minds.close()
    page = {step.api_name: step for step in app.routes[-1].app.get_blocks().fns.values()}
    chosen = page["write"].inputs[0]
    for name, step in page.items():  # opening its tab fills the list of minds
        if step.inputs == step.outputs == [chosen]:
            client.post(f"/gradio_api/run/{name}", json={"data": [None], "session_hash": "s"})
    written = client.post("/gradio_api/run/write", json={"data": ["alice"], "session_hash": "s"}).json()
    made = written["data"][0]["path"]
    assert made.startswith(str(tmp_path / "passing")) and "Alice" in client.get(f"/gradio_api/file={made}").text
    assert client.get(f"/gradio_api/file={tmp_path}/minds/alice/mind.json").status_code == 403


def through(app: Any, received: list[Message]) -> list[Message]:
    """What `app` sends behind the guard where a client sends `received` and then nothing more."""
    sent: list[Message] = []

    async def receive() -> Message:
        if not received:
            await asyncio.sleep(3600)
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": [], "scheme": "http", "query_string": b""}
    asyncio.run(Guard(app)(scope, receive, send))
    return sent


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Send back what is received."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


@pytest.mark.parametrize(
    ("last", "status"), [({"type": "http.request", "more_body": True}, 408), ({"type": "http.disconnect"}, 400)]
)
def test_a_body_that_does_not_arrive_ends(monkeypatch: pytest.MonkeyPatch, last: Message, status: int) -> None:
    """One that stays away times out; one that breaks off is not taken for whole."""
    monkeypatch.setattr(guard, "WAIT_S", 0.01)
    assert through(echo, [{"type": "http.request", "body": b"{", "more_body": True}, last])[0]["status"] == status


def test_a_body_in_pieces_arrives_whole() -> None:
    """And once."""
    pieces: list[Message] = [{"type": "http.request", "body": bytes([n]), "more_body": n < 9} for n in range(10)]
    assert through(echo, pieces)[-1]["body"] == bytes(range(10))


def test_answers_stream_through_the_guard() -> None:
    """Each piece is sent when it is there, and a client that leaves is heard."""
    seen: list[int] = []
    sent: list[Message] = []

    async def pieces() -> Any:
        for n in range(3):
            seen.append(len(sent))
            yield bytes([n])
            await asyncio.sleep(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            await send(message)
            sent.append(message)

        await StreamingResponse(pieces())(scope, receive, note)

    through(app, [{"type": "http.request", "body": b""}])
    assert seen == [1, 2, 3]

    async def heard(_: Scope, receive: Receive, send: Send) -> None:
        sent[:] = [await receive(), await receive()]

    through(heard, [{"type": "http.request", "body": b"x"}, {"type": "http.disconnect"}])
    assert [message["type"] for message in sent] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(
    "name", ["%00", "x" * 300, "x" * 5000, "a%00b", "x/" * 2500, "%0a", "%ff", "../" * 9 + "etc/passwd"]
)
@pytest.mark.parametrize(
    "place", ["/", "/static/", "/assets/", "/svelte/", "/theme.css/", "/gradio_api/file=", "/gradio_api/proxy=", "/v1/models/"]
)  # fmt: skip
def test_no_address_breaks_the_server(client: TestClient, place: str, name: str) -> None:
    """An absurd one is one that is not there."""
    assert client.get(place + name, headers=bearer()).status_code in (400, 403, 404)


# ---- a full disk -----------------------------------------------------------------------------------------------


def fill(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    """Let a function fail as it does on a full disk."""

    def fail(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(place, name, fail)


def test_a_full_disk_is_a_sentence_wherever_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error itself says it, and there is no half of a file."""
    fill(monkeypatch, os, "fsync")
    with pytest.raises(DiskFullError, match=r"^the disk must have room; .* MiB are free") as told:
        write_durably(tmp_path / "a", b"x")
    assert explain_disk(told.value, tmp_path) == str(told.value) and list(tmp_path.iterdir()) == []


def test_a_mind_for_which_there_is_no_room_says_so(
    brain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is made, opened and exported, and when it is to fall asleep."""
    minds = Minds(tmp_path / "minds")
    mind = minds.create("alice", str(brain), MindConfig(auto_sleep=False))
    for place, name, act in (
        (os, "fsync", lambda: minds.create("bob", str(brain))),
        (Path, "mkdir", lambda: minds.create("bob", str(brain))),
        (os, "fsync", lambda: mind.export_traces(tmp_path / "traces.jsonl")),
        (Path, "mkdir", lambda: nights.start_night(mind)),
    ):
        with monkeypatch.context() as full, pytest.raises(DiskFullError, match="the disk must have room"):
            fill(full, place, name)
            act()
    minds.close()
    with monkeypatch.context() as full, pytest.raises(DiskFullError, match="the disk must have room"):
        fill(full, Path, "write_text")
        minds.get("alice")
    assert minds.get("alice").name == "alice"
    minds.close()


def test_a_night_that_breaks_off_on_a_full_disk_says_so(
    brain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker has kept room for the reason, which the mind finds."""
    minds = Minds(tmp_path / "minds")
    mind = minds.create("alice", str(brain), MindConfig(auto_sleep=False))
    _, _, folder = mind.begin_night()

    def sleep_in(*_: object, **__: object) -> None:
        fill(monkeypatch, os, "fsync")
        write_durably(folder / "weights", b"x")

    monkeypatch.setattr(nights, "sleep_in", sleep_in)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    with monkeypatch.context() as full:
        full.setattr(
            nights, "write_into_reserve", lambda reserve, path, content: reserve.rename(path).write_bytes(content)
        )
        assert nights.work_night(folder) == 2
    (folder / "pid").write_text("0")
    message = nights.night_state(mind)["message"]
    assert "the disk must have room" in message and "Nothing was lost" in message
    minds.close()


def test_an_upload_for_which_there_is_no_room_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not "Internal Server Error"."""
    fill(monkeypatch, sys.modules["gradio.route_utils"], "NamedTemporaryFile")
    answer = client.post("/gradio_api/upload", files={"files": ("a.txt", b"x")}, headers=bearer())
    assert answer.status_code == 507 and "the disk must have room" in answer.json()["error"]["message"]


# ---- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"layers": 64, "width": 4096, "heads": 64, "mlp_ratio": 64.0, "memory_slots": 2**20},
        {"layers": 10**9}, {"width": 32}, {"layers": 2}, {"memory_slots": 16}, {"mlp_ratio": 1e400}, {"heads": 0}, {"unknown": 1},
    ],
)  # fmt: skip
def test_a_brain_that_lies_about_its_size_is_refused_before_it_is_built(
    brain: Path, monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]
) -> None:
    """One sentence, and not one number was made room for."""
    about = json.loads((brain / "model.json").read_text())
    about["config"] |= lie
    (brain / "model.json").write_text(json.dumps(about))
    built: list[torch.nn.Module] = []

    def noted(*words: Any, **options: Any) -> Any:
        built.append(build(*words, **options))
        return built[-1]

    monkeypatch.setattr(models, "build", noted)
    with pytest.raises(ConfigError, match="a brain must be whole"):
        load_brain(brain)
    assert all(weight.is_meta for one in built for weight in one.parameters())


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff" * 8, (10**12).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}", b"\x10" + b"\0" * 7 + b"[" * 16],
)  # fmt: skip
def test_weights_with_an_impossible_header_are_refused(brain: Path, damage: bytes) -> None:
    (brain / "model.safetensors").write_bytes(damage)
    with pytest.raises(ConfigError, match="a brain must be whole"):
        load_brain(brain)


def test_a_mind_is_its_owners_alone(brain: Path, tmp_path: Path) -> None:
    """Folders 0700, weights, settings and memory 0600, also that of one which was open to others."""
    minds = Minds(tmp_path / "minds")
    minds.create("alice", str(brain)).teach("My name is Alice.")
    folder = minds.home / "alice"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert modes["alice"] == modes["brain-0"] == 0o700
    for name in (
        "mind.json",
        "model.json",
        "model.safetensors",
        "memory.sqlite",
        "memory.sqlite-wal",
        "memory.sqlite-shm",
    ):
        assert modes[name] == 0o600, name
    minds.close()
    folder.chmod(0o755)
    (folder / "memory.sqlite").chmod(0o644)
    minds.get("alice")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "memory.sqlite").stat().st_mode) == 0o600
    minds.close()


def test_when_the_lab_is_ended_nothing_of_it_stays(tmp_path: Path) -> None:
    """JupyterLab ends with it, its token was on no command line, and uploads are gone with their folder."""
    surroundings = {
        **os.environ,
        "QOR_LAB_RUNS": str(tmp_path / "runs"),
        "QOR_LAB_KEY": "swordfish",
        "TMPDIR": str(tmp_path),
    }
    lab = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0", "--no-browser"], cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert lab.stdout is not None
    try:
        lines = [lab.stdout.readline() for _ in range(3)]
        url = lines[1].split()[4]
        assert "QOR_LAB_KEY guards everything" in lines[2]

        def post(path: str, content: bytes, kind: str) -> Any:
            headers = {"Authorization": "bearer swordfish", "Content-Type": kind}
            request = urllib.request.Request(f"{url}/gradio_api/{path}", content, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)

        form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nx\r\n--b--\r\n'
        upload = Path(post("upload", form, "multipart/form-data; boundary=b")[0])
        passing = upload.parents[1]
        assert (
            passing.parent == tmp_path and stat.S_IMODE(passing.stat().st_mode) == 0o700 and upload.read_text() == "x"
        )
        link = post("run/open_notebook", b'{"data": []}', "application/json")["data"][0]
        token = re.search(r"token=(\w+)", link)[1]  # type: ignore[index]
        lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        assert lines and not any(token in line for line in lines)
        jupyter = [child for child in psutil.Process(lab.pid).children() if "jupyterlab" in " ".join(child.cmdline())]
        assert len(jupyter) == 1
        lab.send_signal(signal.SIGTERM)
        lab.wait(60)
        wait_until(lambda: not jupyter[0].is_running())
        assert not passing.exists() and lab.returncode == 143
    finally:
        lab.kill()
        lab.wait()
        lab.stdout.close()


def test_nothing_is_fetched_for_whoever_asks(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a file that is an address, nor an address in the place of a file: not even its name is looked up."""
    asked: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *words, **_: asked.append(words[0]) or [])
    client = TestClient(create_app(store, create_api, ""), base_url="http://127.0.0.1:7860")
    page = client.get("/config").json()
    uploads = [
        number
        for number, one in enumerate(page["dependencies"])
        if any(event[1] == "upload" for event in one["targets"])
    ]
    assert len(uploads) >= 3
    file = {"path": "http://example.com/x.csv", "meta": {"_type": "gradio.FileData"}}
    for number in uploads:
        count = len(page["dependencies"][number]["inputs"])
        words = {"data": [file] * count, "fn_index": number, "session_hash": "s"}
        answer = client.post("/gradio_api/run/predict", json=words)
        assert answer.status_code != 200, answer.text
    for address in ("http://example.com/x.png", "https://huggingface.co/x.png"):
        assert client.get(f"/gradio_api/file={address}", follow_redirects=False).status_code in (403, 404, 500)
    assert not [name for name in asked if name not in ("127.0.0.1", "localhost")]


@pytest.mark.parametrize("origin", ["http://[", "http://[x]", "null", "://", "http://elsewhere"])
def test_an_origin_that_is_no_address_is_foreign(client: TestClient, origin: str) -> None:
    assert client.post("/v1/chat/completions", headers={**bearer(), b"Origin": origin.encode()}).status_code == 403


def test_a_file_that_stops_arriving_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be long, but its pieces must come; what follows the last one may take its time."""
    monkeypatch.setattr(guard, "WAIT_S", 0.05)

    async def send(pieces: list[Message]) -> list[Message]:
        async def receive() -> Message:
            if pieces:
                await asyncio.sleep(0.03)
                return pieces.pop(0)
            await asyncio.sleep(0.2)
            return {"type": "http.disconnect"}

        hear = guard._patient(receive)
        return [await hear() for _ in range(len(pieces) + 1)]

    more = {"type": "http.request", "body": b"x", "more_body": True}
    last = {**more, "more_body": False}
    assert len(asyncio.run(send([dict(more), dict(more), dict(last)]))) == 4
    with pytest.raises(HTTPException, match="must go on"):
        asyncio.run(send([dict(more)]))


def test_wrong_keys_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many guesses at once are as slow as one after the other."""
    waiting: list[int] = []

    async def sleep(_: float) -> None:
        waiting.append(guesses.count("begun") - guesses.count("done"))
        guesses.append("begun")
        await plain(0)
        guesses.append("done")

    guesses: list[str] = []
    plain = asyncio.sleep
    monkeypatch.setattr(guard.asyncio, "sleep", sleep)

    async def guess() -> None:
        door = Guard(echo, KEY)
        await asyncio.gather(*(door._wrong() for _ in range(5)))

    asyncio.run(guess())
    assert waiting == [0] * 5
