"""Calls of an endpoint with `openai`'s clients: a request's body in, the reply's bytes out.

The raw response is used instead of the client's typed one, which takes half the client's time and trusts the body.
A body is read up to a limit and never decompressed. The key goes into the request's header and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from backends.base import Request, Sampling
from backends.hosted.responses import Api, ErrorInBody, well_formed
from backends.hosted.retries import Malformed
from backends.hosted.server_messages import LONGEST, parsed
from backends.hosted.thin_post import LARGEST_REPLY, RawReply, ThinPost, check_headers, not_http
from backends.network import client_options
from backends.sampling import sampling_fields
from backends.secrets import without_secrets

if TYPE_CHECKING:
    import httpx2
    from openai import APIStatusError, AsyncOpenAI, OpenAI

__all__ = [
    "LARGEST_REPLY",
    "ApiKey",
    "EndpointClient",
    "body_of",
    "connect",
    "connect_blocking",
    "is_unreachable",
    "status_error",
]

LARGEST_FILE = 4 * 2**30
"""Bytes of a batch's results, which go to disk."""

_PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}
_CONNECT_SECONDS = 10.0
_UNLIMITED = 0  # for aiohttp; None would be its own limit of 100, and the limit is ours to set
_NO_KEY = "none"  # the client requires one; a local server doesn't read it
_HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ApiKey:
    """An API key and the `name` of the variable that holds it. An empty `value` is no key."""

    name: str
    value: str = ""

    def redact(self, text: str) -> str:
        """A server's words on one line, without the key and what looks like one, at most LONGEST characters."""
        return well_formed(without_secrets(" ".join(text.split()), self.value))[:LONGEST]

    def redact_bytes(self, content: bytes) -> bytes:
        """What an endpoint sent, without the key where the endpoint repeats it."""
        return content.replace(self.value.encode(), b"***") if self.value else content


class EndpointClient:
    """Sends requests to one endpoint: by `ThinPost`, or by the whole client through a proxy and after a redirect."""

    def __init__(self, client: AsyncOpenAI, http: Any, *, direct: bool) -> None:
        self._client, self._http, self._direct = client, http, direct
        self._posts: dict[Api, ThinPost] = {}

    async def post(self, api: Api, body: Mapping[str, Any]) -> RawReply | httpx2.Response:
        """Raises openai's errors for a broken connection or a status over 399, Malformed for a body over the limit and
        for a server that does not speak HTTP."""
        reply = await self._thin(api).send(body) if self._direct else None
        if reply is None:
            return await self._through_client(api, body)
        if reply.status >= 400:
            raise self._client._make_status_error_from_response(_response(reply.status, reply, reply.content))
        return reply

    async def close(self) -> None:
        await self._client.close()

    def _thin(self, api: Api) -> ThinPost:
        if api not in self._posts:
            parts = urlsplit(str(self._client.base_url))
            query = urlencode(self._client.default_query)
            url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + _PATHS[api], query=query))
            self._posts[api] = ThinPost(self._client, self._http._transport, url, connect_seconds=_CONNECT_SECONDS)
        return self._posts[api]

    async def _through_client(self, api: Api, body: Mapping[str, Any]) -> httpx2.Response:
        import aiohttp
        import httpx2

        try:
            return await self._client.post(_PATHS[api], cast_to=httpx2.Response, body=body)
        except aiohttp.ClientError as error:  # the transport passes errors in the HTTP protocol on as they are
            raise not_http(error) from None


def connect(url: str, key: ApiKey, *, socket: str | None = None) -> EndpointClient:
    """A client of its own for an endpoint; `socket` is the path of a Unix socket to reach it by. Timeouts and retries
    are the caller's.

    Raises BadTeacherConfig for proxies or certificates of the environment that can't be used."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def hide(response: httpx2.Response) -> None:
        """Keep the key out of the client's own log when a server repeats it."""
        _hide_key(response, key)

    async def bound(response: httpx2.Response) -> None:
        _bound(response, _bounded_stream)

    timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)
    options = client_options(url) if socket is None else {"trust_env": False}
    http: Any = DefaultAioHttpClient(
        timeout=timeout,
        limits=httpx2.Limits(max_connections=_UNLIMITED, keepalive_expiry=30.0),
        event_hooks={"response": [hide, bound]},
        **options,
    )
    if socket is not None:
        http._transport.uds = socket
    client = AsyncOpenAI(http_client=http, **_common(url, key, timeout))
    return EndpointClient(client, http, direct=not options.get("proxy"))


def connect_blocking(url: str, key: ApiKey, seconds: float) -> OpenAI:
    """A client that waits for its answers, `seconds` for each part of them. Retries are the caller's.

    Raises BadTeacherConfig for proxies or certificates of the environment that can't be used."""
    import httpx2
    from openai import DefaultHttpxClient, OpenAI

    def check(response: httpx2.Response) -> None:
        _hide_key(response, key)
        _bound(response, _bounded_stream_blocking)

    timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
    http = DefaultHttpxClient(timeout=timeout, event_hooks={"response": [check]}, **client_options(url))
    return OpenAI(http_client=http, **_common(url, key, timeout))


def _common(url: str, key: ApiKey, timeout: httpx2.Timeout) -> dict[str, Any]:
    """Arguments of both clients. The query of `url`, such as Azure's api-version, goes with every request."""
    parts = urlsplit(url)
    return {
        "api_key": key.value or _NO_KEY,
        "base_url": urlunsplit(parts._replace(query="", fragment="")),
        "default_query": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "default_headers": _HEADERS,
        "max_retries": 0,
        "timeout": timeout,
    }


def body_of(request: Request, sampling: Sampling, cap: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body for `request`, up to `cap` new tokens. Fields in `omit` are left out, those in `extra` go last."""
    body = {"model": options["model"], **sampling_fields(sampling), options["max_tokens_field"]: cap}
    if sampling.temperature:
        body["seed"] = sampling.seed + request.sample  # samples are different draws
    if options["api"] == "chat":
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
    else:
        body["prompt"] = "\n\n".join(message.content for message in request.messages)
    return {**{name: value for name, value in body.items() if name not in options["omit"]}, **options["extra"]}


def status_error(response: RawReply | httpx2.Response, error: ErrorInBody, content: bytes) -> APIStatusError | None:
    """The error that the client would have raised, had the server sent the status that its body states; None when the
    body states none. `content` is the body."""
    from openai import APIStatusError

    stated = error.error
    if stated.status is None:
        return None
    body = parsed(content)
    found = _response(stated.status, response, content)
    return APIStatusError(stated.message, response=found, body=body.get("error") if isinstance(body, dict) else body)


def _response(status: int, answer: RawReply | httpx2.Response, content: bytes) -> httpx2.Response:
    import httpx2

    headers = [(name, value) for name, value in answer.headers.items() if name.lower() != "content-length"]
    return httpx2.Response(status, headers=headers, content=content, request=answer.request)


def is_unreachable(error: BaseException | None) -> bool:
    """Whether nothing listened at the address; `error` is the cause of the client's own error."""
    import aiohttp

    unreachable = aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    return error is not None and (isinstance(error, unreachable) or isinstance(error.__cause__, unreachable))


def _hide_key(response: httpx2.Response, key: ApiKey) -> None:
    if key.value and any(key.value.encode() in value for _, value in response.headers.raw):
        for name, value in response.headers.items():
            response.headers[name] = value.replace(key.value, "***")


def _bound(response: httpx2.Response, bounded: Callable[[Any, int], Any]) -> None:
    """Refuse a body over the limit before it is read, or while it is read; and one that is compressed, whose size
    can't be known before it fills the memory.

    Raises Malformed."""
    limit = LARGEST_FILE if response.request.url.path.endswith("/content") else LARGEST_REPLY
    if not check_headers(response.headers, limit):
        response.stream = bounded(response.stream, limit)


def _bounded_stream(stream: Any, limit: int) -> Any:
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for chunk in stream:
                read += len(chunk)
                if read > limit:
                    raise Malformed("the answer has no end")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()


def _bounded_stream_blocking(stream: Any, limit: int) -> Any:
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            read = 0
            for chunk in stream:
                read += len(chunk)
                if read > limit:
                    raise Malformed("the answer has no end")
                yield chunk

        def close(self) -> None:
            stream.close()

    return Bounded()
