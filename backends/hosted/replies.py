"""Reading what an endpoint sends back. Pure: bytes in, a reply or the reason why it is none out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from backends.base import Failure
from backends.hosted.retrying import Malformed

__all__ = ["Api", "Reply", "Usage", "read_reply"]

Api = Literal["chat", "completions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as the endpoint counts them; None where it doesn't say."""

    prompt: int | None = None
    completion: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    text: str
    cut: bool
    reasoning: str | None
    usage: Usage


def read_reply(content: bytes | dict[str, Any], api: Api, cap: int) -> tuple[Reply | Failure, Usage]:
    """The reply in a body, or why there is none; and what it took either way. `cap` is the limit of new tokens that
    was asked for: as many tokens as that are a cut reply, whatever the server says.

    Raises Malformed for what is no completion at all."""
    body = content if isinstance(content, dict) else _parse(content)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("the answer has no choices")
    choice = choices[0]
    message = choice.get("message") if api == "chat" else choice
    if not isinstance(message, dict):
        raise Malformed("the answer has no message")
    usage = _usage(body.get("usage"))
    text = message.get("content" if api == "chat" else "text")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    cut = choice.get("finish_reason") == "length" or (usage.completion is not None and usage.completion >= cap)
    failure = _why_not(choice, message, text, reasoning=bool(reasoning), cut=cut)
    if failure:
        return Failure(reason=failure), usage
    assert isinstance(text, str)
    return Reply(text=text, cut=cut, reasoning=reasoning if isinstance(reasoning, str) else None, usage=usage), usage


def _parse(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed("the answer is not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("the answer is not a JSON object")
    return body


def _why_not(
    choice: dict[str, Any], message: dict[str, Any], text: object, *, reasoning: bool, cut: bool
) -> str | None:
    if choice.get("finish_reason") == "content_filter":
        return "stopped by the content filter"
    if message.get("refusal"):
        return f"refused: {' '.join(str(message['refusal']).split())[:160]}"
    if isinstance(text, str) and text.strip():
        return None
    if cut and reasoning:
        return "empty reply: all tokens went into the reasoning; raise --max-tokens"
    return "empty reply"


def _usage(stated: object) -> Usage:
    if not isinstance(stated, dict):
        return Usage()
    return Usage(prompt=_count(stated.get("prompt_tokens")), completion=_count(stated.get("completion_tokens")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
