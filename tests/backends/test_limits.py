"""The user's own limits on requests and tokens a minute, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import closing

import pytest

from backends.base import Message, Request
from backends.hosted.limits import limiters
from tests.conftest import JumpingLoop, environment

NONE = {"requests_per_minute": None, "tokens_per_minute": None}


def minutes(requests: int, *, text: str = "Why?", cap: int = 100, **options: int) -> float:
    """How long so many requests take that are answered at once."""

    async def test() -> None:
        request = Request(split="train", key="1", messages=(Message(role="user", content=text),))
        found = limiters({**NONE, **options})
        for _ in range(requests):
            for limiter, amount in found:
                await limiter.acquire(amount(request, cap))

    with closing(JumpingLoop()) as loop:
        started = loop.time()
        loop.run_until_complete(asyncio.wait_for(test(), 10**6))
        return (loop.time() - started) / 60


def test_without_a_limit_nothing_waits() -> None:
    assert minutes(10_000) < 0.001


def test_no_minute_has_more_requests_than_the_limit_twice_at_the_start() -> None:
    assert minutes(60, requests_per_minute=60) < 0.001
    assert 8.9 < minutes(600, requests_per_minute=60) < 9.1


def test_tokens_count_prompt_and_the_longest_reply() -> None:
    taken = 101  # a token for the four characters, and the cap
    assert minutes(10, tokens_per_minute=10 * taken) < 0.001
    assert 8.9 < minutes(100, tokens_per_minute=10 * taken) < 9.1
    assert minutes(10, text="why?" * 100, tokens_per_minute=10 * taken) > 0.9


def test_both_limits_hold_at_once() -> None:
    assert 8.9 < minutes(100, requests_per_minute=10, tokens_per_minute=10**6) < 9.1
    assert 8.9 < minutes(100, requests_per_minute=10**6, tokens_per_minute=1010) < 9.1


def test_a_request_over_the_whole_limit_waits_for_all_of_it_and_not_for_ever() -> None:
    assert 1.9 < minutes(3, cap=100_000, tokens_per_minute=1000) < 2.1


@pytest.mark.parametrize(("urls", "in_flight", "fits"), [(10, None, True), (200, None, False), (2, 100, False)])
def test_more_connections_than_open_files_are_refused_when_the_teacher_is_created(
    urls: int, in_flight: int | None, fits: bool
) -> None:
    settings = {"model": "m", "base_urls": [f"http://127.0.0.1:{9000 + n}/v1" for n in range(urls)]}
    settings |= {"max_in_flight": in_flight} if in_flight else {}
    code = (
        "import resource, sys, json, backends\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (128, 256))\n"
        "try:\n    backends.create('openai', json.loads(sys.argv[1]))\n"
        "except backends.BadTeacherConfig as error:\n    print(error)\n"
        "else:\n    print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(settings)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("(256, 256)" in done.stdout, "this system allows 256" in done.stdout) == (fits, not fits)
