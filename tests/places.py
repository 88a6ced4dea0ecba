"""Endpoints without servers: requests that only hold places, on an event loop whose clock jumps from timer to timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from backends.hosted.concurrency import ConcurrencyLimit
from backends.hosted.endpoints import Endpoint, Endpoints
from tests.conftest import JumpingLoop

Test = Callable[[Endpoints], Coroutine[Any, Any, None]]


def run(test: Test, *limits: int | None, give_up_after: float = 60.0) -> float:
    """Run `test` on endpoints with these limits (None: adaptive); the seconds that it took by its own clock."""
    loop = JumpingLoop()
    started = loop.time()
    endpoints = Endpoints(
        all=[
            Endpoint(url=f"http://e{number}", concurrency=ConcurrencyLimit(limit))
            for number, limit in enumerate(limits)
        ],
        give_up_after=give_up_after,
        clock=loop.time,
    )
    for endpoint in endpoints.all:
        endpoint.concurrency.begin(started)
    try:
        loop.run_until_complete(test(endpoints))
        return loop.time() - started
    finally:
        loop.close()


async def use(
    endpoints: Endpoints, *, seconds: float = 1.0, works: Callable[[Endpoint], bool] = lambda _e: True
) -> str:
    """One request: wait for a place, hold it for so long, tell what came of it. The endpoint's URL."""
    endpoint = await endpoints.acquire()
    try:
        started = endpoints.clock()
        await asyncio.sleep(seconds)
        if works(endpoint):
            endpoints.answered(endpoint, started)
        else:
            endpoints.failed(endpoint, "HTTP 500: oops")
    finally:
        endpoints.release(endpoint)
    return endpoint.url


async def until_dead(endpoints: Endpoints, number: int = 0) -> Endpoint:
    endpoint = endpoints.all[number]
    for _ in range(10):
        endpoints.failed(endpoint, "HTTP 500: oops")
    assert endpoint.dead
    return endpoint
