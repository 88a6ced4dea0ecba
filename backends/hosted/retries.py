"""Which of an endpoint's errors pass, and how long to wait before the next attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backends.hosted.server_messages import parsed, server_message
from backends.hosted.wait_times import asks_to_wait, requested_wait

if TYPE_CHECKING:
    from openai import APIStatusError
    from tenacity import RetryCallState

__all__ = [
    "LONGEST_OWN_WAIT",
    "Malformed",
    "TimedOut",
    "describe_error",
    "is_starting",
    "may_pass",
    "message_of",
    "out_of_money",
    "overloaded",
    "wait",
    "wait_of",
]

LONGEST_OWN_WAIT = 30.0
"""Seconds up to which a request waits alone between two attempts."""

_TEMPORARY = {408, 409, 425, 429}
_CROWDED = {503, 529}
_NO_MONEY = {"insufficient_quota", "insufficient_credits", "insufficient_balance", "billing_hard_limit_reached"}


class Malformed(Exception):
    """The server answered, but not with a completion: HTML, another schema, an unknown finish reason, a flood."""


class TimedOut(Exception):
    """No complete reply within the teacher's `timeout`."""


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return (error.status_code in _TEMPORARY or error.status_code >= 500) and not out_of_money(error)
    return isinstance(error, (APIConnectionError, Malformed, TimedOut))


def describe_error(error: Exception, timeout: float) -> str:
    """What an endpoint did, with its own message, which may quote the key. Raises `error` when it is no endpoint's."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        message = message_of(error)
        return f"HTTP {error.status_code}: {message}" if message else f"HTTP {error.status_code}"
    if isinstance(error, APIConnectionError) and isinstance(error.__cause__, Malformed):
        error = error.__cause__
    if isinstance(error, APIConnectionError):
        return f"no connection: {error.__cause__ or error}"
    if isinstance(error, TimedOut):
        return f"no reply within {timeout:g} s"
    if isinstance(error, Malformed):
        return f"not a completion: {error}"
    raise error


def message_of(error: APIStatusError) -> str:
    """The server's own message on one line; empty when it sent none."""
    return server_message(_body(error))


def _body(error: APIStatusError) -> object:
    """The whole body: the client's `body` is a part of it."""
    response = error.response
    return parsed(response.content) if response.is_stream_consumed and response.content else error.body


def out_of_money(error: Any) -> bool:
    """402, or a 429 that no waiting changes."""
    return getattr(error, "code", None) in _NO_MONEY or getattr(error, "status_code", None) == 402


def overloaded(error: APIStatusError) -> bool:
    """The endpoint works and gets too much: 429, or 503 and 529 that say when to come back."""
    if out_of_money(error):
        return False
    return error.status_code == 429 or (error.status_code in _CROWDED and asks_to_wait(error.response.headers))


def is_starting(error: Exception) -> bool:
    """Whether a server is there and not ready yet, as one that loads its model."""
    from openai import APIStatusError

    return isinstance(error, APIStatusError) and error.status_code == 503


def wait_of(error: APIStatusError) -> float:
    """Seconds until the server wants the next request; 0 when it doesn't say."""
    return requested_wait(error.response.headers, _body(error))


def wait(state: RetryCallState, longest: float = LONGEST_OWN_WAIT) -> float:
    """What the server asks for, else exponential with full jitter up to `longest`, in seconds. A long wait that it asks
    for is the endpoint's pause, which applies to all requests."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, APIStatusError) and overloaded(error) and (asked := wait_of(error)) > 0:
        return asked if asked <= LONGEST_OWN_WAIT else 0.0
    return wait_random_exponential(multiplier=0.5, max=longest)(state)
