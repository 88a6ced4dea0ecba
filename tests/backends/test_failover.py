"""Hosted teachers while servers die, come back, or have more to do than they can."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

import backends
from backends.base import Answer as Answered
from backends.base import Hosted
from tests.conftest import answers
from tests.endpoint import SAMPLING, Answer, Body, ask, nowhere, serving, text_of

pytestmark = pytest.mark.usefixtures("key")


def test_an_engine_that_lets_requests_queue_for_too_long_gets_fewer_and_answers_all() -> None:
    free = [0.0, 0.0]  # when each of its two places is free

    def queue(_number: int, _body: Body) -> Answer:
        now = time.monotonic()
        free.sort()
        free[0] = max(now, free[0]) + 0.05
        return Answer(delay=free[0] - now)

    with serving(queue) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "timeout": 0.25})
        assert isinstance(teacher, Hosted)
        found = answers(teacher, ask(80), SAMPLING)
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert "time-out" in [change.why for change in teacher.pace()]
    assert len(endpoint.bodies) < 200


def test_a_server_that_dies_and_comes_back_gets_the_rest() -> None:
    seen = Counter[str]()

    def good(_number: int, body: Body) -> Answer:
        seen[body["messages"][-1]["content"]] += 1
        return Answer(delay=0.01)

    with ExitStack() as second:
        with serving(good) as first:
            teacher = backends.create("openai", {"model": "m", "base_url": first.url})
            assert isinstance(teacher, Hosted)
            stream = teacher.generate(ask(120), SAMPLING)
            found = list(next(stream))

        def come_back() -> None:
            while not any(change.why == "dead" for change in teacher.pace()):
                time.sleep(0.05)
            second.enter_context(serving(good, first.port))

        returning = threading.Thread(target=come_back)
        returning.start()
        for together in stream:
            found += together
        returning.join()
    assert Counter(request.key for request, _ in found) == {str(number): 1 for number in range(120)}
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert any(change.why == "alive again" for change in teacher.pace())
    assert len(seen) == 120
    assert seen.total() <= 120 + 16, "only what was in flight when it died is asked twice"


def test_of_two_endpoints_the_one_that_lives_does_the_work() -> None:
    with serving(lambda _n, _b: Answer()) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_urls": [nowhere(), endpoint.url]})
        found = answers(teacher, ask(200), SAMPLING)
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert len(found) == len(endpoint.bodies) == 200


def test_an_endpoint_that_dies_in_the_middle_leaves_its_work_to_the_other() -> None:
    with serving(lambda _n, _b: Answer(delay=0.005)) as lives, ExitStack() as stack:
        dies = stack.enter_context(serving(lambda _n, _b: Answer(delay=0.005)))
        teacher = backends.create("openai", {"model": "m", "base_urls": [dies.url, lives.url]})
        found: list[Answered] = []
        for together in teacher.generate(ask(300), SAMPLING):
            found += together
            if len(found) > 60:
                stack.close()
    assert Counter(request.key for request, _ in found) == {str(number): 1 for number in range(300)}
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert len(dies.bodies) > 20
    assert len(lives.bodies) > 180


def test_stopping_in_the_middle_sends_nothing_more() -> None:
    with serving(lambda _n, _b: Answer(delay=0.02)) as endpoint:
        teacher = backends.create("openai", {"model": "m", "base_url": endpoint.url, "max_in_flight": 4})
        stream: Any = teacher.generate(ask(400), SAMPLING)
        for _ in range(3):
            next(stream)
        before = len(endpoint.bodies)
        stream.close()
        time.sleep(0.2)
        assert len(endpoint.bodies) <= before + 4
