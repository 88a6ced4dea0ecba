"""A real HTTP server on loopback that speaks chat completions, well or badly, as a test wants.

It runs on an event loop in a thread of its own; a test's `Behaviour` is called there and must not block.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import backends
from backends.base import Completion, Message, Outcome, Request, Sampling
from tests import unit
from tests.conftest import answers

Body = dict[str, Any]
KEY = "sk-this-is-a-secret-0123456789"
SAMPLING = Sampling(max_tokens=50, stop=("\nQuestion:",))
_PIECE = b" " * 65_536


@dataclass(kw_only=True)
class Answer:
    """What the server does with a request, `delay` seconds after it came. `silent` closes the connection without a
    word, `cut` breaks it in the middle of the body, `drip` lets so many seconds pass before each byte of the body,
    `flood` sends so many bytes of blanks for a body, `chunked` doesn't say the body's length."""

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    silent: bool = False
    cut: bool = False
    drip: float = 0.0
    flood: int = 0
    chunked: bool = False
    kind: str = "application/json"


Behaviour = Callable[[int, Body], Answer]
"""(number of this request from 0, its body) -> the answer; a body of None means a good completion."""


@dataclass
class Endpoint:
    """What the server saw. `flooded` is the most bytes of a flood that anybody took (or the system holds)."""

    url: str
    bodies: list[Body] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    flooded: int = 0

    @property
    def port(self) -> int:
        return int(self.url.removesuffix("/v1").rpartition(":")[2])

    def asked(self) -> list[str]:
        """The last message of each request, in the order in which they came."""
        return [body["messages"][-1]["content"] for body in self.bodies]


def completion(
    text: str | None = "It follows.",
    *,
    finish_reason: str = "stop",
    tokens: tuple[int, int] = (100, 10),
    **message: Any,
) -> str:
    """The body of a chat completion. `tokens` are those of the prompt and of the reply."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(reply)


@contextmanager
def serving(behaviour: Behaviour, port: int = 0) -> Iterator[Endpoint]:
    """Serve until the block is done; then all connections break, as when a server is killed."""
    unit.leave_out("starts a server")
    server = _Server(behaviour)
    thread = threading.Thread(target=lambda: asyncio.run(server.run(port)), daemon=True)
    thread.start()
    try:
        yield server.started.result(timeout=30)
    finally:
        if not server.started.exception():
            server.stop()
        thread.join()


def nowhere() -> str:
    """A URL where nothing listens."""
    with serving(lambda _n, _b: Answer()) as endpoint:
        return endpoint.url


def ask(count: int) -> Iterator[Request]:
    for number in range(count):
        yield Request(split="train", key=str(number), messages=(Message(role="user", content=f"Why {number}?"),))


def asked(
    behaviour: Behaviour, count: int = 1, sampling: Sampling = SAMPLING, **settings: Any
) -> tuple[dict[str, Outcome], Endpoint]:
    """The outcome of each request by key, and what the server saw."""
    with serving(behaviour) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, **settings})
        found = answers(teacher, ask(count), sampling)
        teacher.close()
    assert len({request.key for request, _ in found}) == len(found) == count
    return {request.key: outcome for request, outcome in found}, endpoint


def text_of(outcome: Outcome) -> str:
    return outcome.text if isinstance(outcome, Completion) else f"({outcome.reason})"


class _Server:
    def __init__(self, behaviour: Behaviour) -> None:
        self.started: Future[Endpoint] = Future()
        self._behaviour = behaviour
        self._now = 0

    async def run(self, port: int) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024)
        except OSError as error:
            self.started.set_exception(error)
            return
        self._seen = Endpoint(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        self.started.set_result(self._seen)
        await self._stopped.wait()
        server.close()  # the handlers are cancelled with the loop

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request. False when the connection is not to be used again."""
        seen = self._seen
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        number = len(seen.bodies)
        seen.bodies.append(body)
        seen.paths.append(request.split()[1])
        seen.keys.add(headers.get("authorization", ""))
        self._now += 1
        seen.most_at_once = max(seen.most_at_once, self._now)
        try:
            answer = self._behaviour(number, body)
            await asyncio.sleep(answer.delay)
        finally:
            self._now -= 1
        if answer.silent:
            return False
        await self._send(answer, writer)
        return not answer.cut

    async def _send(self, answer: Answer, writer: asyncio.StreamWriter) -> None:
        data = (completion() if answer.body is None else answer.body).encode()
        stated = {"Content-Type": answer.kind, **answer.headers}
        if answer.chunked:
            stated["Transfer-Encoding"] = "chunked"
        else:
            stated["Content-Length"] = str(answer.flood or len(data))
        lines = "".join(f"{name}: {value}\r\n" for name, value in stated.items())
        writer.write(f"HTTP/1.1 {answer.status} Whatever\r\n{lines}\r\n".encode())
        sent = 0
        for piece in _pieces(answer, data):
            if answer.drip:
                await asyncio.sleep(answer.drip)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            await writer.drain()
            if answer.flood:
                sent += len(piece)
                self._seen.flooded = max(self._seen.flooded, sent)
        if answer.chunked and not answer.cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


def _pieces(answer: Answer, data: bytes) -> Iterator[bytes]:
    if answer.flood:
        yield from (_PIECE for _ in range(answer.flood // len(_PIECE)))
    elif answer.drip:
        yield from (data[place : place + 1] for place in range(len(data)))
    else:
        yield data[: len(data) // 2] if answer.cut else data
