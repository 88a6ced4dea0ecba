"""What a server says about an error, in whichever schema it says it. Pure: parsed JSON or bytes in, text out.

Known: OpenAI `{"error": {"message"}}`, Google's list of that, `{"error": "text"}` (LM Studio, Ollama), FastAPI
`{"detail"}`, `{"message"}` (Mistral, Cohere, vLLM), `{"errors": [...]}`, OpenRouter's `metadata.raw`, and plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LONGEST", "ServerError", "error_in", "parsed", "server_message"]

LONGEST = 200
"""Characters of a server's message that are shown and stored."""

_FIELDS = ("message", "msg", "detail", "error", "errors", "error_message", "reason", "title", "description", "code")
_MOST_DEEP = 6
_STATUS: Mapping[str, int] = {
    "insufficient_quota": 402,
    "insufficient_credits": 402,
    "insufficient_balance": 402,
    "insufficient_funds": 402,
    "payment_required": 402,
    "billing_hard_limit_reached": 402,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "overloaded_error": 529,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "not_found": 404,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "unavailable": 503,
    "internal": 500,
    "server_error": 500,
    "api_error": 500,
}
"""The status that an error's code, status or type means, where it is sent with HTTP 200."""

_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerError:
    """An error that a body states. `status` is an HTTP status, None when the body names none."""

    message: str
    status: int | None = None


def parsed(content: bytes) -> Any:
    """The JSON value in a body, else its text."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def server_message(body: object) -> str:
    """The message in an error's body on one line, at most LONGEST characters; empty when there is none."""
    text = _message(body, _MOST_DEEP)
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:LONGEST]


def error_in(body: object) -> ServerError | None:
    """The error that a body states although the HTTP status is 200; None for any other body."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if not error and body.get("object") == "error":
        error = body
    if not error:
        return None
    return ServerError(message=server_message(error) or "an error without a message", status=_status(error))


def _status(error: object) -> int | None:
    if not isinstance(error, Mapping):
        return None
    for name in ("code", "status", "status_code", "type"):
        value = error.get(name)
        if isinstance(value, str) and value.isdigit():
            value = int(value[:4])
        if isinstance(value, int) and 400 <= value <= 599:
            return value
        if isinstance(value, str) and value.lower() in _STATUS:
            return _STATUS[value.lower()]
    return None


def _message(value: object, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_message(one, depth - 1) for one in value[:3])))
    if not isinstance(value, Mapping):
        return ""
    found = next((text for name in _FIELDS if (text := _message(value.get(name), depth - 1))), "")
    metadata = value.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None  # OpenRouter: what the provider said
    if isinstance(raw, str) and raw not in found:
        inner = _message(parsed(raw.encode(errors="replace")), depth - 1)
        return f"{found}: {inner}" if found and inner else found or inner
    return found
