"""One call of an endpoint over `openai`'s aiohttp client: a request's body out, the reply's bytes in.

The raw response is taken instead of the client's typed one, which costs half the client's time and trusts the body.
A body is read up to a limit. The key goes into the request's header and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from backends.base import Request, Sampling
from backends.hosted.responses import Api
from backends.hosted.retries import Malformed

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, OpenAI

__all__ = ["body_of", "connect", "connect_waiting", "is_unreachable", "post"]

LARGEST_REPLY = 8 * 2**20
"""Bytes. A reply of 100,000 tokens has under one."""

_PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}
_CONNECT_SECONDS = 10.0
_UNLIMITED = 0  # to aiohttp; None would be its own limit of 100, and the pace is ours to set
_NO_KEY = "none"  # the client wants one; a local server doesn't read it


def connect(url: str, key: str) -> AsyncOpenAI:
    """A client of its own for an endpoint. Time-outs and retries are the caller's."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def hide(response: httpx2.Response) -> None:
        """Not even the client's own log may get the key from a server that repeats it."""
        if key and any(key.encode() in value for _, value in response.headers.raw):
            for name, value in response.headers.items():
                response.headers[name] = value.replace(key, "***")

    timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)
    http = DefaultAioHttpClient(
        timeout=timeout,
        limits=httpx2.Limits(max_connections=_UNLIMITED, keepalive_expiry=30.0),
        event_hooks={"response": [hide, _bound]},
    )
    return AsyncOpenAI(
        api_key=key or _NO_KEY,
        base_url=url,
        max_retries=0,
        timeout=timeout,
        http_client=http,
        default_headers={"Accept-Encoding": "identity"},
    )


def connect_waiting(url: str, key: str, seconds: float) -> OpenAI:
    """A client that waits for its answers, `seconds` for each piece of them. Retries are the caller's."""
    import httpx2
    from openai import OpenAI

    timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
    return OpenAI(api_key=key or _NO_KEY, base_url=url, max_retries=0, timeout=timeout)


def body_of(request: Request, sampling: Sampling, cap: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body that asks for `request`, up to `cap` new tokens. Fields of `omit` are left
    out, those of `extra` go last."""
    body: dict[str, Any] = {
        "model": options["model"],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        options["max_tokens_field"]: cap,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.temperature > 0:
        body["seed"] = sampling.seed + request.sample  # samples are different draws
    if options["api"] == "chat":
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
    else:
        body["prompt"] = "\n\n".join(message.content for message in request.messages)
    return {**{name: value for name, value in body.items() if name not in options["omit"]}, **options["extra"]}


async def post(client: AsyncOpenAI, api: Api, body: Mapping[str, Any]) -> httpx2.Response:
    """Raises openai's errors for a broken connection or a status over 399, Malformed for a body over the limit."""
    import httpx2

    return await client.post(_PATHS[api], cast_to=httpx2.Response, body=body)


def is_unreachable(error: BaseException | None) -> bool:
    """Whether nobody was there to connect to; `error` is what the client's own came from."""
    import aiohttp

    return error is not None and isinstance(
        error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    )


async def _bound(response: httpx2.Response) -> None:
    """Refuse a body over the limit before it is read, or while it comes."""
    stated = response.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > LARGEST_REPLY:
        raise Malformed(f"the answer has {int(stated):,} bytes")
    if not stated:
        response.stream = _bounded_stream(response.stream)


def _bounded_stream(stream: Any) -> Any:
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for chunk in stream:
                read += len(chunk)
                if read > LARGEST_REPLY:
                    raise Malformed("the answer has no end")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()
