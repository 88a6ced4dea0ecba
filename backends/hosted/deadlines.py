"""Timeouts that count only the time in which the event loop runs.

While a laptop sleeps or a process is stopped, replies wait in the socket. A plain timer would drop them on wake-up, and
they would be paid again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from backends.hosted.retries import TimedOut

__all__ = ["Deadlines"]

_TICK = 0.5


class Deadlines:
    """A timeout of `seconds` for every block entered with `one`, watched by a single task."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._elapsed = 0.0
        self._running: dict[asyncio.Timeout, float] = {}
        self._watch: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises TimedOut when the block takes longer."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._tick())
        try:
            async with asyncio.timeout(None) as timeout:
                self._running[timeout] = self._elapsed + self._seconds
                try:
                    yield
                finally:
                    del self._running[timeout]
        except TimeoutError as error:
            raise TimedOut from error

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        tick = min(_TICK, self._seconds / 4)
        awake = 2 * tick  # in a longer gap the process did not run
        last = clock()
        while True:
            await asyncio.sleep(tick)
            gap = clock() - last
            self._elapsed += min(gap, awake)
            if gap > awake:
                await asyncio.sleep(tick)  # replies that arrived meanwhile are read first
            last = clock()
            for timeout, until in self._running.items():
                if self._elapsed > until and timeout.when() is None:
                    timeout.reschedule(last)
