"""Time-outs count only the time in which the event loop turned, so that a process that slept loses no reply."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.hosted.deadlines import Deadlines
from backends.hosted.retries import TimedOut
from tests.conftest import JumpingLoop


def run(test: Callable[[Deadlines], Coroutine[Any, Any, None]], seconds: float) -> float:
    """Run `test` with time-outs of so many seconds; what it took by the loop's own clock."""
    with closing(JumpingLoop()) as loop:

        async def whole() -> None:
            deadlines = Deadlines(seconds)
            try:
                await test(deadlines)
            finally:
                await deadlines.close()

        started = loop.time()
        loop.run_until_complete(whole())
        return loop.time() - started


async def work(deadlines: Deadlines, seconds: float) -> str:
    async with deadlines.one():
        await asyncio.sleep(seconds)
    return "done"


def sleep_like_a_laptop(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.now += seconds


@pytest.mark.parametrize("seconds", [0.2, 1.0, 120.0])
def test_what_takes_too_long_ends_soon_after_its_time(seconds: float) -> None:
    async def test(deadlines: Deadlines) -> None:
        with pytest.raises(TimedOut):
            await work(deadlines, 50 * seconds)

    assert seconds <= run(test, seconds) <= 1.5 * seconds + 1


def test_what_is_done_in_time_is_left_alone_whatever_happens_beside_it() -> None:
    async def test(deadlines: Deadlines) -> None:
        works = [work(deadlines, second) for second in range(30)]
        found = await asyncio.gather(*works, return_exceptions=True)
        assert found[:10] == ["done"] * 10
        assert all(isinstance(one, TimedOut) for one in found[12:])
        assert await work(deadlines, 9) == "done"

    run(test, 10)


def test_a_cancellation_and_another_error_pass_as_they_are() -> None:
    async def test(deadlines: Deadlines) -> None:
        task = asyncio.create_task(work(deadlines, 5))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(KeyError):
            async with deadlines.one():
                raise KeyError

    run(test, 10)


def test_what_takes_its_time_to_clean_up_does_not_stop_the_watch() -> None:
    async def stubborn(deadlines: Deadlines) -> None:
        async with deadlines.one():
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(5)

    async def test(deadlines: Deadlines) -> None:
        with pytest.raises(TimedOut):
            await stubborn(deadlines)
        with pytest.raises(TimedOut):
            await work(deadlines, 1000)

    assert run(test, 10) < 40


def test_closing_is_safe_without_and_after_use() -> None:
    async def test(deadlines: Deadlines) -> None:
        await deadlines.close()
        assert await work(Deadlines(10), 1) == "done"

    run(test, 10)


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


async def read_reply(deadlines: Deadlines, near: socket.socket) -> bytes:
    """As a client does, in several turns of the loop."""
    near.setblocking(False)
    loop = asyncio.get_running_loop()
    read = b""
    async with deadlines.one():
        while len(read) < 5:
            read += await loop.sock_recv(near, 1)
            await asyncio.sleep(0)
    return read


@settings(deadline=None, max_examples=100)
@given(seconds=st.floats(0.2, 300), before=st.floats(0, 0.99), asleep=st.floats(1, 100))
def test_a_reply_that_came_while_the_process_slept_is_not_lost(seconds: float, before: float, asleep: float) -> None:
    near, far = socket.socketpair()

    async def test(deadlines: Deadlines) -> None:
        reply = asyncio.create_task(read_reply(deadlines, near))
        await asyncio.sleep(before * seconds)
        far.send(b"reply")
        sleep_like_a_laptop(asleep * seconds)
        assert await reply == b"reply"

    with near, far:
        run(test, seconds)


def test_after_the_sleep_a_request_has_the_time_that_it_had_before() -> None:
    near, far = socket.socketpair()

    async def test(deadlines: Deadlines) -> None:
        reply = asyncio.create_task(read_reply(deadlines, near))
        await asyncio.sleep(2)
        sleep_like_a_laptop(1000)
        await asyncio.sleep(6)
        far.send(b"reply")
        assert await reply == b"reply"

    with near, far:
        run(test, 10)


def test_after_the_sleep_no_reply_still_is_none() -> None:
    async def test(deadlines: Deadlines) -> None:
        task = asyncio.create_task(work(deadlines, 10_000))
        await asyncio.sleep(5)
        sleep_like_a_laptop(1000)
        with pytest.raises(TimedOut):
            await task

    assert 1000 < run(test, 10) < 1020


def test_a_loop_that_is_always_late_gives_up_all_the_same() -> None:
    async def test(deadlines: Deadlines) -> None:
        task = asyncio.create_task(work(deadlines, 10_000))
        for _ in range(100):
            await asyncio.sleep(0.1)
            sleep_like_a_laptop(3)
        assert task.done()
        with pytest.raises(TimedOut):
            await task

    run(test, 10)


def test_a_loop_that_was_really_blocked_reads_the_reply(wire: tuple[socket.socket, socket.socket]) -> None:
    near, far = wire

    async def test() -> bytes:
        deadlines = Deadlines(0.4)
        reply = asyncio.create_task(read_reply(deadlines, near))
        await asyncio.sleep(0.05)
        far.send(b"reply")
        time.sleep(1.2)
        try:
            return await reply
        finally:
            await deadlines.close()

    assert asyncio.run(test()) == b"reply"
