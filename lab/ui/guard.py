"""What stands before the page and /v1: where a request comes from, the key (QOR_LAB_KEY), how large and slow it may be.

Plain ASGI, which leaves answers that stream alone. With a key every request needs it, as a Bearer token or as the
session cookie that /login gives for it: a digest that is worth nothing to another process. /logout ends all sessions.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import secrets
import tempfile
from html import escape
from pathlib import Path
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.disk import explain_disk

UPLOAD = "/gradio_api/upload"  # has a limit of its own
LARGEST_BODY = 2**20
WAIT_S = 10.0  # for a whole body
WRONG_S = 0.3  # what a wrong key costs
COOKIE = "lab_session"
LOGIN = Path(__file__).with_name("login.html")


class Guard:
    """Middleware before `app`; without a key whoever is on this machine may pass."""

    def __init__(self, app: ASGIApp, key: str = "") -> None:
        self._app, self._key, self._secret = app, key.strip().encode(), secrets.token_bytes(32)
        self._one_guess = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app, hear = self._app, receive
        if scope["type"] != "lifespan":
            asked = HTTPConnection(scope)
            try:
                app = await self._admit(asked, receive)
                if app is self._app and scope["path"] == UPLOAD:
                    hear = _patient(receive)
                elif app is self._app and scope["type"] == "http":
                    read: list[Message] = [{"type": "http.request", "body": await _read(receive)}]

                    async def hear() -> Message:
                        return read.pop() if read else await receive()

            except HTTPException as error:
                page = error.status_code == 401 and "text/html" in asked.headers.get("accept", "")
                app = _login_page(401) if page and scope.get("method") == "GET" else _refusal(error)
        await app(scope, hear, send)

    async def _admit(self, asked: HTTPConnection, receive: Receive) -> ASGIApp:
        """Give what answers: the application, or what logs in and out. Raises HTTPException."""
        method, path = asked.scope.get("method"), asked.scope["path"]
        origin = asked.headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != asked.headers.get("host")
        if foreign and method not in ("GET", "HEAD", "OPTIONS"):
            raise HTTPException(403, f"requests must come from this page; got one from {origin}.")
        if any(character < " " for character in path):
            raise HTTPException(404, "an address must have no control characters; got some.")
        if not self._key:
            return self._app
        if path == "/login" and method in ("GET", "POST"):
            return _login_page(200) if method == "GET" else await self._log_in(asked, receive)
        scheme, _, given = asked.headers.get("authorization", "").encode("latin-1").partition(b" ")
        bearer = given.strip() if scheme.lower() == b"bearer" else b""
        session = hmac.compare_digest(asked.cookies.get(COOKIE, "").encode(), self._session())
        if not session and not hmac.compare_digest(bearer, self._key):
            if bearer:
                await self._wrong()
            raise HTTPException(401, "the key must be the lab's; got another or none. Send it as a Bearer token.")
        if path != "/logout":
            return self._app
        self._secret = secrets.token_bytes(32)
        return RedirectResponse("/login", 303)

    async def _log_in(self, asked: HTTPConnection, receive: Receive) -> Response:
        given = parse_qs((await _read(receive)).decode("utf-8", "replace")).get("key", [""])[0]
        if not hmac.compare_digest(given.strip().encode(), self._key):
            await self._wrong()
            return _login_page(401, "The key must be the lab's; that was another. It is what QOR_LAB_KEY was set to.")
        answer = RedirectResponse("/", 303)
        session, secure = self._session().decode(), asked.scope["scheme"] == "https"
        answer.set_cookie(COOKIE, session, httponly=True, samesite="strict", secure=secure)
        return answer

    async def _wrong(self) -> None:
        """Let a wrong key wait until those before it have."""
        async with self._one_guess:
            await asyncio.sleep(WRONG_S)

    def _session(self) -> bytes:
        return hmac.new(self._secret, self._key, "sha256").hexdigest().encode()


async def explain_os_error(_: object, error: Exception) -> Response:
    """Answer where the system says no to the page: 507 for a full disk, 404 for a name that no file can have."""
    if isinstance(error, OSError) and (full := explain_disk(error, Path(tempfile.gettempdir()))):
        return _refusal(HTTPException(507, full))
    if isinstance(error, OSError) and error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
        raise error
    return _refusal(HTTPException(404, "an address must be one that something can have; this is not."))


def _refusal(error: HTTPException) -> Response:
    status, kind = error.status_code, "invalid_request_error" if error.status_code < 500 else "server_error"
    code = {401: "invalid_api_key", 404: "unknown_url"}.get(status)
    told = {"message": error.detail, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": told}, status, {"WWW-Authenticate": "Bearer"} if status == 401 else None)


def _login_page(status: int, message: str = "") -> Response:
    page = LOGIN.read_text(encoding="utf-8").replace("MESSAGE", escape(message))
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def _patient(receive: Receive) -> Receive:
    """Receive a body that may be long but whose pieces must come. That raises HTTPException for a piece that does not."""
    more = True

    async def hear() -> Message:
        nonlocal more
        try:
            async with asyncio.timeout(WAIT_S if more else None):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"a file must go on within {WAIT_S:.0f} s; it stopped. Send it again.") from error
        more = message.get("more_body", False)
        return message

    return hear


async def _read(receive: Receive) -> bytes:
    """Give a whole body. Raises HTTPException for a large, slow or torn one."""
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(WAIT_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise HTTPException(400, "a request must be whole; it broke off.")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_BODY:
                    raise HTTPException(413, f"a request must be at most {LARGEST_BODY:,} bytes; got more. Send less.")
    except TimeoutError as error:
        raise HTTPException(408, f"a request must arrive within {WAIT_S:.0f} s; a part did. Send it again.") from error
    return bytes(body)
