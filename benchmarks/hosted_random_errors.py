"""The pace of the hosted teacher against a server that fails at random and allows a number of requests per second.

    python benchmarks/hosted_random_errors.py              # about a minute
    python benchmarks/hosted_random_errors.py --questions 1000 --seed 3

The server answers after 30 ms and allows 20 requests per second (a bucket of 20 that refills evenly); it refuses the
others with 429. Of those that it allows, 15 % fail with 429 and 12 % with 500, 503 or 408.
At most 73 % of the allowed requests can become replies; the ratio relates to that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LATENCY = 0.03  # seconds
REFUSED, FAILED = 0.15, 0.12
_BODY = json.dumps(
    {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It follows."}}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 8, "total_tokens": 38},
    }
).encode()


@dataclass
class FaultyServer:
    """`allowed` requests per second, of which `refused` and `failed` fail at random. `seen` counts statuses, "over"
    the requests over the allowance: of a bucket, or with `window` of the last second, where refused requests count."""

    allowed: float = 20.0
    refused: float = REFUSED
    failed: float = FAILED
    retry_after: int | None = None
    window: bool = False
    seed: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._tokens, self._filled = self.allowed, time.monotonic()
        self._came: deque[float] = deque()

    def _over(self) -> bool:
        """Whether a request that comes now is over the allowance."""
        now = time.monotonic()
        if self.window:
            self._came.append(now)
            while self._came[0] < now - 1:
                self._came.popleft()
            return len(self._came) > self.allowed
        self._tokens = min(self.allowed, self._tokens + (now - self._filled) * self.allowed)
        self._filled = now
        over = self._tokens < 1
        self._tokens -= not over
        return over

    def status(self) -> int:
        if self._over():
            self.seen["over"] += 1
            return 429
        drawn = self._draw.random()
        status = 429 if drawn < self.refused else 200
        if self.refused <= drawn < self.refused + self.failed:
            status = self._draw.choice([500, 503, 408])
        self.seen[str(status)] += 1
        return status

    def header(self, status: int) -> bytes:
        asks = status == 429 and self.retry_after is not None
        return f"Retry-After: {self.retry_after}\r\n".encode() if asks else b""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                status = self.status()
                await asyncio.sleep(LATENCY)
                body = _BODY if status == 200 else b'{"error": {"message": "not now"}}'
                writer.write(
                    b"HTTP/1.1 %d X\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (status, self.header(status), len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@contextmanager
def serving(server: FaultyServer) -> Iterator[str]:
    """The URL of the server, which runs in a thread."""
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(server.answer, "127.0.0.1", 0, backlog=1024)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()


def main() -> None:
    from backends.base import Completion, Message, Request, Sampling
    from backends.openai_compatible import OpenAICompatibleTeacher

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=240)
    parser.add_argument("--allowed", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--retry-after", type=int, help="seconds that a 429 asks for; default: it does not say")
    parser.add_argument("--window", action="store_true", help="refused requests count against the allowance")
    parser.add_argument("--pace", action="store_true", help="print the changes of the limit of requests in flight")
    arguments = parser.parse_args()
    server = FaultyServer(
        allowed=arguments.allowed, seed=arguments.seed, retry_after=arguments.retry_after, window=arguments.window
    )
    with serving(server) as url:
        teacher = OpenAICompatibleTeacher({"model": "m", "base_url": url})
        requests = (
            Request(split="train", key=str(n), messages=(Message(role="user", content="Why?"),))
            for n in range(arguments.questions)
        )
        started, done, times = time.perf_counter(), Counter[str](), list[float]()
        for answers in teacher.generate(requests, Sampling()):
            done.update(type(outcome).__name__ for _, outcome in answers)
            times.extend([time.perf_counter() - started] * len(answers))
        seconds = time.perf_counter() - started
    best = arguments.allowed * (1 - REFUSED - FAILED)
    rate, allowed = done[Completion.__name__] / seconds, sum(server.seen.values()) - server.seen["over"]
    print(f"{dict(done)} in {seconds:.1f} s: {rate:.1f} replies/s, {rate / best:.2f} of the possible {best:.1f}")
    print(f"of the allowed requests: {allowed / seconds / arguments.allowed:.2f}; statuses {dict(server.seen)}")
    tenths = [f"{times[int(len(times) * part / 10) - 1]:.1f}" for part in range(1, 11)]
    print(f"seconds until each tenth was answered: {' '.join(tenths)}")
    if arguments.pace:
        for change in teacher.pace():
            print(f"{change.seconds:8.2f} s  {change.in_flight:5}  {change.why}")


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()
