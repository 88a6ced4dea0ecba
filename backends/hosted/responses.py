"""Read what an endpoint sends back. Pure: a body in, a reply or the reason why there is none out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from backends.base import Failure, Prices
from backends.finish_reasons import ending_of
from backends.hosted.retries import Malformed
from backends.hosted.server_messages import ServerError, error_in, server_message
from backends.reply_text import ALL_REASONING, visible_text

__all__ = ["Api", "ErrorInBody", "Reply", "Usage", "object_in", "read_reply", "well_formed"]

Api = Literal["chat", "completions"]
_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_TOKENS = 2**53
_SHOWN = 160  # characters of a refusal


class ErrorInBody(Malformed):
    """A body with HTTP status 200 that states an error."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(f"the server reports an error: {error.message}")
        self.error = error


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as the endpoint counts them; None where it doesn't say. `cut`: they reached the limit of new tokens."""

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
    """The reply in a body, or why there is none; and its usage either way. `cap` is the limit of new tokens that was
    requested: that many tokens are a truncated reply, whatever the server says.

    Raises Malformed for a body that is no completion and for a reply that the server aborted, ErrorInBody for a
    stated error: the same request may succeed later."""
    body = content if isinstance(content, dict) else _body(content)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _no_choices(body)
    choice = choices[0]
    message = choice.get("message") if api == "chat" else choice
    if stated := error_in(choice):
        raise ErrorInBody(stated)
    if not isinstance(message, dict):
        raise Malformed("the answer has no message")
    usage = _usage(body.get("usage"), choice.get("finish_reason"), cap)
    if reason := _why_unwilling(choice, message):
        return Failure(reason=reason), replace(usage, cut=False)
    return _reply(message, api, usage), usage


def _body(content: bytes) -> dict[str, Any]:
    """Raises ErrorInBody also for an error in a list, as Google sends it."""
    try:
        return object_in(content)
    except Malformed:
        try:
            stated = error_in(json.loads(content))
        except (ValueError, RecursionError):
            stated = None
        if stated is None:
            raise
        raise ErrorInBody(stated) from None


def _no_choices(body: dict[str, Any]) -> Malformed:
    if stated := error_in(body):
        return ErrorInBody(stated)
    said = server_message(body)
    return Malformed(f"the answer has no choices{f': {said}' if said else ''}")


def _reply(message: dict[str, Any], api: Api, usage: Usage) -> Reply | Failure:
    content = message.get("content" if api == "chat" else "text")
    text = _joined(content, ("text", None))
    reasoning = message.get("reasoning_content") or message.get("reasoning") or _thinking(content) or None
    if not isinstance(text, str) or not text.strip():
        return Failure(reason=ALL_REASONING if usage.cut and reasoning else "empty reply")
    if not visible_text(text):  # only reasoning that never ends, or only chat markup
        return Failure(reason=ALL_REASONING if usage.cut else "empty reply: it holds nothing but reasoning or markup")
    thought = well_formed(reasoning) if isinstance(reasoning, str) else None
    return Reply(text=well_formed(text), reasoning=thought, usage=usage)


def _thinking(content: Any) -> str:
    """Reasoning among the parts of a content, as Mistral and Anthropic send it."""
    if not isinstance(content, list):
        return ""
    found = []
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            inner = _joined(part.get("thinking") or part.get("text"), ("text", None))
            found.append(inner if isinstance(inner, str) else "")
    return "".join(found)


def _joined(content: Any, kinds: tuple[str | None, ...]) -> Any:
    """The text of a content that is a list of parts; parts of other kinds are left out."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") in kinds]
    return "".join(part for part in parts if isinstance(part, str))


def well_formed(text: str) -> str:
    """`text` with lone surrogates, which JSON can hold and UTF-8 can't, as the replacement character."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


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
    """Why the model or the endpoint declines this request; None otherwise.

    Raises Malformed for a reply that was aborted, by a stated failure or a finish reason that is not known."""
    ending = ending_of(choice.get("finish_reason"))
    if ending == "filtered":
        return "stopped by the content filter"
    if message.get("refusal"):
        return well_formed(f"refused: {' '.join(str(message['refusal']).split())[:_SHOWN]}")
    if ending == "tool call":
        return "the model called a tool instead of answering"
    if ending == "failed":
        raise Malformed(f"the reply ended with the finish reason {choice.get('finish_reason')!r:.40}")
    return None


def _usage(stated: object, finish_reason: object, cap: int) -> Usage:
    """Some endpoints count reasoning only in the total, and charge for it like other tokens."""
    counts = stated if isinstance(stated, dict) else {}
    prompt, completion, total = (_count(counts.get(f"{what}_tokens")) for what in ("prompt", "completion", "total"))
    cut = ending_of(finish_reason) == "truncated" or (completion is not None and completion >= cap)
    if prompt is not None and completion is not None and total is not None:
        completion = max(completion, total - prompt)
    return Usage(prompt=prompt, completion=completion, cut=cut)


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MOST_TOKENS else None
