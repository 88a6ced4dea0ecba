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

from backends.hosted.retries import LONGEST_OWN_WAIT, Malformed, TimedOut, may_pass, out_of_money, overloaded, wait
from backends.hosted.wait_times import requested_wait

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
def test_the_wait_in_the_headers(headers: dict[str, str], seconds: float) -> None:
    assert requested_wait(httpx2.Headers(headers)) == pytest.approx(seconds)


def filled(value: Any) -> Any:
    """`value` with times ahead of now for texts such as `+90 s`, `+90 ms` (since 1970, in s or ms) and `+90 iso`."""
    if isinstance(value, dict):
        return {name: filled(inner) for name, inner in value.items()}
    if not isinstance(value, str) or not value.startswith("+"):
        return value
    seconds, form = value[1:].split()
    moment = datetime.now(UTC) + timedelta(seconds=float(seconds))
    if form == "iso":
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return str(int(moment.timestamp() * (1000 if form == "ms" else 1)))


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+7200 ms"}, None, 7200),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+7200 s"}, None, 7200),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, None, 30),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "+7200 s"}, None, 0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, None, 50),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, None, 50),
        ({"RateLimit": '"default";r=0;t=50'}, None, 50),
        ({"RateLimit": "limit=100, remaining=1, reset=50"}, None, 0),
        ({"anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": "+600 iso"},
         None, 600),
        ({"x-ms-retry-after-ms": "1500"}, None, 1.5),
        ({"retry-after": "+600 iso"}, None, 600),
        ({"retry-after": "+90 s"}, None, 90),
        ({}, {"error": {"details": [{"@type": "google.rpc.RetryInfo", "retryDelay": "34.07s"}]}}, 34),
        ({}, [{"error": {"details": [{"retryDelay": "34s"}]}}], 34),
        ({}, {"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0",
                                                 "X-RateLimit-Reset": "+7200 ms"}}}}, 7200),
        ({}, {"error": {"message": "Rate limit reached. Please try again in 7m12s. Visit ..."}}, 432),
        ({}, {"error": {"message": "Please retry after 20 seconds."}}, 20),
        ({}, {"error": {"message": "Please retry in 2 minutes and 5 seconds"}}, 125),
        ({}, {"error": "Model m is currently loading", "estimated_time": 20.5}, 20.5),
        ({}, {"retry_after": 3}, 3),
        ({}, {"error": {"message": "Try again later, at 5 or 6"}}, 0),
        ({}, "<html>retry</html>", 0),
        ({"Retry-After": "5"}, {"retry_after": 3}, 5),
    ],
)  # fmt: skip
def test_every_form_of_a_wait_is_read(headers: dict[str, str], body: object, seconds: float) -> None:
    assert requested_wait(httpx2.Headers(filled(headers)), filled(body)) == pytest.approx(seconds, abs=3)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=30) | st.just("retry in 9999999999d"),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["retryDelay", "retry_after", "error", "x-ratelimit-remaining",
                                                       "x-ratelimit-reset"]), inner, max_size=4)))  # fmt: skip
def test_any_body_gives_a_bounded_wait(body: object) -> None:
    assert 0 <= requested_wait({}, body) <= 1e9


@pytest.mark.parametrize("local", [True, False])
def test_a_date_is_a_wait_until_then(local: bool) -> None:
    ahead = time.time() + 1000
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1000)) if local else formatdate(ahead, usegmt=True)
    assert 900 < requested_wait({"retry-after": date}) <= 1001


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
def test_any_headers_give_a_finite_wait(headers: dict[str, str], date: str) -> None:
    nothing_left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}
    for stated in ({**nothing_left, **headers}, {"retry-after": date}):
        asked = requested_wait(stated)
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
def test_temporary_errors(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_permanent_errors(error: Exception) -> None:
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
def test_overload_is_a_429_or_a_503_with_a_wait(error: APIStatusError, too_much: bool) -> None:
    assert overloaded(error) is too_much
    assert out_of_money(error) is (error.status_code == 402 or error.code == "insufficient_quota")


def waits(error: Exception, attempt: int, longest: float = LONGEST_OWN_WAIT) -> list[float]:
    """A hundred draws of the wait after so many attempts."""
    state: Any = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return [wait(state, longest) for _ in range(100)]


def test_waits_grow_and_are_spread() -> None:
    for attempt, longest in ((1, 0.5), (2, 1.0), (4, 4.0), (12, 30.0), (2000, 30.0)):
        drawn = waits(says(500), attempt)
        assert longest / 2 < max(drawn) <= longest
        assert min(drawn) < longest / 4
        assert len(set(drawn)) > 90


def test_a_short_wait_that_the_server_asks_for_is_kept_and_a_long_one_is_the_endpoints_pause() -> None:
    assert set(waits(says(429, retry_after="3"), 4)) == {3.0}
    assert set(waits(says(429, retry_after="3600"), 4)) == {0.0}


def test_waits_are_shorter_while_other_requests_are_answered() -> None:
    assert max(waits(says(500), 12, longest=4.0)) <= 4.0


@pytest.mark.parametrize(
    "error",
    [says(429), says(429, retry_after="0"), says(429, retry_after="soon"), says(500, retry_after="3")],
    ids=["no header", "at once", "rubbish", "no overload"],
)
def test_without_a_requested_wait_retries_back_off(error: Exception) -> None:
    assert max(waits(error, 4)) > 1
