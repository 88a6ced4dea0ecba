"""Which endpoint gets the next request, and who waits for a place."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import TeacherError
from backends.hosted.endpoints import Endpoints
from tests.places import run, until_dead, use


def test_no_endpoint_gets_more_than_its_limit_and_all_get_theirs() -> None:
    async def test(endpoints: Endpoints) -> None:
        first = [await endpoints.acquire() for _ in range(7)]
        assert Counter(endpoint.url for endpoint in first) == {"http://e0": 2, "http://e1": 5}
        waiting = asyncio.create_task(endpoints.acquire())
        await asyncio.sleep(20)
        assert not waiting.done()
        assert [endpoint.places(endpoints.clock()) for endpoint in endpoints.all] == [0, 0]
        endpoints.release(first[0])
        assert await waiting is first[0]

    run(test, 2, 5)


def test_the_least_busy_endpoint_for_its_size_is_next() -> None:
    async def test(endpoints: Endpoints) -> None:
        taken = [(await endpoints.acquire()).url[-1] for _ in range(12)]
        assert taken.count("0") == 3
        assert taken[:4].count("0") == 1

    run(test, 4, 12)


def test_a_free_place_is_taken_at_once_by_one_that_waits() -> None:
    async def test(endpoints: Endpoints) -> None:
        await asyncio.gather(*(use(endpoints, seconds=1.0) for _ in range(400)))

    assert run(test, 4) == pytest.approx(100.0)
    assert run(test, 4, 16) == pytest.approx(20.0)


@settings(deadline=None, max_examples=100)
@given(
    limits=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    users=st.lists(st.tuples(st.integers(1, 9), st.none() | st.integers(0, 60)), min_size=1, max_size=60),
)
def test_no_waiter_is_forgotten_also_when_others_are_cancelled(
    limits: Sequence[int], users: list[tuple[int, int | None]]
) -> None:
    """(seconds of work, when it is cancelled). Whoever leaves a place free while others wait takes longer."""

    async def test(endpoints: Endpoints) -> None:
        tasks = []
        for seconds, cancelled in users:
            task = asyncio.create_task(use(endpoints, seconds=seconds))
            tasks.append(task)
            if cancelled is not None:
                asyncio.get_running_loop().call_later(cancelled, task.cancel)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for (_, cancelled), outcome in zip(users, found, strict=True):
            assert isinstance(outcome, str) or (cancelled is not None and isinstance(outcome, asyncio.CancelledError))
        assert [endpoint.in_flight for endpoint in endpoints.all] == [0] * len(limits)

    work = [seconds for seconds, _ in users]
    assert run(test, *limits) <= sum(work) / sum(limits) + max(work) + 1e-6


def test_a_cancelled_waiter_never_asks_although_a_place_was_just_given_to_it() -> None:
    async def test(endpoints: Endpoints) -> None:
        held = await endpoints.acquire()
        waiting = asyncio.create_task(endpoints.acquire())
        other = asyncio.create_task(endpoints.acquire())
        await asyncio.sleep(0.1)
        endpoints.release(held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await other is held

    assert run(test, 1) < 1


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_a_storm_of_troubles_ends_with_everybody_served(seed: int) -> None:
    draw = random.Random(seed)
    served = Counter[str]()
    most = 0

    async def ask(endpoints: Endpoints) -> None:
        nonlocal most
        while True:
            endpoint = await endpoints.acquire()
            most = max(most, endpoint.in_flight)
            started = endpoints.clock()
            await asyncio.sleep(draw.uniform(0.01, 2))
            fate = draw.random()
            if fate < 0.7:
                endpoints.answered(endpoint, started)
            elif fate < 0.8:
                endpoints.overloaded(endpoint, started, draw.choice([0.0, 0.5, 30.0]))
            else:
                endpoints.failed(endpoint, "HTTP 500: oops")
            endpoints.release(endpoint)
            if fate < 0.7:
                served[endpoint.url] += 1
                return

    async def test(endpoints: Endpoints) -> None:
        await asyncio.gather(*(ask(endpoints) for _ in range(150)))
        assert all(endpoint.in_flight == 0 for endpoint in endpoints.all)

    run(test, None, None)
    assert served.total() == 150
    assert most <= 1024


def test_a_pause_holds_for_everybody_and_ends_automatically() -> None:
    async def test(endpoints: Endpoints) -> None:
        endpoint = endpoints.all[0]
        started = endpoints.clock()
        endpoints.overloaded(endpoint, started, 30.0)
        endpoints.pause(endpoint, 5.0)  # a shorter one takes nothing back
        assert endpoint.places(started + 29.9) == 0
        assert endpoint.places(started + 30.1) > 0
        assert endpoints.room(0) == 0
        await asyncio.gather(*(endpoints.acquire() for _ in range(8)))
        assert endpoints.clock() - started == pytest.approx(30.0)

    run(test, None)


def test_an_endpoint_that_pauses_leaves_the_work_to_the_other() -> None:
    async def test(endpoints: Endpoints) -> None:
        endpoints.overloaded(endpoints.all[0], endpoints.clock(), 3600.0)
        assert endpoints.room(0) == 5
        assert [await use(endpoints) for _ in range(20)] == ["http://e1"] * 20

    run(test, 5, 5)


def test_a_pause_that_nobody_waits_for_ends_the_run_once_nothing_is_in_flight() -> None:
    async def test(endpoints: Endpoints) -> None:
        slow = asyncio.create_task(use(endpoints, seconds=40))
        await asyncio.sleep(1)
        endpoints.pause(endpoints.all[0], 3600.0)
        with pytest.raises(TeacherError, match="http://e0 asks to come back in 59 minutes"):
            await endpoints.acquire()
        assert await slow == "http://e0"
        with pytest.raises(TeacherError):
            await endpoints.change()

    assert 40 <= run(test, 5) <= 46


def test_room_is_for_what_all_open_endpoints_take_less_what_is_in_hand() -> None:
    async def test(endpoints: Endpoints) -> None:
        assert endpoints.room(0) == 8
        assert endpoints.room(5) == 3
        taken = [await endpoints.acquire() for _ in range(8)]
        assert endpoints.room(8) == 0
        for endpoint in taken:
            endpoints.release(endpoint)
        endpoints.pause(endpoints.all[0], 10.0)
        assert endpoints.room(0) == 5
        await until_dead(endpoints, 1)
        assert endpoints.room(0) == 0
        await endpoints.change()
        assert endpoints.room(0) > 0

    run(test, 3, 5)
