"""One replica: an adapter that a thread of its own keeps busy. Runs on a node of the cluster; knows nothing of Ray.

The engine takes requests from an inbox as fast as it can, and its answers wait in an outbox for the next report.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import backends
from backends.base import Answer, Outcome, Rendering, Request, Sampling, Teacher, TeacherError
from backends.cluster.messages import Hello, Orders, Report, Trouble
from backends.cluster.versions import versions_here

__all__ = ["Replica"]


class Replica:
    """The adapter `backend` with its settings; nothing loads before the first request."""

    def __init__(self, backend: str, settings: Mapping[str, Any]) -> None:
        self._backend, self._settings = backend, settings
        self._teacher: Teacher | None = None
        self._changed = threading.Condition()
        self._inbox: deque[tuple[int, Request]] = deque()
        self._outbox: list[tuple[int, Outcome]] = []
        self._taken: dict[Request, int] = {}
        self._sampling = Sampling()
        self._last = False
        self._hungry = False
        self._first = time.monotonic()  # when the first answer in the outbox came
        self._described = False
        self._trouble: Trouble | None = None
        self._thread: threading.Thread | None = None

    def hello(self, node: str) -> Hello:
        """Create the adapter. Its errors are part of the answer."""
        versions = versions_here()
        try:
            self._teacher = backends.create(self._backend, self._settings)
            return Hello(node=node, versions=versions, identity=dict(self._teacher.identity()))
        except Exception as error:  # noqa: BLE001 - whatever it is, the driver has to know
            return Hello(node=node, versions=versions, identity={}, trouble=Trouble.of(error))

    def exchange(self, orders: Orders) -> Report:
        """Take requests, wait for something to report, and report it."""
        with self._changed:
            self._inbox.extend(orders.requests)
            self._sampling, self._last = orders.sampling, orders.last
            dropped = [number for number, _ in self._inbox] if orders.drop else []
            if orders.drop:
                self._inbox.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if not dropped:
                self._wait_for_news(orders)
            return self._report(dropped)

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it; None when the adapter doesn't know it."""
        teacher = self._teacher
        try:
            return teacher.render(request) if isinstance(teacher, Rendering) else None
        except TeacherError:
            return None

    def stop(self) -> None:
        """Free the engine."""
        if self._teacher is not None:
            self._teacher.close()

    def _waiting(self) -> bool:
        """Whether there are requests without an answer."""
        return bool(self._inbox or self._taken)

    def _wait_for_news(self, orders: Orders) -> None:
        """Until there is a reason to report."""
        deadline = time.monotonic() + orders.wait
        while True:
            now = time.monotonic()
            until = min(deadline, self._first + orders.linger) if self._outbox else deadline
            if self._trouble or (self._hungry and (orders.more or self._outbox)) or now >= until:
                return
            if self._outbox and not self._waiting():
                return
            self._changed.wait(until - now)

    def _report(self, dropped: list[int]) -> Report:
        answers, self._outbox = tuple(self._outbox), []
        engine = None
        if answers and not self._described and self._teacher is not None:
            engine, self._described = _plain(self._teacher.describe()), True
        return Report(
            answers=answers, dropped=tuple(dropped), waiting=len(self._inbox), hungry=self._hungry,
            engine=engine, trouble=self._trouble,
        )  # fmt: skip

    def _work(self) -> None:
        """In a thread of its own: keep the engine at work."""
        assert self._teacher is not None, "hello comes first"
        try:
            while True:
                first = self._take(wait=True)
                assert first is not None
                for answers in self._teacher.generate(self._stream(first), self._sampling):
                    self._put(answers)
                with self._changed:
                    if self._taken:
                        raise TeacherError(f"The engine ended without answering {len(self._taken)} requests.")
        except BaseException as error:  # noqa: BLE001 - the thread ends with it, and the driver has to know
            with self._changed:
                self._trouble = Trouble.of(error)
                self._changed.notify_all()

    def _stream(self, first: Request) -> Iterator[Request]:
        """Requests as the engine takes them, until there is none and the driver has no more."""
        request: Request | None = first
        while request is not None:
            yield request
            request = self._take(wait=False)

    def _take(self, *, wait: bool) -> Request | None:
        """The next request, when there is one. None: the stream of requests ends; with `wait` it doesn't."""
        with self._changed:
            while not self._inbox:
                if self._last and not wait:
                    return None
                self._hungry = not wait
                self._changed.notify_all()
                self._changed.wait()
            self._hungry = False
            number, request = self._inbox.popleft()
            self._taken[request] = number
            return request

    def _put(self, answers: list[Answer]) -> None:
        with self._changed:
            self._first = self._first if self._outbox else time.monotonic()
            self._outbox += [(self._taken.pop(request), outcome) for request, outcome in answers]
            self._changed.notify_all()


def _plain(description: Mapping[str, Any]) -> dict[str, Any]:
    """What can be stored, and needs no class to be read."""
    found: dict[str, Any] = json.loads(json.dumps(dict(description), default=str))
    return found
