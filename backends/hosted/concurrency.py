"""How many requests an endpoint gets at once: an adaptive limit, similar to TCP congestion control.

The limit doubles once in a round, and later grows by an eighth, while that brings more replies per second. A 429 or a
timeout halves it, and so does a round in which more requests in flight brought only longer waits: full engines queue
requests, they don't refuse them. After a cut it returns to the last good limit and stays there for some rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConcurrencyLimit"]

_START, _FLOOR, _CEILING = 16, 1, 1024
_HOLD = 16
"""Rounds at the last good limit before a larger one is tried."""

_MORE = 1.05
"""The factor of replies per second that a larger limit must bring."""

_LONGER = 1.25
"""The factor of reply time that shows a queue."""


@dataclass(slots=True)
class _Round:
    """As many replies as the limit: about one reply time."""

    started: float
    replies: int = 0
    waited: float = 0.0
    full: bool = False


@dataclass(slots=True)
class _Best:
    """All rounds at the best limit so far: a single one may have been lucky."""

    limit: int
    replies: int = 0
    waited: float = 0.0
    seconds: float = 0.0

    def add(self, done: _Round, seconds: float) -> _Best:
        self.replies += done.replies
        self.waited += done.waited
        self.seconds += seconds
        return self


class ConcurrencyLimit:
    """The limit of requests in flight at one endpoint. Times are seconds on a monotonic clock."""

    def __init__(self, fixed: int | None = None) -> None:
        self.limit = fixed or _START
        self.history: list[tuple[float, int, str]] = []
        """(when, limit from then on, why)."""

        self._fixed = fixed is not None
        self._slow_start = True
        self._round: _Round | None = None
        self._best: _Best | None = None
        self._cut_at = -1.0
        self._good = _CEILING
        self._hold = 0

    def begin(self, now: float) -> None:
        """Start to count time, or resume after an interruption."""
        self._round = _Round(started=now)
        self._cut_at = now
        if not self.history:
            self.history.append((now, self.limit, "fixed" if self._fixed else "start"))

    def replied(self, started: float, now: float, *, full: bool) -> None:
        """A request that was sent at `started` was answered; `full`: the limit was reached."""
        if self._fixed or self._round is None or started < self._cut_at:
            return  # requests from before a cut say nothing about the limit after it
        self._round.replies += 1
        self._round.waited += now - started
        self._round.full |= full
        if self._round.replies >= self.limit:
            self._close(self._round, now)

    def overloaded(self, started: float, now: float, why: str = "429") -> None:
        """The endpoint stated or showed that it gets too many requests. Errors to one burst of requests count once."""
        if not self._fixed and started >= self._cut_at:
            self._cut(now, why)

    def _close(self, done: _Round, now: float) -> None:
        self._round = _Round(started=now)
        if not done.full:
            return  # the limit was not reached, so it was not tested
        seconds, best = max(now - done.started, 1e-6), self._best
        if best is not None and self.limit == best.limit:
            best.add(done, seconds)
        elif best is None or done.replies / seconds > _MORE * best.replies / best.seconds:
            self._best = _Best(self.limit).add(done, seconds)
        elif self.limit > best.limit and done.waited / done.replies > _LONGER * best.waited / best.replies:
            self._good = best.limit
            self._cut(now, "queue")
            return
        self._grow(now)

    def _grow(self, now: float) -> None:
        if self._slow_start:
            self._set(min(_CEILING, 2 * self.limit), now, "growing")
        elif self.limit < self._good:
            self._set(min(self._good, self.limit + max(1, self.limit // 4)), now, "recovering")
            self._hold = _HOLD
        elif self._hold:
            self._hold -= 1
        else:
            self._set(min(_CEILING, self.limit + max(1, self.limit // 8)), now, "growing")

    def _cut(self, now: float, why: str) -> None:
        if why != "queue":  # the previous limit was still good
            self._good = max(_FLOOR, self.limit // 2 if self._slow_start else self.limit * 8 // 9)
        self._slow_start, self._hold = False, _HOLD
        self._cut_at, self._round, self._best = now, _Round(started=now), None
        self._set(max(_FLOOR, self.limit // 2), now, why)

    def _set(self, limit: int, now: float, why: str) -> None:
        if limit != self.limit:
            self.limit = limit
            self.history.append((now, limit, why))
