"""A hub on this machine: answers huggingface_hub as the real one does, and misbehaves on demand.

Large files (here: safetensors and parquet) carry their sha256, others git's hash; a file is found through a
redirect, as on the hub; ranges are honoured.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 34
_LARGE = (".safetensors", ".parquet", ".bin", ".tar")


@dataclass
class Request:
    """A request as it came in."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """What the server has and how it behaves.

    repositories: "models/<id>" or "datasets/<id>" -> path -> bytes. gated: need TOKEN; refused: even TOKEN
    does not open them; absent: files that are listed and not there. By file name: statuses (or "api"): of its
    next answers; cut: lengths after which the connection is closed, one an answer; altered: bytes sent
    instead, unknown to the listing; hang: seconds to wait in its middle.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    altered: dict[str, bytes] = field(default_factory=dict)
    hang: dict[str, list[float]] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    commit: str = COMMIT
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def add(self, repository: str, folder: Path) -> None:
        """Serve the files of a folder as a repository."""
        files = [path for path in folder.rglob("*") if path.is_file()]
        self.repositories[repository] = {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file, in order; None: the whole."""
        return [r.range for r in self.requests if r.path.startswith("/cdn/") and r.path.endswith(f"/{name}")]


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """The hub, at `hub.url` on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            try:
                answer(hub, self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def answer(hub: Hub, handler: BaseHTTPRequestHandler) -> None:
    path = unquote(urlsplit(handler.path).path)
    token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ") or None
    hub.requests.append(Request(handler.command, path, handler.headers.get("Range"), token))
    if path.startswith("/cdn/"):
        _content(hub, handler, path)
        return
    kind, repository, rest = _parsed(hub, path)
    if not _allowed(hub, handler, f"{kind}/{repository}", token):
        return
    files = hub.repositories.get(f"{kind}/{repository}")
    waiting = hub.statuses.get("api", [])
    if files is None:
        _error(handler, 404, "RepoNotFound")
    elif rest and rest[0] == "revision" and rest[1] not in ("main", hub.commit):
        _error(handler, 404, "RevisionNotFound")
    elif rest and rest[0] in ("revision", "tree") and waiting:
        _error(handler, waiting.pop(0))
    elif rest and rest[0] == "revision":
        _json(handler, {"id": repository, "sha": hub.commit, "siblings": [{"rfilename": f} for f in files]})
    elif rest and rest[0] == "tree":
        _json(handler, [_listed(name, data) for name, data in sorted(files.items())])
    elif rest and rest[0] == "resolve" and (name := "/".join(rest[2:])) in files and name not in hub.absent:
        _headers(handler, 302, {"Location": f"/cdn/{kind}/{repository}/{name}", "X-Repo-Commit": hub.commit})
    else:
        _error(handler, 404, "EntryNotFound")


def _parsed(hub: Hub, path: str) -> tuple[str, str, list[str]]:
    """models or datasets, repository, what follows."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        return parts[1], "/".join(parts[2:4]), parts[4:]
    kind = "datasets" if parts[0] == "datasets" else "models"
    parts = parts[1:] if kind == "datasets" else parts
    return kind, "/".join(parts[:2]), parts[2:]


def _allowed(hub: Hub, handler: BaseHTTPRequestHandler, repository: str, token: str | None) -> bool:
    if token is not None and token != TOKEN:
        _error(handler, 401, None, "Invalid credentials in Authorization header")
    elif repository in hub.gated and token is None:
        _error(handler, 401, "GatedRepo")
    elif repository in hub.refused:
        _error(handler, 403, "GatedRepo")
    else:
        return True
    return False


def _listed(name: str, data: bytes) -> dict[str, Any]:
    if name.endswith(_LARGE):
        oid = hashlib.sha256(data).hexdigest()
        extra = {"lfs": {"oid": oid, "size": len(data), "pointerSize": 130}}
    else:
        extra = {}
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    return {"type": "file", "path": name, "size": len(data), "oid": blob, **extra}


def _content(hub: Hub, handler: BaseHTTPRequestHandler, path: str) -> None:
    """The bytes of a file, or of its rest, as the hub's storage sends them."""
    _, kind, owner, repository, *rest = path.strip("/").split("/")
    name = "/".join(rest)
    if hub.statuses.get(name):
        _error(handler, hub.statuses[name].pop(0))
        return
    data = hub.altered.get(name, hub.repositories[f"{kind}/{owner}/{repository}"][name])
    start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
    extra = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
    body = data[start:]
    _headers(handler, 206 if start else 200, {"Content-Length": str(len(body)), **extra}, end=False)
    handler.end_headers()
    if handler.command == "HEAD":
        return
    if hub.hang.get(name):
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        time.sleep(hub.hang[name].pop(0))
        body = body[len(body) // 2 :]
    if hub.cut.get(name):
        handler.wfile.write(body[: hub.cut[name].pop(0)])
        handler.wfile.flush()
        handler.close_connection = True
        return
    handler.wfile.write(body)


def _json(handler: BaseHTTPRequestHandler, value: Any) -> None:
    body = json.dumps(value).encode()
    _headers(handler, 200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, end=False)
    handler.end_headers()
    handler.wfile.write(body)


def _error(
    handler: BaseHTTPRequestHandler, status: int, code: str | None = None, message: str | None = None
) -> None:
    named = {"X-Error-Code": code, "X-Error-Message": message}
    _headers(handler, status, {key: value for key, value in named.items() if value})


def _headers(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], end: bool = True) -> None:
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key, value)
    if end:
        handler.send_header("Content-Length", "0")
        handler.end_headers()
