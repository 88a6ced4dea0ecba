"""Which of an endpoint's errors pass, how long to wait before asking again, and what its headers ask for."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import APIStatusError
    from tenacity import RetryCallState

__all__ = ["Malformed", "TimedOut", "in_words", "may_pass", "out_of_money", "overloaded", "pause_asked", "wait"]

_PASSING = {408, 409, 429}
_CROWDED = {503, 529}
_LONGEST = 1e9  # seconds
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Malformed(Exception):
    """The server answered, but not with a completion: HTML, an empty list of choices, another schema, a flood."""


class TimedOut(Exception):
    """No whole reply within the teacher's `timeout`."""


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return (error.status_code in _PASSING or error.status_code >= 500) and not out_of_money(error)
    return isinstance(error, (APIConnectionError, Malformed, TimedOut))


def in_words(error: Exception, timeout: float) -> str:
    """What an endpoint did; its own words may quote the key. Raises `error` when it is no endpoint's."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return f"HTTP {error.status_code}: {error.message}"
    if isinstance(error, APIConnectionError):
        return f"no connection: {error.__cause__ or error}"
    if isinstance(error, TimedOut):
        return f"no reply within {timeout:g} s"
    if isinstance(error, Malformed):
        return f"not a completion: {error}"
    raise error


def out_of_money(error: Any) -> bool:
    """402, or a 429 that no waiting mends."""
    return getattr(error, "code", None) == "insufficient_quota" or getattr(error, "status_code", None) == 402


def overloaded(error: APIStatusError) -> bool:
    """The endpoint lives, and gets too much: 429, or 503 and 529 that say when to come back."""
    if out_of_money(error):
        return False
    return error.status_code == 429 or (error.status_code in _CROWDED and asks_to_wait(error.response.headers))


def wait(state: RetryCallState) -> float:
    """Exponential with full jitter, in seconds. What the server asks for holds for all requests, not for this one:
    the endpoint's own pause sees to that."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, APIStatusError) and overloaded(error) and pause_asked(error.response.headers) > 0:
        return 0.0
    return wait_random_exponential(multiplier=0.5, max=30)(state)


def asks_to_wait(headers: Mapping[str, str]) -> bool:
    return "retry-after" in headers or "retry-after-ms" in headers


def pause_asked(headers: Mapping[str, str]) -> float:
    """Seconds until the server wants the next request: Retry-After (seconds or a date), retry-after-ms, or the reset
    of a limit of which nothing remains. 0 when it asks for nothing."""
    if asks_to_wait(headers):
        stated = headers.get("retry-after", "")
        asked = _number(headers.get("retry-after-ms", "")) / 1000 or _number(stated) or _until(stated)
        return min(_LONGEST, asked)
    resets = [
        _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return min(_LONGEST, max(resets, default=0.0))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _until(date: str) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _duration(text: str) -> float:
    """`6m0s`, `120ms`, `1s` or bare seconds."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h|d)", text)
    if parts:
        return sum(_number(amount) * _UNITS[unit] for amount, unit in parts)
    return _number(text)
