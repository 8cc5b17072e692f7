"""A dataset hub on this machine for tests: one data set of JSON lines, with faults on demand.

`python tests/loopback_hub.py` prints its address and serves until it is killed. Faults, by the count of requests for
the data file: every third is answered with a 500, every fourth drops the connection half-way, every fifth is slow.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, SHA, ROWS = "someone/mini", "0" * 40, 3000
FILE = "".join(
    json.dumps({"text": f"document {i} " + "word " * (i % 40), "id": i}) + "\n" for i in range(ROWS)
).encode()
README = b"---\nlicense: mit\n---\n"


class Hub(BaseHTTPRequestHandler):
    """Answers what `datasets` asks for."""

    protocol_version = "HTTP/1.1"
    faulty = "--faults" in sys.argv
    requests = 0

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == f"/api/datasets/{NAME}" or path.startswith(f"/api/datasets/{NAME}/revision/"):
            files = [{"rfilename": "README.md"}, {"rfilename": "train.jsonl"}]
            self.send(
                200, json.dumps({"id": NAME, "sha": SHA, "siblings": files, "private": False, "tags": []}).encode()
            )
        elif path.startswith(f"/api/datasets/{NAME}/tree/{SHA}"):
            inside = path.rstrip("/").endswith(SHA)
            listing = [
                {"type": "file", "path": "README.md", "size": len(README), "oid": "1" * 40},
                {"type": "file", "path": "train.jsonl", "size": len(FILE), "oid": "2" * 40},
            ]
            self.send(200, json.dumps(listing).encode()) if inside else self.missing()
        elif path == f"/datasets/{NAME}/resolve/{SHA}/README.md" or path == f"/datasets/{NAME}/resolve/main/README.md":
            self.content(README)
        elif path in (f"/datasets/{NAME}/resolve/{SHA}/train.jsonl", f"/datasets/{NAME}/resolve/main/train.jsonl"):
            self.data_file()
        elif path.startswith(f"/datasets/{NAME}/"):
            self.missing()
        else:
            self.send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})

    def data_file(self) -> None:
        """The data file, or a fault."""
        if self.command == "GET" and self.faulty:
            Hub.requests += 1
            if Hub.requests % 3 == 1:
                self.send(500, b"broken on purpose")
                return
            if Hub.requests % 4 == 0:
                self.content(FILE, stop_at=len(FILE) // 3)
                return
            if Hub.requests % 5 == 0:
                time.sleep(0.5)
        self.content(FILE)

    def content(self, body: bytes, stop_at: int | None = None) -> None:
        """A file, whole or a range of it; with `stop_at` the connection drops after so many bytes."""
        headers = {"ETag": f'"{len(body)}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(body)}"
            self.send(206, body[begin : end + 1], headers, stop_at)
        else:
            self.send(200, body, headers, stop_at)

    def missing(self) -> None:
        self.send(404, b'{"error": "Entry not found"}', {"X-Error-Code": "EntryNotFound"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None, stop_at: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:stop_at])
        if stop_at is not None:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        print(self.command, self.path, *arguments[1:], file=sys.stderr, flush=True)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
