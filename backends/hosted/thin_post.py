"""One POST on the session of `openai`'s aiohttp transport: what most requests need, without the client's layers.

They take two thirds of a request's time. The client still composes the address and the headers, and its errors are the
ones that are raised. Only a redirect and a proxy are left to the client itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from backends.hosted.retries import Malformed

if TYPE_CHECKING:
    import aiohttp
    import httpx2
    from openai import AsyncOpenAI

__all__ = ["LARGEST_REPLY", "RawReply", "ThinPost", "check_headers", "not_http"]

LARGEST_REPLY = 8 * 2**20
"""Bytes. A reply of 100,000 tokens has under one MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawReply:
    """`headers` by case-insensitive names; `request` is what was sent, without its body."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    request: httpx2.Request


class ThinPost:
    """POSTs JSON to `url` over `transport`, with the default headers of `client`."""

    def __init__(self, client: AsyncOpenAI, transport: Any, url: str, *, connect_seconds: float) -> None:
        from aiohttp import ClientTimeout
        from multidict import CIMultiDict
        from yarl import URL

        self._client, self._transport, self._url = client, transport, url
        stated = {name: value for name, value in client.default_headers.items() if isinstance(value, str)}
        self._headers = CIMultiDict({**stated, **client.auth_headers})
        self._address = URL(url, encoded=True)
        self._timeout = ClientTimeout(total=None, sock_connect=connect_seconds)

    @cached_property
    def request(self) -> httpx2.Request:
        import httpx2

        return httpx2.Request("POST", self._url)

    async def send(self, body: Mapping[str, Any]) -> RawReply | None:
        """None for a redirect: the request was not carried out.

        Raises openai's APIConnectionError for a broken connection, and Malformed for a server that does not speak HTTP
        and for a body that is compressed or over the limit."""
        import aiohttp
        from openai import APIConnectionError

        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        try:
            async with self._session().post(
                self._address,
                data=content,
                headers=self._headers,
                allow_redirects=False,
                auto_decompress=False,
                timeout=self._timeout,
            ) as answer:
                if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                    return None
                check_headers(answer.headers, LARGEST_REPLY)
                read = await _read(answer.content)
                return RawReply(status=answer.status, headers=answer.headers, content=read, request=self.request)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise APIConnectionError(request=self.request) from error
        except aiohttp.ClientError as error:
            raise not_http(error) from None

    def _session(self) -> aiohttp.ClientSession:
        from aiohttp import ClientSession

        if not isinstance(self._transport.client, ClientSession):
            self._transport.client = self._transport.get_client()
        session: ClientSession = self._transport.client
        return session


def not_http(error: aiohttp.ClientError) -> Malformed:
    """What an error in the HTTP protocol is reported as."""
    first = str(getattr(error, "message", "") or error).strip().partition("\n")[0]
    return Malformed(f"the server does not speak HTTP ({first.rstrip(':')})")


def check_headers(headers: Mapping[str, str], limit: int) -> bool:
    """Whether the body's size is stated. Raises Malformed for a body that is compressed, whose size can't be known
    before it fills the memory, and for one over `limit` bytes."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise Malformed(f"the answer is compressed ({encoding[:20]}), although that was not requested")
    stated = headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise Malformed(f"the answer has {int(stated):,} bytes")
    return bool(stated)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    chunks, size = [], 0
    async for chunk in stream.iter_any():
        size += len(chunk)
        if size > LARGEST_REPLY:
            raise Malformed("the answer has no end")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
