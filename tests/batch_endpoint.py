"""A real HTTP server on loopback that speaks files and batches, and answers each line of a batch as it answers an
ordinary request. A test says how batches end, and what is wrong with them.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from tests.conftest import write_dataset
from tests.files import rows

Body = dict[str, Any]
Reply = tuple[int, Body]
_STEPS = ("validating", "in_progress", "finalizing", "completed")


def good(body: Body) -> Reply:
    """A completion that depends on what was asked and on nothing else."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    text = f"It follows from {len(asked)} letters, the last of which says: {asked[-40:]}"
    choice = {"index": 0, "finish_reason": "stop"}
    choice |= {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    return 200, {"id": "1", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


@dataclass(kw_only=True)
class Ending:
    """How a batch ends: its status, and of how many requests anything came (None: of all)."""

    status: str = "completed"
    worked_on: int | None = None
    errors: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Batch:
    id: str
    input_file: str
    path: str
    metadata: Body
    step: int = 0
    ending: Ending | None = None
    output: str | None = None
    error: str | None = None
    requests: list[Body] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.ending.status if self.ending else _STEPS[self.step]

    def shown(self) -> Body:
        done = len(self.requests) if self.ending else 0
        errors = (
            [{"code": "bad", "message": message, "line": 1} for message in self.ending.errors] if self.ending else []
        )
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.path,
            "status": self.status,
            "input_file_id": self.input_file,
            "output_file_id": self.output,
            "error_file_id": self.error,
            "metadata": self.metadata,
            "errors": {"object": "list", "data": errors} if errors else None,
            "request_counts": {"total": len(self.requests), "completed": done, "failed": 0},
        }


@dataclass
class BatchServer:
    """What it does, and what it saw. `held` batches stay in progress. `trouble` may answer in place of the server:
    None leaves it to it, a status is an empty answer, "cut" breaks the connection. `arriving` runs before a batch is
    registered, `registered` after that and before the answer."""

    url: str = ""
    answer: Callable[[Body], Reply] = good
    ending: Callable[[Batch], Ending] = lambda _batch: Ending()
    lines: Callable[[list[bytes]], list[bytes]] = lambda lines: random.Random(7).sample(lines, len(lines))
    trouble: Callable[[str, str], int | str | None] = lambda _method, _path: None
    arriving: Callable[[], object] = lambda: None
    registered: Callable[[], object] = lambda: None
    held: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    asked: list[Body] = field(default_factory=list)
    """Bodies of ordinary requests."""

    calls: list[str] = field(default_factory=list)
    """Method and path of every call."""

    keys: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def requests(self) -> list[Body]:
        """Every line of every batch."""
        return [request for batch in self.batches.values() for request in batch.requests]

    def keep(self, content: bytes) -> str:
        name = f"file-{next(self._numbers)}"
        self.files[name] = content
        return name

    def create(self, body: Body) -> Batch:
        requests = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {request["url"] for request in requests} == {body["endpoint"]}
        assert body["completion_window"] == "24h"
        batch = Batch(
            id=f"batch_{next(self._numbers)}",
            input_file=body["input_file_id"],
            path=body["endpoint"],
            metadata=body["metadata"],
            requests=requests,
        )
        self.batches[batch.id] = batch
        return batch

    def look(self, batch: Batch) -> Body:
        """Each look takes a batch a step further."""
        with self.lock:
            if batch.ending is None:
                batch.step = min(batch.step + 1, 1 if self.held else len(_STEPS) - 1)
                if _STEPS[batch.step] == "completed":
                    self._end(batch)
        return batch.shown()

    def _end(self, batch: Batch) -> None:
        ending = self.ending(batch)
        if ending.status == "failed":
            batch.ending = ending
            return
        output, errors = [], []
        for number, request in enumerate(batch.requests):
            if ending.worked_on is not None and number >= ending.worked_on:
                expired = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append({"id": "r", "custom_id": request["custom_id"], "response": None, "error": expired})
                continue
            status, body = self.answer(request["body"])
            response = {"status_code": status, "request_id": "q", "body": body}
            line = {"id": "r", "custom_id": request["custom_id"], "response": response, "error": None}
            (output if status == 200 else errors).append(line)
        batch.output = self._written(output, self.lines)
        batch.error = self._written(errors, lambda lines: lines)
        batch.ending = ending

    def _written(self, lines: list[Body], edit: Callable[[list[bytes]], list[bytes]]) -> str | None:
        return self.keep(b"\n".join(edit([json.dumps(line).encode() for line in lines])) + b"\n") if lines else None

    def page(self, after: str | None) -> Body:
        """Two batches, the newest first."""
        names = list(reversed(self.batches))
        names = names[names.index(after) + 1 :] if after else names
        shown = [self.batches[name].shown() for name in names[:2]]
        return {"object": "list", "data": shown, "has_more": len(names) > 2}


@contextmanager
def serving_batches(**settings: Any) -> Iterator[BatchServer]:
    server = BatchServer(**settings)

    class Handler(_Handler):
        batches = server

    class Http(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    http = Http(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    batches: BatchServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            self._handle(b"")

    def do_POST(self) -> None:
        with suppress(ConnectionError):
            self._handle(self.rfile.read(int(self.headers["content-length"])))

    def _handle(self, content: bytes) -> None:
        server, (path, _, query) = self.batches, self.path.removeprefix("/v1").partition("?")
        with server.lock:
            server.calls.append(f"{self.command} {path}")
            server.keys.add(self.headers.get("authorization", ""))
        trouble = server.trouble(self.command, path)
        if trouble == "cut":
            self.close_connection = True
        elif isinstance(trouble, int):
            self._send(trouble, {"error": {"message": f"trouble with {self.headers.get('authorization')}"}})
        elif path == "/files":
            self._send(200, {"id": server.keep(_uploaded(self.headers["content-type"], content)), "object": "file"})
        elif path == "/batches" and self.command == "POST":
            server.arriving()
            with server.lock:
                batch = server.create(json.loads(content))
            server.registered()
            self._send(200, batch.shown())
        elif path == "/batches":
            after = re.search(r"after=([^&]*)", query)
            self._send(200, server.page(after[1] if after else None))
        elif path.startswith("/batches/") and path.split("/")[2] in server.batches:
            self._send(200, server.look(server.batches[path.split("/")[2]]))
        elif path.endswith("/content") and path.split("/")[2] in server.files:
            self._send(200, server.files[path.split("/")[2]])
        elif path in ("/chat/completions", "/completions"):
            body = json.loads(content)
            with server.lock:
                server.asked.append(body)
            self._send(*server.answer(body))
        else:
            self._send(404, {"error": {"message": "no such thing"}})

    def _send(self, status: int, content: bytes | Body) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a killed client
            super().handle()

    def log_message(self, *_arguments: object) -> None:
        """Nothing on the terminal."""


def _uploaded(kind: str, content: bytes) -> bytes:
    """The file of a multipart upload, whose purpose must be a batch."""
    form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
    assert parts["purpose"].get_payload() == "batch"
    file = parts["file"].get_payload(decode=True)
    assert isinstance(file, bytes)
    return file


KEY = "sk-this-is-a-secret-0123456789"
BATCH = ("elicit", "--teacher", "gpt", "--dataset", "toy", "--icl", "0", "--batch")
ORDINARY = BATCH[:-1]


def configure(folder: Path, url: str, *, questions: int = 0, **settings: object) -> None:
    """tinyllm.toml with the hosted teacher `gpt`, and as many questions in the data set `toy`."""
    table = {"backend": "openai", "model": "m", "base_url": url, "batch_poll": 0.02, **settings}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
    (folder / "tinyllm.toml").write_text(f"[teachers.gpt]\n{lines}", encoding="utf-8")
    if questions:
        write_dataset(folder / "toy", train=questions)


def settled(folder: Path, wanted: int) -> None:
    """Each of `wanted` questions has one rationale, and nobody waits for anything."""
    assert rows(folder, "SELECT count(*), count(DISTINCT question) FROM rationales") == [(wanted, wanted)]
    assert rows(folder, "SELECT count(*) FROM claims") == [(0,)]
    assert rows(folder, "SELECT count(*) FROM batches WHERE finished IS NULL") == [(0,)]
    assert rows(folder, "SELECT count(*) FROM elicitations WHERE state = 'running'") == [(0,)]


def result_of(done: Any) -> dict[str, Any]:
    """What the command says of its one teacher, as JSON."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["teachers"][0]
    assert isinstance(found, dict)
    return found
