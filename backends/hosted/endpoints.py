"""The endpoints of one teacher: which of them gets the next request, and which of them gets none for now.

Each has its own concurrency limit. An endpoint that asks for a pause gets it. After ten failures in a row an endpoint
gets single probes only (a circuit breaker). The run ends when no endpoint is left to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backends.base import TeacherError
from backends.hosted.concurrency import ConcurrencyLimit
from backends.hosted.retries import LONGEST_OWN_WAIT

__all__ = ["Endpoint", "Endpoints"]

_TRIP = 10
"""Failures in a row after which an endpoint counts as dead. With three random failures in ten: once in 170,000."""

_UNREACHABLE = 4
"""Failures that a refused connection counts as."""

_FIRST_PROBE, _LAST_PROBE = 0.5, 15.0  # seconds between probes, doubling
_NEVER_ANSWERED = 4.0  # seconds to wait for an endpoint that never answered, so that a wrong URL shows early
_SHORT_PAUSE = 600.0
"""Seconds. A pause up to this, or up to the teacher's give_up_after if that is longer, is waited for."""

_LONGEST_WAIT = 5.0


@dataclass(kw_only=True, slots=True, eq=False)
class Endpoint:
    """One base URL. Times are seconds on the event loop's clock."""

    url: str
    concurrency: ConcurrencyLimit
    socket: str | None = None
    """Path of a Unix socket to reach it by."""

    in_flight: int = 0
    opens: float = 0.0
    """When the pause that the server asked for ends."""

    failures: int = 0
    failing_since: float = 0.0
    probe_after: float = _FIRST_PROBE
    ever_answered: bool = False
    """Also true for one that says that it is starting: it is there."""

    last_error: str = ""
    leaving: bool = False
    """It gets no new requests; those in flight finish."""

    def begin(self, now: float) -> None:
        """A new event loop starts with nothing in flight."""
        self.in_flight = 0
        self.concurrency.begin(now)

    @property
    def dead(self) -> bool:
        return self.failures >= _TRIP

    @property
    def size(self) -> int:
        """How many requests it may have at once."""
        if self.leaving:
            return 0
        return 1 if self.dead else self.concurrency.limit

    def places(self, now: float) -> int:
        """How many more requests it may get now."""
        if now < self.opens:
            return 0
        return max(0, self.size - self.in_flight)


@dataclass(kw_only=True)
class Endpoints:
    """Raises TeacherError when no endpoint is left to wait for: each has been failing for `give_up_after` seconds, or
    asks for a pause longer than that (and than ten minutes) and has nothing in flight."""

    all: list[Endpoint]
    give_up_after: float
    clock: Callable[[], float]
    listed: bool = False
    """Whether a file lists them, which may be empty for a while and name servers that have just started."""

    _empty_since: float | None = None
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def room(self, outstanding: int) -> int:
        """How many new requests may be started while `outstanding` are running or waiting."""
        now = self.clock()
        if not any(endpoint.places(now) for endpoint in self.all):
            return 0
        return sum(endpoint.size for endpoint in self.all if now >= endpoint.opens) - outstanding

    async def acquire(self) -> Endpoint:
        """Wait for a place at the least busy endpoint. Return it with `release`."""
        while True:
            now = self.clock()
            best = min(
                (endpoint for endpoint in self.all if endpoint.places(now)),
                key=lambda endpoint: (endpoint.dead, endpoint.in_flight / endpoint.concurrency.limit),
                default=None,
            )
            if best is not None:
                best.in_flight += 1
                return best
            await self.change()

    async def change(self) -> None:
        """Return when a place may be free: one was released, or a pause has ended."""
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
            if not freed.cancelled():  # pass the place on to the next
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

    def change_to(self, urls: Sequence[str], limit: int | None) -> None:
        """Use the endpoints at `urls`, new ones with `limit` requests in flight; the others get no new requests."""
        known = {endpoint.url: endpoint for endpoint in self.all}
        for endpoint in self.all:
            if endpoint.leaving and endpoint.url in urls:  # another server, at the same address
                endpoint.failures, endpoint.opens, endpoint.probe_after = 0, 0.0, _FIRST_PROBE
            endpoint.leaving = endpoint.url not in urls
        for url in urls:
            if url not in known:
                joined = Endpoint(url=url, concurrency=ConcurrencyLimit(limit))
                joined.begin(self.clock())
                self.all.append(joined)
        self._wake(sum(endpoint.places(self.clock()) for endpoint in self.all))

    def answered(self, endpoint: Endpoint, started: float) -> None:
        """`endpoint` answered a request that was sent at `started`."""
        now = self.clock()
        if endpoint.dead:
            endpoint.concurrency.history.append((now, endpoint.concurrency.limit, "alive again"))
        endpoint.failures, endpoint.probe_after, endpoint.ever_answered = 0, _FIRST_PROBE, True
        endpoint.concurrency.replied(started, now, full=endpoint.in_flight >= endpoint.concurrency.limit)

    def overloaded(self, endpoint: Endpoint, started: float, pause: float) -> None:
        """`endpoint` gets too many requests and asks for a pause of `pause` seconds (0: it doesn't say). Where
        it refuses at random, only the request itself waits."""
        endpoint.failures = 0
        endpoint.concurrency.refused(started, self.clock())
        if not (endpoint.concurrency.refuses_at_random and pause <= LONGEST_OWN_WAIT):
            self.pause(endpoint, pause)

    def timed_out(self, endpoint: Endpoint, started: float, error: str) -> None:
        """`endpoint` did not answer in time: it is dead or overloaded."""
        endpoint.concurrency.timed_out(started, self.clock())
        self.failed(endpoint, error)

    def pause(self, endpoint: Endpoint, seconds: float) -> None:
        endpoint.opens = max(endpoint.opens, self.clock() + seconds)

    def failed(self, endpoint: Endpoint, error: str, *, unreachable: bool = False, starting: bool = False) -> None:
        """`endpoint` did not answer a request: no connection, 5xx, no completion. `unreachable`: nothing listened;
        `starting`: it is not ready yet."""
        endpoint.ever_answered |= starting
        now, dead = self.clock(), endpoint.dead
        if not endpoint.failures:
            endpoint.failing_since = now
        endpoint.failures += _UNREACHABLE if unreachable else 1
        endpoint.last_error = error
        if endpoint.dead and not dead:
            endpoint.concurrency.history.append((now, 1, "dead"))
        if endpoint.dead and now >= endpoint.opens:
            endpoint.opens = now + endpoint.probe_after
            endpoint.probe_after = min(_LAST_PROBE, 2 * endpoint.probe_after)
        self._give_up(now)

    def _give_up(self, now: float) -> None:
        present = [endpoint for endpoint in self.all if not endpoint.leaving]
        self._empty_since = None if present else self._empty_since or now
        if self._empty_since is not None:
            if now - self._empty_since > self.give_up_after:
                raise TeacherError(
                    f"base_urls_file has listed no endpoint for {self.give_up_after:g} seconds.",
                    "What was answered is kept. Start a server, then run the same command.",
                )
            return
        answered = self.listed or any(endpoint.ever_answered for endpoint in present)
        give_up_after = self.give_up_after if answered else min(self.give_up_after, _NEVER_ANSWERED)
        if not all(self._is_away(one, now) or _is_lost(one, now - give_up_after) for one in present):
            return
        soonest = min(present, key=lambda endpoint: endpoint.opens)
        if self._is_away(soonest, now):
            seconds = soonest.opens - now
            raise TeacherError(
                f"{soonest.url} asks to come back in {seconds / 60:.0f} minutes ({_clock_time(seconds)}).",
                "What was answered is kept; run the same command then to resume.",
            )
        raise TeacherError(
            f"{soonest.url} does not answer as it should ({soonest.last_error}).",
            "What was answered is kept. Check base_url and the server, then run the same command.",
        )

    def _is_away(self, endpoint: Endpoint, now: float) -> bool:
        """Whether it asks for a pause that is not waited for."""
        return endpoint.opens - now > max(_SHORT_PAUSE, self.give_up_after) and not endpoint.in_flight


def _is_lost(endpoint: Endpoint, since: float) -> bool:
    """Whether it has been failing since then."""
    return endpoint.dead and endpoint.failing_since < since


def _clock_time(seconds: float) -> str:
    """The local time in so many seconds."""
    try:
        return f"at {datetime.now().astimezone() + timedelta(seconds=seconds):%Y-%m-%d %H:%M}"
    except OverflowError:
        return "never"
