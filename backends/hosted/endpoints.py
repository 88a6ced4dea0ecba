"""The endpoints of one teacher: which of them gets the next request, and which of them gets none for now.

Each has a pace of its own. One that asks for a pause gets it. One that fails ten times in a row is left alone but
for a single probe now and then (a circuit breaker). The run ends when there is none left to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from backends.base import TeacherError
from backends.hosted.concurrency import Pace

__all__ = ["Endpoint", "Endpoints"]

_TRIP = 10
"""Failures in a row after which an endpoint counts as dead. With three in ten failing by chance, once in 170,000."""

_NOBODY_THERE = 4
"""As so many failures counts one where there was nobody to connect to."""

_FIRST_PROBE, _LAST_PROBE = 0.5, 15.0  # seconds between probes, doubling
_FIRST_PATIENCE = 4.0  # seconds that an endpoint is waited for that never answered
_LONGEST_PAUSE = 600.0
_LONGEST_WAIT = 5.0


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

    @property
    def size(self) -> int:
        """How many requests it may have at once."""
        return 1 if self.dead else self.pace.limit

    def places(self, now: float) -> int:
        """How many more requests it may get now."""
        if now < self.opens:
            return 0
        return max(0, self.size - self.in_flight)


@dataclass(kw_only=True)
class Endpoints:
    """Raises TeacherError when there is no endpoint left to wait for: each has been failing for `give_up_after`
    seconds, or asks for a pause of more than ten minutes and has nothing in flight."""

    all: Sequence[Endpoint]
    give_up_after: float
    clock: Callable[[], float]
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def room(self, outstanding: int) -> int:
        """How many new requests may be taken in, when `outstanding` are in hand, waiting ones among them."""
        now = self.clock()
        if not any(endpoint.places(now) for endpoint in self.all):
            return 0
        return sum(endpoint.size for endpoint in self.all if now >= endpoint.opens) - outstanding

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
            await self.change()

    async def change(self) -> None:
        """Return when a place may have become free: one was given back, or a pause is over."""
        now = self.clock()
        self._give_up(now)
        pauses = [endpoint.opens - now for endpoint in self.all if endpoint.opens > now]
        freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(freed)
        try:
            async with asyncio.timeout(min([*pauses, _LONGEST_WAIT])):
                await freed
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if not freed.cancelled():  # it was another's turn
                self._wake(1)
            raise
        finally:
            if freed.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(freed)

    def release(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        self._wake(max(1, endpoint.places(self.clock())))

    def _wake(self, count: int) -> None:
        while self._waiting and count:
            freed = self._waiting.popleft()
            if not freed.done():
                freed.set_result(None)
                count -= 1

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

    def timed_out(self, endpoint: Endpoint, started: float, trouble: str) -> None:
        """`endpoint` did not answer in time: it is dead, or has more to do than it can."""
        endpoint.pace.refused(started, self.clock(), "time-out")
        self.failed(endpoint, trouble)

    def pause(self, endpoint: Endpoint, seconds: float) -> None:
        endpoint.opens = max(endpoint.opens, self.clock() + seconds)

    def failed(self, endpoint: Endpoint, trouble: str, *, unreachable: bool = False) -> None:
        """`endpoint` did not do its work: no connection, 5xx, no completion. `unreachable`: it wasn't even there."""
        now, dead = self.clock(), endpoint.dead
        if not endpoint.failures:
            endpoint.failing_since = now
        endpoint.failures += _NOBODY_THERE if unreachable else 1
        endpoint.trouble = trouble
        if endpoint.dead and not dead:
            endpoint.pace.history.append((now, 1, "dead"))
        if endpoint.dead and now >= endpoint.opens:
            endpoint.opens = now + endpoint.probe_after
            endpoint.probe_after = min(_LAST_PROBE, 2 * endpoint.probe_after)
        self._give_up(now)

    def _give_up(self, now: float) -> None:
        answered = any(endpoint.ever_answered for endpoint in self.all)
        give_up_after = self.give_up_after if answered else min(self.give_up_after, _FIRST_PATIENCE)
        if not all(_away(endpoint, now) or _lost(endpoint, now - give_up_after) for endpoint in self.all):
            return
        soonest = min(self.all, key=lambda endpoint: endpoint.opens)
        if _away(soonest, now):
            raise TeacherError(
                f"{soonest.url} asks to come back in {(soonest.opens - now) / 60:.0f} minutes.",
                "What was answered is kept; run the same command then.",
            )
        raise TeacherError(
            f"{soonest.url} does not answer as it should ({soonest.trouble}).",
            "What was answered is kept. Check base_url and the server, then run the same command.",
        )


def _away(endpoint: Endpoint, now: float) -> bool:
    """It asks for a pause that nobody waits for."""
    return endpoint.opens - now > _LONGEST_PAUSE and not endpoint.in_flight


def _lost(endpoint: Endpoint, since: float) -> bool:
    """It has been failing since then."""
    return endpoint.dead and endpoint.failing_since < since
