"""How many requests an endpoint gets at once: an adaptive limit, similar to TCP congestion control.

The limit doubles once in a round, and later grows by an eighth, while that brings more replies per second. A timeout
halves it, and so does a round in which more requests in flight brought only longer waits: full engines queue requests,
they don't refuse them. After a cut it returns to the last good limit and stays there for some rounds. What 429 does to
it: `backends.hosted.refusals`.

A limit under one, or between two whole numbers, is kept by time: a place stays taken for longer than its request. A
refused request keeps its place for as long as a reply takes; otherwise quick refusals would raise the rate of requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from backends.hosted.refusals import Refusals

__all__ = ["ConcurrencyLimit"]

_START, _CEILING = 16, 1024
_WHOLE = 8
"""From this limit on it is a whole number; below, if the endpoint refuses nothing."""

_LONGEST_HOLD = 2.0
"""Seconds between two requests to an endpoint that refuses every one, where replies don't take longer."""

_HOLD = 16
"""Rounds at the last good limit before a larger one is tried."""

_FEWEST = 8
"""Replies in a round at an endpoint that refuses requests and is not recovering: fewer would prove nothing."""

_SMOOTHING = 0.1  # of the reply time

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

    limit: float
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
        self.history: list[tuple[float, int, str]] = []
        """(when, limit from then on, why)."""

        self._allowed = float(fixed or _START)
        self._fixed = fixed is not None
        self._slow_start = self._slow_before = True
        self._round: _Round | None = None
        self._best: _Best | None = None
        self._refusals = Refusals()
        self._cut_at = -1.0
        self._good = float(_CEILING)
        self._hold = 0
        self._reply_time = 0.0

    @property
    def limit(self) -> int:
        """The most requests in flight."""
        return math.ceil(self._allowed)

    @property
    def refuses_at_random(self) -> bool:
        """Whether a 429 of this endpoint usually says nothing about the load."""
        return self._refusals.random and not self._refusals.exceeded(self._allowed)

    def begin(self, now: float) -> None:
        """Start to count time, or resume after an interruption."""
        self._round = _Round(started=now)
        self._cut_at = now
        if not self.history:
            self.history.append((now, self.limit, "fixed" if self._fixed else "start"))

    def hold(self, started: float, now: float, *, refused: bool) -> float:
        """Seconds for which the place of a request that was sent at `started` stays taken after its answer."""
        stretch = self.limit / self._allowed
        if self._fixed or (stretch == 1 and not refused):
            return 0.0
        return max(0.0, started + self._reply_time * stretch - now)

    def replied(self, started: float, now: float, *, full: bool) -> None:
        """A request that was sent at `started` was answered; `full`: the limit was reached."""
        if self._fixed or self._round is None:
            return
        seconds = now - started
        self._reply_time += (seconds - self._reply_time) * (_SMOOTHING if self._reply_time else 1)
        if started < self._cut_at:
            return  # requests from before a cut say nothing about the limit after it
        self._refusals.add(refused=False)
        self._round.replies += 1
        self._round.waited += seconds
        self._round.full |= full
        self._judge(now)
        fewest = _FEWEST if self._refusals.seen and self._allowed >= self._good else 1
        if self._round.replies >= max(fewest, self.limit):
            self._close(self._round, now)

    def refused(self, started: float, now: float) -> None:
        """A 429, or another status that asks for fewer requests."""
        if self._fixed or started < self._cut_at:
            return
        self._refusals.add(refused=True)
        self._judge(now)
        if self._refusals.exceeded(self._allowed):
            limit, self._slow_before = self._refusals.cut(self._allowed), self._slow_start
            deep = limit < self._allowed / 2  # perhaps too deep: it recovers as soon as nothing is refused
            self._good = min(self._good, self._allowed) if deep else limit
            self._cut(limit, now, "429")

    def timed_out(self, started: float, now: float) -> None:
        """No reply in time. Those to one burst of requests count once."""
        if not self._fixed and started >= self._cut_at:
            self._good = max(1, self._allowed // 2 if self._slow_start else self._allowed * 8 // 9)
            self._cut(self._allowed / 2, now, "time-out")

    def _judge(self, now: float) -> None:
        """Return to what the endpoint allows, once the effect of a cut is known."""
        judged = self._refusals.judged()
        if judged is None:
            return
        allowed, about_load = judged
        self._slow_start = self._slow_before and not about_load
        self._cut_at, self._round = now, _Round(started=now)
        self._set(allowed, now, "recovering")
        self._good = float(_CEILING) if self._slow_start else self._allowed
        self._hold = self._rounds_to_hold() if about_load else 0

    def _close(self, done: _Round, now: float) -> None:
        self._round = _Round(started=now)
        self._refusals.decay()
        if not done.full or self._refusals.judging or not self._refusals.quiet:
            return  # the limit was not reached, so it was not tested; or it is too high already
        seconds, best = max(now - done.started, 1e-6), self._best
        if best is not None and self._allowed == best.limit:
            best.add(done, seconds)
        elif best is None or done.replies / seconds > _MORE * best.replies / best.seconds:
            self._best = _Best(self._allowed).add(done, seconds)
        elif self._allowed > best.limit and done.waited / done.replies > _LONGER * best.waited / best.replies:
            self._good = best.limit
            self._cut(self._allowed / 2, now, "queue")
            return
        self._grow(now)

    def _grow(self, now: float) -> None:
        if self._slow_start:
            self._set(2 * self._allowed, now, "growing")
        elif self._allowed < self._good:
            self._set(min(self._good, self._allowed + self._step(4)), now, "recovering")
            self._hold = self._rounds_to_hold()
        elif self._hold:
            self._hold -= 1
        else:
            self._set(self._allowed + self._step(8), now, "growing")

    def _rounds_to_hold(self) -> int:
        """Few where a round has more replies than the limit."""
        return _HOLD if self.limit >= _FEWEST or not self._refusals.seen else _HOLD // 8

    def _step(self, part: int) -> float:
        """A `part`-th of the limit; at least one request, unless the endpoint refuses some."""
        return self._allowed / part if self._refusals.seen else max(1, self._allowed // part)

    def _cut(self, limit: float, now: float, why: str) -> None:
        self._slow_start, self._hold = False, _HOLD
        self._cut_at, self._round, self._best = now, _Round(started=now), None
        self._set(limit, now, why)

    def _set(self, limit: float, now: float, why: str) -> None:
        floor = min(1.0, self._reply_time / _LONGEST_HOLD) if self._reply_time and self._refusals.seen else 1.0
        limit = min(max(limit, floor), _CEILING)
        whole = limit >= _WHOLE or not self._refusals.seen
        before, self._allowed = self.limit, math.floor(limit) if whole else limit
        self._refusals.restart()
        if self.limit != before:
            self.history.append((now, self.limit, why))
