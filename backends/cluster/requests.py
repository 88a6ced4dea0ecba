"""The requests of one run on a cluster: which are to be sent, and which come back from a replica that died.

A request that was in flight at several deaths is sent alone: it may be what the engine dies of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backends.base import Failure, Request

__all__ = ["Flying", "Outgoing"]

_SHARED_DEATHS = 2
"""Deaths of replicas after which a request is sent alone."""

_DEATHS = _SHARED_DEATHS + 2
"""Deaths after which it is a failure."""


@dataclass(slots=True)
class Flying:
    """A request on its way. `deaths`: replicas that died while they had it, the last one because of `why`; `calls`:
    times it was sent."""

    number: int
    request: Request
    deaths: int = 0
    calls: int = 0
    why: str | None = None

    @property
    def alone(self) -> bool:
        """Whether it is sent without others."""
        return self.deaths >= _SHARED_DEATHS


class Outgoing:
    """Requests from `source`, taken as replicas have room, and those that came back, which go first."""

    def __init__(self, source: Iterable[Request]) -> None:
        self._source = iter(source)
        self._ready: deque[Flying] = deque()
        self._alone: deque[Flying] = deque()
        self._number = 0
        self._ended = False

    @property
    def more(self) -> bool:
        """Whether there is a request to send with others; asks the source for the next one."""
        if not self._ready and not self._ended:
            request = next(self._source, None)
            self._ended = request is None
            if request is not None:
                self._ready.append(Flying(number=self._number, request=request))
                self._number += 1
        return bool(self._ready)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.more and not self._alone

    @property
    def left(self) -> int | None:
        """How many are left to send; None while the source may have some."""
        return len(self._ready) + len(self._alone) if self._ended else None

    def take(self, most: int, *, idle: bool) -> list[Flying]:
        """Up to `most` requests for one replica. One that is sent alone goes to an `idle` replica, when there are no
        others."""
        taken: list[Flying] = []
        while len(taken) < most and self.more:
            taken.append(self._ready.popleft())
        if not taken and most > 0 and idle and self._alone:
            taken.append(self._alone.popleft())
        for one in taken:
            one.calls += 1
        return taken

    def give_back(self, flying: Iterable[Flying]) -> None:
        """Take back what no engine has seen."""
        for one in flying:
            one.calls -= 1
            (self._alone if one.alone else self._ready).append(one)

    def lost(self, flying: Iterable[Flying], why: str, *, died: bool) -> Iterator[tuple[Request, Failure]]:
        """Take back what a replica had that is no more; `died`: one of them may be the cause. Yields what is given
        up."""
        for one in sorted(flying, key=lambda one: one.number, reverse=True):
            one.deaths += died
            one.why = why
            if one.deaths >= _DEATHS:
                reason = f"{one.deaths} replicas died while they had it: {why}"
                yield one.request, Failure(reason=reason, attempts=one.calls)
            elif one.alone:
                self._alone.append(one)
            else:
                self._ready.appendleft(one)
