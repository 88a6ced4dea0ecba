"""Which of a hosted endpoint's errors pass, and how long to wait before asking again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Malformed", "may_pass", "out_of_money", "wait"]

_LONGEST_WAIT = 120.0
_PASSING = {408, 409, 429}


class Malformed(Exception):
    """The server answered, but not with a completion: HTML, an empty list of choices, another schema."""


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    from openai import APIConnectionError, APIResponseValidationError, APIStatusError

    if isinstance(error, APIStatusError) and not isinstance(error, APIResponseValidationError):
        return (error.status_code in _PASSING or error.status_code >= 500) and not out_of_money(error)
    return isinstance(error, (APIConnectionError, APIResponseValidationError, Malformed, ValueError))


def out_of_money(error: Any) -> bool:
    """A 429 that no waiting mends."""
    return getattr(error, "code", None) == "insufficient_quota"


def wait(state: RetryCallState) -> float:
    """As long as the server asks (Retry-After), else exponential with full jitter; seconds."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = getattr(getattr(error, "response", None), "headers", {}).get("retry-after")
    try:
        return min(_LONGEST_WAIT, max(0.0, float(asked or "")))
    except ValueError:  # not there, or a date
        return wait_random_exponential(multiplier=0.5, max=30)(state)
