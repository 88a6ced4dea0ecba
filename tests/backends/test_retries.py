"""What an endpoint's headers ask for, which of its errors pass, and how long one waits for that."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai import APIConnectionError, APIStatusError
from tenacity import Future, RetryCallState

from backends.hosted.retries import Malformed, TimedOut, may_pass, out_of_money, overloaded, pause_asked, wait

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def says(status: int, *, code: str | None = None, **headers: str) -> APIStatusError:
    """The error that the client makes of such an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, request=REQUEST)
    return APIStatusError("oops", response=response, body={"code": code})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": ""}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "x", "Retry-After": "9"}, 9),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "17"}, 17),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "17"}, 0),
        ({"x-ratelimit-remaining-tokens": "0"}, 0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "8s",
            },
            8,
        ),
    ],
)
def test_what_the_headers_ask_for(headers: dict[str, str], seconds: float) -> None:
    assert pause_asked(httpx2.Headers(headers)) == pytest.approx(seconds)


@pytest.mark.parametrize("local", [True, False])
def test_a_date_is_as_long_as_until_then(local: bool) -> None:
    ahead = time.time() + 1000
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1000)) if local else formatdate(ahead, usegmt=True)
    assert 900 < pause_asked({"retry-after": date}) <= 1001


NUMBERS = st.one_of(st.floats().map(str), st.integers().map(str), st.from_regex(r"[-+]?[\d.]{1,400}(e\d{1,3})?"))
DURATIONS = st.lists(st.tuples(NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d", "", " "])), max_size=4).map(
    lambda parts: "".join(amount + unit for amount, unit in parts)
)
DATES = st.lists(
    st.one_of(
        st.sampled_from(["Wed,", "21", "Oct", "2015", "07:28:00", "GMT", "-0000", "+2500", "0", "24:61", "AM"]),
        st.text(max_size=4),
        st.integers(-(10**6), 10**6).map(str),
    ),
    max_size=8,
).map(" ".join)
VALUES = st.one_of(NUMBERS, DURATIONS, DATES, st.text(max_size=30))
NAMES = (
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


@settings(deadline=None, max_examples=500)
@given(headers=st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES)), date=DATES)
@example(headers={}, date="Wed, 21 Oct 9999 23:59:59 -2359")
@example(headers={"x-ratelimit-reset-tokens": "9" * 308 + "d"}, date="")
def test_whatever_the_headers_say_the_pause_is_a_length_of_time(headers: dict[str, str], date: str) -> None:
    nothing_left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}
    for stated in ({**nothing_left, **headers}, {"retry-after": date}):
        asked = pause_asked(stated)
        assert asked >= 0
        assert math.isfinite(asked)


PASSING = [
    says(408),
    says(409),
    says(429),
    says(500),
    says(503),
    says(529),
    APIConnectionError(request=REQUEST),
    Malformed("HTML"),
    TimedOut(),
]
FINAL = [
    says(400),
    says(401),
    says(403),
    says(404),
    says(413),
    says(422),
    says(429, code="insufficient_quota"),
    says(402),
    ValueError(),
    KeyError(),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_what_may_not_pass(error: Exception) -> None:
    assert not may_pass(error)


@pytest.mark.parametrize(
    ("error", "too_much"),
    [
        (says(429), True),
        (says(429, retry_after="3"), True),
        (says(429, code="insufficient_quota"), False),
        (says(402), False),
        (says(503), False),
        (says(503, retry_after="3"), True),
        (says(529, retry_after_ms="3"), True),
        (says(500, retry_after="3"), False),
    ],
)
def test_too_much_is_a_429_or_a_503_that_says_when_to_come_back(error: APIStatusError, too_much: bool) -> None:
    assert overloaded(error) is too_much
    assert out_of_money(error) is (error.status_code == 402 or error.code == "insufficient_quota")


def waits(error: Exception, attempt: int) -> list[float]:
    """A hundred draws of the wait after so many attempts."""
    state: Any = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return [wait(state) for _ in range(100)]


def test_waits_grow_and_are_spread_so_that_retries_do_not_come_in_volleys() -> None:
    for attempt, longest in ((1, 0.5), (2, 1.0), (4, 4.0), (12, 30.0), (2000, 30.0)):
        drawn = waits(says(500), attempt)
        assert longest / 2 < max(drawn) <= longest
        assert min(drawn) < longest / 4
        assert len(set(drawn)) > 90


def test_a_pause_that_holds_for_all_requests_is_not_waited_for_twice() -> None:
    assert set(waits(says(429, retry_after="3"), 4)) == {0.0}


@pytest.mark.parametrize(
    "error",
    [says(429), says(429, retry_after="0"), says(429, retry_after="soon"), says(500, retry_after="3")],
    ids=["no header", "at once", "rubbish", "no overload"],
)
def test_without_such_a_pause_retries_keep_their_distance(error: Exception) -> None:
    assert max(waits(error, 4)) > 1
