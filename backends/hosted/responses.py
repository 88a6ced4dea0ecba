"""Reading what an endpoint sends back. Pure: bytes in, a reply or the reason why it is none out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from backends.base import Failure, Prices
from backends.hosted.retries import Malformed

__all__ = ["Api", "Reply", "Usage", "object_in", "read_reply", "whole"]

Api = Literal["chat", "completions"]
_HALVES = re.compile("[\ud800-\udfff]")
_MOST_TOKENS = 2**53
_ALL_REASONING = "empty reply: all tokens went into the reasoning; raise --max-tokens"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as the endpoint counts them; None where it doesn't say. `cut`: they went up to the cap."""

    prompt: int | None = None
    completion: int | None = None
    cut: bool = False

    def cost(self, prices: Prices | None) -> float | None:
        """None where prices or tokens are unknown."""
        if prices is None or self.prompt is None or self.completion is None:
            return None
        return prices.cost(self.prompt, self.completion)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    text: str
    reasoning: str | None
    usage: Usage

    @property
    def cut(self) -> bool:
        return self.usage.cut


def read_reply(content: bytes | dict[str, Any], api: Api, cap: int) -> tuple[Reply | Failure, Usage]:
    """The reply in a body, or why there is none; and what it took either way. `cap` is the limit of new tokens that
    was asked for: as many tokens as that are a cut reply, whatever the server says.

    Raises Malformed for what is no completion at all."""
    body = content if isinstance(content, dict) else object_in(content)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("the answer has no choices")
    choice = choices[0]
    message = choice.get("message") if api == "chat" else choice
    if not isinstance(message, dict):
        raise Malformed("the answer has no message")
    usage = _usage(body.get("usage"), choice.get("finish_reason"), cap)
    unwilling = _why_unwilling(choice, message)
    if unwilling:
        return Failure(reason=unwilling), replace(usage, cut=False)
    text = _joined(message.get("content" if api == "chat" else "text"))
    reasoning = message.get("reasoning_content") or message.get("reasoning") or None
    if not isinstance(text, str) or not text.strip():
        spent = usage.cut and reasoning
        return Failure(reason=_ALL_REASONING if spent else "empty reply"), usage
    thought = whole(reasoning) if isinstance(reasoning, str) else None
    return Reply(text=whole(text), reasoning=thought, usage=usage), usage


def _joined(content: Any) -> Any:
    """Some servers send a text as a list of parts; what isn't text is left out."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") in ("text", None)]
    return "".join(part for part in parts if isinstance(part, str))


def whole(text: str) -> str:
    """Half a character, which JSON can hold and nothing else, as the replacement character."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def object_in(content: bytes) -> dict[str, Any]:
    """Raises Malformed for anything but a JSON object."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed("the answer is not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("the answer is not a JSON object")
    return body


def _why_unwilling(choice: dict[str, Any], message: dict[str, Any]) -> str | None:
    if choice.get("finish_reason") == "content_filter":
        return "stopped by the content filter"
    if message.get("refusal"):
        return whole(f"refused: {' '.join(str(message['refusal']).split())[:160]}")
    return None


def _usage(stated: object, finish_reason: object, cap: int) -> Usage:
    """Some endpoints count reasoning in the total alone, and charge for it as for any other token."""
    counts = stated if isinstance(stated, dict) else {}
    prompt, completion, total = (_count(counts.get(f"{what}_tokens")) for what in ("prompt", "completion", "total"))
    cut = finish_reason == "length" or (completion is not None and completion >= cap)
    if prompt is not None and completion is not None and total is not None:
        completion = max(completion, total - prompt)
    return Usage(prompt=prompt, completion=completion, cut=cut)


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MOST_TOKENS else None
