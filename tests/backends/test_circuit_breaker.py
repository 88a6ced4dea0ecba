"""An endpoint that keeps failing is left alone but for probes, and when all do, the run ends."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from backends.base import TeacherError
from backends.hosted.endpoints import Endpoint, Endpoints
from tests.places import run, until_dead, use


def test_ten_failures_in_a_row_leave_an_endpoint_one_probe_at_a_time() -> None:
    async def test(endpoints: Endpoints) -> None:
        endpoint = endpoints.all[0]
        endpoints.answered(endpoint, endpoints.clock())
        for failures in range(1, 11):
            assert not endpoint.dead
            endpoints.failed(endpoint, f"HTTP 500: number {failures}")
        assert endpoint.dead
        assert endpoint.places(endpoints.clock()) == 0
        probe = await endpoints.acquire()
        assert endpoints.clock() >= endpoint.opens
        assert endpoint.places(endpoints.clock()) == 0
        endpoints.answered(probe, endpoints.clock())
        endpoints.release(probe)
        assert not endpoint.dead
        assert endpoint.places(endpoints.clock()) == 8
        assert [why for _, _, why in endpoint.concurrency.history] == ["fixed", "dead", "alive again"]

    run(test, 8)


def test_an_answer_in_between_keeps_an_endpoint_alive() -> None:
    async def test(endpoints: Endpoints) -> None:
        endpoint = endpoints.all[0]
        for number in range(50):
            endpoints.failed(endpoint, "HTTP 500: oops")
            if number % 9 == 8:
                endpoints.answered(endpoint, endpoints.clock())
            assert not endpoint.dead

    run(test, 8)


def test_endpoints_that_come_back_continue_with_all_that_waited() -> None:
    back = 1040.0

    async def stubborn(endpoints: Endpoints) -> None:
        answered = False

        def works(_endpoint: Endpoint) -> bool:
            nonlocal answered
            answered = endpoints.clock() > back
            return answered

        while not answered:
            await use(endpoints, seconds=0.01, works=works)

    async def test(endpoints: Endpoints) -> None:
        await use(endpoints)
        await asyncio.gather(*(stubborn(endpoints) for _ in range(40)))

    probes = 16  # the longest time between two
    assert back - 1000 <= run(test, 8) <= back - 1000 + probes


def test_places_that_open_together_are_filled_together() -> None:
    async def test(endpoints: Endpoints) -> None:
        await until_dead(endpoints)
        await asyncio.gather(*(use(endpoints, seconds=1.0) for _ in range(1 + 24)))

    probe = 0.5 + 1.0
    assert run(test, 8) == pytest.approx(probe + 3 * 1.0)


def test_a_dead_endpoint_is_left_out_and_asked_again_now_and_then() -> None:
    used = Counter[str]()

    async def ask(endpoints: Endpoints) -> None:
        while not (used.update([url := await use(endpoints, works=alive)]) or url == "http://e1"):
            pass

    def alive(endpoint: Endpoint) -> bool:
        return endpoint.url == "http://e1"

    async def test(endpoints: Endpoints) -> None:
        await asyncio.gather(*(ask(endpoints) for _ in range(400)))
        assert endpoints.all[0].dead

    assert run(test, 8, 8, give_up_after=5.0) < 80
    assert used["http://e1"] == 400
    assert 8 <= used["http://e0"] < 30


@pytest.mark.parametrize(("answered", "at_least", "at_most"), [(True, 60, 80), (False, 4, 12)])
def test_when_all_are_dead_it_waits_for_one_that_ever_answered_and_hardly_for_another(
    answered: bool, at_least: float, at_most: float
) -> None:
    async def ask(endpoints: Endpoints) -> None:
        while True:
            await use(endpoints, seconds=0.01, works=lambda _e: False)

    async def test(endpoints: Endpoints) -> None:
        if answered:
            await use(endpoints)
        with pytest.raises(TeacherError, match=r"http://e. does not answer as it should \(HTTP 500: oops\)"):
            await asyncio.gather(*(ask(endpoints) for _ in range(20)))

    assert at_least <= run(test, 8, 8) <= at_most


def test_an_endpoint_that_is_starting_gets_the_whole_give_up_time() -> None:
    """A server answers 503 while it loads its model."""

    async def ask(endpoints: Endpoints) -> None:
        while True:
            endpoint = await endpoints.acquire()
            try:
                await asyncio.sleep(0.01)
                if endpoints.clock() > 1040:
                    endpoints.answered(endpoint, endpoints.clock())
                    return
                endpoints.failed(endpoint, "HTTP 503: Loading model", starting=True)
            finally:
                endpoints.release(endpoint)

    async def test(endpoints: Endpoints) -> None:
        await asyncio.gather(*(ask(endpoints) for _ in range(20)))

    assert 40 <= run(test, 8) <= 60


def test_where_nothing_listens_three_failures_are_enough() -> None:
    async def test(endpoints: Endpoints) -> None:
        endpoint = endpoints.all[0]
        for _ in range(2):
            endpoints.failed(endpoint, "no connection: refused", unreachable=True)
        assert not endpoint.dead
        endpoints.failed(endpoint, "no connection: refused", unreachable=True)
        assert endpoint.dead

    run(test, 8)
