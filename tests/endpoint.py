"""A real HTTP server on loopback that speaks chat completions, well or badly, as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(kw_only=True)
class Answer:
    """What the server does with a request. `cut` breaks the connection in the middle of the body."""

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    kind: str = "application/json"


Behaviour = Callable[[int, Body], Answer]
"""(number of this request from 0, its body) -> the answer; a body of None means a good completion."""


@dataclass
class Endpoint:
    url: str
    bodies: list[Body]
    keys: set[str]
    most_at_once: int = 0


def completion(text: str | None = "It follows.", *, finish_reason: str = "stop", **message: Any) -> str:
    """The body of a chat completion."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(reply)


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Endpoint]:
    """Serve until the block is done."""
    lock = threading.Lock()
    now = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal now
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(endpoint.bodies)
                endpoint.bodies.append(body)
                endpoint.keys.add(self.headers.get("Authorization", ""))
                now += 1
                endpoint.most_at_once = max(endpoint.most_at_once, now)
            answer = behaviour(number, body)
            time.sleep(answer.delay)
            with lock:
                now -= 1
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            data = (completion() if answer.body is None else answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if answer.cut else data)
            if answer.cut:
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = Endpoint(url=f"http://127.0.0.1:{server.server_port}/v1", bodies=[], keys=set())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
