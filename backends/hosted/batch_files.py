"""The formats of the Batch API: the lines of request and result files, and a batch's state. Pure: nothing is sent here.

Results are read line by line; a line that can't be read loses one request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from backends.base import BatchAnswer, BatchState, Completion, Failure, Outcome, Prices
from backends.hosted.client import LARGEST_REPLY
from backends.hosted.responses import Api, Reply, object_in, read_reply
from backends.hosted.retries import Malformed
from backends.hosted.server_messages import server_message

__all__ = ["PATHS", "lines", "read_answer", "read_state", "request_line"]

PATHS: Mapping[Api, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_SHOWN = 3  # reasons of a failed batch
_NEVER_RUN = ("batch_expired", "batch_cancelled")


def request_line(name: str, api: Api, body: Mapping[str, Any]) -> bytes:
    line = {"custom_id": name, "method": "POST", "url": PATHS[api], "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of a line over LARGEST_REPLY, the first LARGEST_REPLY bytes."""
    while line := file.readline(LARGEST_REPLY):
        whole = line.endswith(b"\n")
        if line.strip():
            yield line
        while not whole and (rest := file.readline(LARGEST_REPLY)):
            whole = rest.endswith(b"\n")


def read_state(found: Mapping[str, Any], clean: Callable[[str], str]) -> BatchState:
    """Raises Malformed when `found` describes no batch."""
    name, status = found.get("id"), found.get("status")
    if not isinstance(name, str) or not name.isprintable() or not name or not isinstance(status, str):
        raise Malformed("the answer describes no batch")
    counts = found.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    files = (found.get("output_file_id"), found.get("error_file_id"))
    return BatchState(
        id=name,
        status=clean(status),
        path=str(found.get("endpoint") or ""),
        done=sum(count for kind in ("completed", "failed") if isinstance(count := counts.get(kind), int)),
        files=tuple(file for file in files if isinstance(file, str) and file and file.isprintable()),
        trouble=clean(_reasons(found.get("errors"))),
    )


def _reasons(errors: object) -> str:
    data = errors.get("data") if isinstance(errors, dict) else None
    reasons = [
        f"{one.get('message') or one.get('code')}" + (f" (line {one['line']})" if one.get("line") else "")
        for one in (data if isinstance(data, list) else [])
        if isinstance(one, dict)
    ]
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "; ".join(reasons[:_SHOWN]) + more


def read_answer(
    line: bytes, api: Api, cap: int, prices: Prices | None, clean: Callable[[str], str]
) -> BatchAnswer | None:
    """The outcome of the request that a result line names; None when it names none."""
    try:
        found = object_in(line)
    except Malformed:
        return None
    name = found.get("custom_id")
    if not isinstance(name, str):
        return None
    error, response = found.get("error"), found.get("response")
    if isinstance(error, dict):
        if error.get("code") in _NEVER_RUN:
            return BatchAnswer(name=name, outcome=None)
        words = ": ".join(str(error[part]) for part in ("code", "message") if error.get(part))
        return BatchAnswer(name=name, outcome=Failure(reason=clean(words or "an error without a message")))
    if not isinstance(response, dict):
        return BatchAnswer(name=name, outcome=Failure(reason="not a completion: the result has no response"))
    return BatchAnswer(name=name, outcome=_outcome(response, api, cap, prices, clean))


def _outcome(
    response: Mapping[str, Any], api: Api, cap: int, prices: Prices | None, clean: Callable[[str], str]
) -> Outcome:
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        return Failure(reason=clean(f"HTTP {status}: {server_message(body) or 'no reason given'}"))
    try:
        reply, usage = read_reply(body if isinstance(body, dict) else {}, api, cap)
    except Malformed as error:
        return Failure(reason=f"not a completion: {error}")
    cost = usage.cost(prices)
    if isinstance(reply, Reply):
        return Completion(
            text=reply.text,
            finish_reason="length" if reply.cut else "stop",
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cost=cost,
            reasoning=reply.reasoning,
        )
    return Failure(reason=reply.reason, prompt_tokens=usage.prompt, completion_tokens=usage.completion, cost=cost)
