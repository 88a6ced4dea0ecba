"""The endpoints of one teacher: which of them gets the next request, and which of them gets none for now.

Each has a pace of its own. One that asks for a pause gets it. One that fails ten times in a row is left alone but
for a single probe now and then (a circuit breaker); when all are in that state for too long, the run ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backends.base import TeacherError
from backends.hosted.pace import Pace

__all__ = ["Endpoint", "Endpoints"]

_TRIP = 10
"""Failures in a row after which an endpoint counts as dead. With three in ten failing by chance, once in 170,000."""

_FIRST_PROBE, _LAST_PROBE = 0.5, 15.0  # seconds between probes, doubling
_FIRST_PATIENCE = 4.0  # seconds that an endpoint is waited for that never answered
_LONGEST_PAUSE = 600.0


@dataclass(kw_only=True, slots=True, eq=False)
class Endpoint:
    """One base URL. Times are seconds on the event loop's clock."""

    url: str
    pace: Pace
    in_flight: int = 0
    opens: float = 0.0
    """When the pause that the server asked for is over."""

    failures: int = 0
    failing_since: float = 0.0
    probe_after: float = _FIRST_PROBE
    ever_answered: bool = False
    trouble: str = ""

    def begin(self, now: float) -> None:
        """A new event loop starts with nothing in flight."""
        self.in_flight = 0
        self.pace.begin(now)

    @property
    def dead(self) -> bool:
        return self.failures >= _TRIP

    def places(self, now: float) -> int:
        """How many more requests it may get now."""
        if now < self.opens:
            return 0
        return max(0, (1 if self.dead else self.pace.limit) - self.in_flight)


@dataclass(kw_only=True)
class Endpoints:
    """Raises TeacherError from `acquire` when no endpoint has answered for `patience` seconds, or the pause that is
    asked for is longer than ten minutes."""

    all: Sequence[Endpoint]
    patience: float
    clock: Callable[[], float]
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def room(self, outstanding: int) -> int:
        """How many new requests may be taken in, when `outstanding` are in hand, waiting ones among them."""
        now = self.clock()
        if not any(endpoint.places(now) for endpoint in self.all):
            return 0
        return sum(endpoint.pace.limit for endpoint in self.all if now >= endpoint.opens) - outstanding

    async def acquire(self) -> Endpoint:
        """A place at the least busy endpoint, as soon as there is one. Give it back with `release`."""
        while True:
            now = self.clock()
            best = min(
                (endpoint for endpoint in self.all if endpoint.places(now)),
                key=lambda endpoint: (endpoint.dead, endpoint.in_flight / endpoint.pace.limit),
                default=None,
            )
            if best is not None:
                best.in_flight += 1
                return best
            self._give_up_on_the_dead(now)
            await self.change()

    async def change(self) -> None:
        """Return when a place may have become free: one was given back, or a pause is over."""
        now = self.clock()
        pauses = [endpoint.opens - now for endpoint in self.all if endpoint.opens > now]
        freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(freed)
        try:
            await asyncio.wait_for(freed, min([*pauses, 5.0]))
        except TimeoutError:
            self._waiting.remove(freed)
        except asyncio.CancelledError:
            if freed in self._waiting:
                self._waiting.remove(freed)
            raise

    def release(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        for _ in range(min(len(self._waiting), max(1, endpoint.places(self.clock())))):
            freed = self._waiting.popleft()
            if not freed.done():
                freed.set_result(None)

    def answered(self, endpoint: Endpoint, started: float) -> None:
        """`endpoint` did its work on a request sent at `started`."""
        now = self.clock()
        if endpoint.dead:
            endpoint.pace.history.append((now, endpoint.pace.limit, "alive again"))
        endpoint.failures, endpoint.probe_after, endpoint.ever_answered = 0, _FIRST_PROBE, True
        endpoint.pace.replied(started, now, full=endpoint.in_flight >= endpoint.pace.limit)

    def refused(self, endpoint: Endpoint, started: float, pause: float) -> None:
        """`endpoint` gets too much, and asks for a pause of so many seconds (0: doesn't say)."""
        endpoint.failures = 0
        endpoint.pace.refused(started, self.clock())
        self.pause(endpoint, pause)

    def pause(self, endpoint: Endpoint, seconds: float) -> None:
        """Raises TeacherError when it is longer than anybody waits for."""
        if seconds > _LONGEST_PAUSE:
            raise TeacherError(
                f"{endpoint.url} asks to come back in {seconds / 60:.0f} minutes.",
                "What was answered is kept; run the same command then.",
            )
        endpoint.opens = max(endpoint.opens, self.clock() + seconds)

    def failed(self, endpoint: Endpoint, trouble: str) -> None:
        """`endpoint` did not do its work: no connection, 5xx, no completion."""
        now = self.clock()
        if not endpoint.failures:
            endpoint.failing_since = now
        endpoint.failures += 1
        endpoint.trouble = trouble
        if endpoint.failures == _TRIP:
            endpoint.pace.history.append((now, 1, "dead"))
        if endpoint.dead and now >= endpoint.opens:
            endpoint.opens = now + endpoint.probe_after
            endpoint.probe_after = min(_LAST_PROBE, 2 * endpoint.probe_after)

    def _give_up_on_the_dead(self, now: float) -> None:
        if not all(endpoint.dead for endpoint in self.all):
            return
        answered = any(endpoint.ever_answered for endpoint in self.all)
        patience = self.patience if answered else min(self.patience, _FIRST_PATIENCE)
        last = max(self.all, key=lambda endpoint: endpoint.failing_since)
        if now - last.failing_since > patience:
            raise TeacherError(
                f"{last.url} does not answer as it should ({last.trouble}).",
                "What was answered is kept. Check base_url and the server, then run the same command.",
            )
