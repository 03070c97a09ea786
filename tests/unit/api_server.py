"""A local server that answers as OpenAI's API does, and misbehaves on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-4f9a2c7d1e8b"
COMPLETIONS = "/v1/chat/completions"
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@dataclass
class Response:
    """What the server does with one request: waits, then sends the status, headers and body, perhaps cut."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut_after: int | None = None  # bytes of the body, then the connection is closed


def layers_asked(body: dict[str, Any]) -> list[int]:
    text = body["messages"][0]["content"][0]["text"]
    return [int(layer) for layer in re.search(r"Score these layers: ([\d, ]+)\.", text)[1].split(", ")]


def entry(layer: int, **changed: object) -> dict[str, object]:
    """Scores that rise with the layer."""
    level = (1, 3, 5)[min(layer, 2)]
    levels = dict.fromkeys(("entities", "specificity", "information", "correspondence"), level)
    return {"layer": layer, **levels, **changed}


def answer(body: dict[str, Any], **changed: object) -> str:
    return json.dumps({"layers": [entry(layer, **changed) for layer in layers_asked(body)]})


def completion(content: str | None, finish_reason: str = "stop", refusal: str | None = None) -> str:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "judge-2024-08-06"}
    return json.dumps({**head, "choices": [choice], "usage": TOKENS})


def error(status: int, message: str, code: str | None = None, **headers: str) -> Response:
    fault = {"message": message, "type": "an_error", "param": None, "code": code}
    return Response(status, json.dumps({"error": fault}), headers)


Planned = Response | Callable[[dict[str, Any]], Response]


class Api:
    """plan: what to do with the next completions, in order; then they are answered well, as `answer` does."""

    def __init__(self, answer: Callable[[dict[str, Any]], str] = answer) -> None:
        self.answer = answer
        self.plan: deque[Planned] = deque()
        self.bodies: list[dict[str, Any]] = []  # of completions
        self.times: list[float] = []
        self.under_way = self.most_under_way = 0
        self.pause = 0.0
        self.batches: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self.on_batch: Callable[[Api, dict[str, Any]], None] = finish_batch
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def complete(self, body: dict[str, Any]) -> Response:
        with self.lock:
            self.bodies.append(body)
            self.times.append(time.monotonic())
            planned = self.plan.popleft() if self.plan else Response(body=completion(self.answer(body)))
        return planned(body) if callable(planned) else planned

    def post(self, path: str, raw: bytes) -> Response:
        if path == COMPLETIONS:
            return self.complete(json.loads(raw))
        if path == "/v1/files":
            name = f"file-{len(self.files)}"
            self.files[name] = "\n".join(re.findall(r'^\{"custom_id".*$', raw.decode(), re.MULTILINE))
            return Response(body=json.dumps({"id": name, "object": "file", "purpose": "batch"}))
        assert path == "/v1/batches", path
        request = json.loads(raw)
        name = f"batch_{len(self.batches)}"
        head = {"id": name, "object": "batch", "status": "in_progress", "created_at": 1}
        self.batches[name] = {**head, **request}
        return Response(body=json.dumps(self.batches[name]))

    def get(self, path: str) -> Response:
        if path.startswith("/v1/files/"):
            return Response(body=self.files[path.split("/")[3]])
        if path.startswith("/v1/batches/"):
            batch = self.batches.get(path.split("/")[3])
            if batch is None:
                return error(404, "No batch found")
            self.on_batch(self, batch)
            return Response(body=json.dumps(batch))
        assert path.startswith("/v1/batches?"), path
        listed = {"object": "list", "data": list(self.batches.values()), "has_more": False}
        return Response(body=json.dumps(listed))


def finish_batch(
    api: Api, batch: dict[str, Any], status: str = "completed", answered: int | None = None
) -> None:
    """Answer the first `answered` calls of a batch (all), let the rest expire."""
    if batch["status"] != "in_progress":
        return
    calls = [json.loads(line) for line in api.files[batch["input_file_id"]].split("\n")]
    answered = len(calls) if answered is None else answered
    outputs, errors = [], []
    for number, call in enumerate(calls):
        if number < answered:
            planned = api.complete(call["body"])
            response = {"status_code": planned.status, "request_id": "r", "body": json.loads(planned.body)}
            outputs.append({"id": "b", "custom_id": call["custom_id"], "response": response, "error": None})
        else:
            fault = {"code": "batch_expired", "message": "This request could not be executed in time."}
            errors.append({"id": "b", "custom_id": call["custom_id"], "response": None, "error": fault})
    for name, lines in (("output_file_id", outputs), ("error_file_id", errors)):
        if lines:
            batch[name] = f"file-{len(api.files)}"
            # Results come in any order.
            api.files[batch[name]] = "\n".join(json.dumps(line) for line in reversed(lines)) + "\n"
    batch["status"] = status


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self._respond(lambda: api.post(self.path, raw))

        def do_GET(self) -> None:
            self._respond(lambda: api.get(self.path))

        def _respond(self, act: Callable[[], Response]) -> None:
            with api.lock:
                api.under_way += 1
                api.most_under_way = max(api.most_under_way, api.under_way)
            time.sleep(api.pause)
            response = act()
            if self.headers["Authorization"] != f"Bearer {KEY}":
                given = self.headers["Authorization"].removeprefix("Bearer ")
                response = error(
                    401, f"Incorrect API key provided: {given}. You can find it at ...", "invalid_api_key"
                )
            time.sleep(response.wait)
            with api.lock:
                api.under_way -= 1
            data = response.body.encode()
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: response.cut_after])
            if response.cut_after is not None:
                self.close_connection = True

        def log_message(self, *args: object) -> None: ...

    return Handler
