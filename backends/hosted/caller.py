"""One attempt of a request at an endpoint: sent within the teacher's timeout, its reply read. Clients are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backends.base import Failure
from backends.hosted.client import ApiKey, EndpointClient, connect, status_error
from backends.hosted.deadlines import Deadlines
from backends.hosted.endpoints import Endpoint
from backends.hosted.responses import ErrorInBody, Reply, Usage, read_reply
from backends.hosted.thin_post import RawReply

if TYPE_CHECKING:
    import httpx2

__all__ = ["Caller"]


class Caller:
    """Lives as long as its event loop. `options` are the teacher's."""

    def __init__(self, options: Mapping[str, Any], key: ApiKey) -> None:
        self._options, self._key = options, key
        self._clients: dict[str, EndpointClient] = {}
        self._deadlines = Deadlines(float(options["timeout"]))

    async def call(
        self, endpoint: Endpoint, body: Mapping[str, Any], cap: int
    ) -> tuple[Reply | Failure, Usage, Mapping[str, str]]:
        """The reply, its usage and the headers. Raises what `EndpointClient.post` and `read_reply` raise, and
        TimedOut."""
        if endpoint.url not in self._clients:
            self._clients[endpoint.url] = connect(endpoint.url, self._key, socket=endpoint.socket)
        async with self._deadlines.one():
            response = await self._clients[endpoint.url].post(self._options["api"], body)
        reply, usage = self._read(response, cap)
        return reply, usage, response.headers

    async def close(self) -> None:
        await self._deadlines.close()
        for client in self._clients.values():
            await client.close()

    def _read(self, response: RawReply | httpx2.Response, cap: int) -> tuple[Reply | Failure, Usage]:
        """`read_reply`; but an error in the body is raised as the status that it states."""
        content = self._key.redact_bytes(response.content)
        try:
            return read_reply(content, self._options["api"], cap)
        except ErrorInBody as error:
            raise status_error(response, error, content) or error from None
