"""How long a server asks to wait, by the headers or the body of its answer. Pure: text in, seconds out.

Sources: RFC 9110 (Retry-After), the IETF draft on RateLimit headers, and the references of OpenAI, Azure, Anthropic,
Groq, Together, OpenRouter, GitHub and Google (google.rpc.RetryInfo).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["asks_to_wait", "requested_wait"]

_LONGEST = 1e9  # seconds
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"millisecond": "ms", "second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d"}
_EPOCH = 1e9
"""From here on a number is a time since 1970 in seconds, not a duration: 32 years would be none."""

_EPOCH_MS = 1e12
_LIMIT_WORDS = ("", "-requests", "-tokens", "-input-tokens", "-output-tokens", "-requests-day", "-tokens-minute")
_RESETS = tuple(
    (f"{prefix}-remaining{what}", f"{prefix}-reset{what}")
    for prefix in ("x-ratelimit", "ratelimit", "x-rate-limit")
    for what in _LIMIT_WORDS
) + tuple((f"anthropic-ratelimit{what}-remaining", f"anthropic-ratelimit{what}-reset") for what in _LIMIT_WORDS[1:5])
"""(header of what remains, header of the reset)."""

_SPOKEN = re.compile(
    r"(?:try again|retry|retrying|come back|resets?|wait)\s+(?:again\s+)?(?:in|after|for)?\s*:?\s*"
    r"((?:[\d.]+\s*(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z]),?\s*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_PART = re.compile(r"([\d.]+)\s*([a-z]+)", re.IGNORECASE)
_MOST_DEEP = 8


def asks_to_wait(headers: Mapping[str, str]) -> bool:
    """Whether Retry-After or one of its relatives is there."""
    return any(name in headers for name in ("retry-after", "retry-after-ms", "x-ms-retry-after-ms"))


def requested_wait(headers: Mapping[str, str], body: object = None) -> float:
    """Seconds until the server wants the next request; 0 when it doesn't say.

    `headers` by lower-case names (or a case-insensitive mapping); `body` is the parsed body of an error. Retry-After
    wins; then the reset of a limit of which nothing remains; then what the body says."""
    if asks_to_wait(headers):
        stated = headers.get("retry-after", "")
        exact = headers.get("retry-after-ms", "") or headers.get("x-ms-retry-after-ms", "")
        found = _number(exact) / 1000 or _moment(stated)
    else:
        found = max((_moment(reset) for reset in _exhausted(headers)), default=0.0) or _in_body(body, _MOST_DEEP)
    return min(_LONGEST, found)


def _exhausted(headers: Mapping[str, str]) -> Iterator[str]:
    """The resets of the limits of which nothing remains."""
    for remaining, reset in _RESETS:
        if _is_zero(headers.get(remaining)):
            yield headers.get(reset, "")
    combined = headers.get("ratelimit", "")  # "limit=100, remaining=0, reset=50", or '"default";r=0;t=50'
    fields = dict(re.findall(r"\b(remaining|reset|r|t)\s*=\s*([\d.]+)", combined))
    if _is_zero(fields.get("remaining", fields.get("r"))):
        yield str(fields.get("reset") or fields.get("t") or "")


def _is_zero(text: str | None) -> bool:
    try:
        return text is not None and float(text) <= 0
    except ValueError:
        return False


def _in_body(value: object, depth: int) -> float:
    """RetryInfo (`retryDelay`), a field `retry_after`, headers that a gateway repeats, or words such as `try again in
    7m12s`."""
    if depth == 0:
        return 0.0
    if isinstance(value, str):
        return max((_duration(match[1]) for match in _SPOKEN.finditer(value[:10_000])), default=0.0)
    if isinstance(value, list):
        return max((_in_body(one, depth - 1) for one in value[:20]), default=0.0)
    if not isinstance(value, Mapping):
        return 0.0
    lower = {str(name).lower(): inner for name, inner in value.items()}
    for name in ("retrydelay", "retry_after", "retry_after_seconds", "estimated_time"):
        if isinstance(lower.get(name), (str, int, float)) and (found := _moment(str(lower[name]))):
            return found
    texts = {name: str(inner) for name, inner in lower.items() if isinstance(inner, (str, int, float))}
    if any("ratelimit" in name or name.startswith("retry-after") for name in texts):
        return requested_wait(texts)
    return max((_in_body(inner, depth - 1) for inner in value.values()), default=0.0)


def _moment(text: str) -> float:
    """Seconds until a stated moment: a number of seconds, a time since 1970 in seconds or milliseconds, a duration
    such as `6m0s`, an HTTP date or an ISO 8601 time."""
    text = text.strip()
    number = _number(text)
    if number >= _EPOCH_MS:
        return max(0.0, number / 1000 - time.time())
    if number >= _EPOCH:
        return max(0.0, number - time.time())
    return number or _until(text) or _duration(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _until(date: str) -> float:
    try:
        moment = datetime.fromisoformat(date) if re.match(r"\d{4}-\d\d-\d\d", date) else parsedate_to_datetime(date)
        stated = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, stated.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _duration(text: str) -> float:
    """`6m0s`, `120ms`, `2 minutes and 5 seconds`."""
    total = 0.0
    for amount, unit in _PART.findall(text):
        word = unit.lower()
        total += _number(amount) * _UNITS.get(_WORDS.get(word.rstrip("s"), word), 0.0)
    return total if math.isfinite(total) else _LONGEST
