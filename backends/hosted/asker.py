"""The requests in flight on one event loop: each is sent, tried again on what passes, and its outcome queued.

What can't pass for any request ends the run (TeacherError); what can't pass for one is that one's Failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.base import Answer, Completion, Failure, Outcome, Prices, Request, Sampling, TeacherError
from backends.hosted.client import body_of, connect, post
from backends.hosted.endpoints import Endpoint, Endpoints
from backends.hosted.replies import Reply, Usage, read_reply
from backends.hosted.retrying import Malformed, TimedOut, may_pass, out_of_money, overloaded, pause_asked, wait
from backends.hosted.timing import Deadlines

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Asker"]

_LINGER = 0.002  # seconds in which what finishes next is taken along, to be committed together
_FATAL = {401, 403, 404}
_HOPELESS = 10  # requests that were refused, with none answered, after which the rest is not tried


@dataclass(kw_only=True, slots=True)
class _Spent:
    """What a request has taken so far. Tokens are None until an endpoint has said some."""

    attempts: int = 0
    last_error: str | None = None
    seconds: float = 0.0
    prompt: int | None = None
    completion: int | None = None

    def add(self, usage: Usage) -> None:
        if usage.prompt is not None:
            self.prompt = (self.prompt or 0) + usage.prompt
        if usage.completion is not None:
            self.completion = (self.completion or 0) + usage.completion

    def cost(self, prices: Prices | None) -> float | None:
        if prices is None or self.prompt is None or self.completion is None:
            return None
        return prices.cost(self.prompt, self.completion)


class Asker:
    """Lives as long as its event loop. `key` is the API key, `key_name` the variable that holds it."""

    def __init__(
        self,
        options: Mapping[str, Any],
        endpoints: Sequence[Endpoint],
        sampling: Sampling,
        *,
        key: str,
        key_name: str,
        prices: Prices | None,
        clock: Callable[[], float],
    ) -> None:
        self._options, self._sampling, self._prices = options, sampling, prices
        self._key, self._key_name = key, key_name
        self._endpoints = Endpoints(all=endpoints, patience=float(options["patience"]), clock=clock)
        self._clock = clock
        self._clients: dict[str, AsyncOpenAI] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: asyncio.Queue[tuple[Request, Outcome | TeacherError]] = asyncio.Queue()
        self._limiters = _limiters(options)
        self._deadlines = Deadlines(float(options["timeout"]))
        self._answered, self._rejected = False, 0
        self.in_flight = 0

    @property
    def room(self) -> int:
        """How many new requests may be started now."""
        return max(0, self._endpoints.room(self.in_flight))

    def start(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        task = loop.create_task(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.in_flight += 1

    async def finished(self) -> list[Answer]:
        """What has finished, at least one. Raises the TeacherError that ends the run."""
        ready = [await self._results.get()]
        if self.in_flight > 1:
            await asyncio.sleep(_LINGER)
        while not self._results.empty():
            ready.append(self._results.get_nowait())
        self.in_flight -= len(ready)
        done: list[Answer] = []
        for request, outcome in ready:
            if isinstance(outcome, TeacherError):
                if done:  # what came before it is kept
                    self._results.put_nowait((request, outcome))
                    self.in_flight += 1
                    return done
                raise outcome
            done.append((request, outcome))
        return done

    async def wait_for_room(self) -> None:
        await self._endpoints.change()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._deadlines.close()
        for client in self._clients.values():
            await client.close()

    async def _run(self, request: Request) -> None:
        try:
            outcome: Outcome | TeacherError = await self._ask(request)
        except TeacherError as error:
            error.__cause__ = error.__context__ = None  # what the server said may quote the key
            outcome = error
        self._results.put_nowait((request, outcome))

    async def _ask(self, request: Request) -> Outcome:
        """A reply that was cut is asked for once more under a higher cap, and kept as it is then."""
        spent, cap = _Spent(), self._sampling.max_tokens
        reply = await self._tried(request, cap, spent)
        raised = int(cap * self._options["cut_factor"])
        if isinstance(reply, Reply) and reply.cut and raised > cap:
            again = await self._tried(request, raised, spent)
            if isinstance(again, Reply):
                reply, cap = again, raised
        if isinstance(reply, Failure):
            return Failure(
                reason=reply.reason,
                attempts=spent.attempts,
                prompt_tokens=spent.prompt,
                completion_tokens=spent.completion,
                cost=spent.cost(self._prices),
            )
        return Completion(
            text=reply.text,
            finish_reason="length" if reply.cut else "stop",
            prompt_tokens=spent.prompt,
            completion_tokens=spent.completion,
            seconds=spent.seconds,
            cost=spent.cost(self._prices),
            reasoning=reply.reasoning,
            attempts=spent.attempts,
            last_error=spent.last_error,
            cap=cap if cap != self._sampling.max_tokens else None,
        )

    async def _tried(self, request: Request, cap: int, spent: _Spent) -> Reply | Failure:
        """Ask until there is an outcome, at most `max_attempts` times."""
        body = body_of(request, self._sampling, cap, self._options)
        try:
            try:
                return await self._call(request, body, cap, spent)
            except Exception as error:
                if not may_pass(error):
                    raise
                return await self._retried(error, request, body, cap, spent)
        except Exception as error:
            if not spent.last_error or isinstance(error, TeacherError):
                raise
            self._reject(error)
        return Failure(reason=spent.last_error)

    async def _retried(
        self, first: Exception, request: Request, body: Mapping[str, Any], cap: int, spent: _Spent
    ) -> Reply | Failure:
        """The attempts after the first, which came to `first`. Only they pay for the retry machinery."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._options["max_attempts"]),
            retry=retry_if_exception(may_pass),
            wait=wait,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await self._call(request, body, cap, spent)
        raise AssertionError("tenacity returns or raises")

    async def _call(self, request: Request, body: Mapping[str, Any], cap: int, spent: _Spent) -> Reply | Failure:
        """One attempt. Whatever comes of it, the endpoint's pace and health hear of it."""
        for limiter, amount in self._limiters:
            await limiter.acquire(amount(request, cap))
        endpoint = await self._endpoints.acquire()
        started = self._clock()
        spent.attempts += 1
        try:
            async with self._deadlines.one():
                response = await post(self._client(endpoint), self._options["api"], body)
            reply, usage = read_reply(response.content, self._options["api"], cap)
            self._endpoints.answered(endpoint, started)
            self._endpoints.pause(endpoint, pause_asked(response.headers))
        except Exception as error:
            spent.last_error = self._note(endpoint, error, started)
            raise
        finally:
            self._endpoints.release(endpoint)
        self._answered = True
        spent.seconds += self._clock() - started
        spent.add(usage)
        return reply

    def _note(self, endpoint: Endpoint, error: Exception, started: float) -> str:
        """Tell pace and breaker of an error, and put it into words without the key."""
        from openai import APIConnectionError, APIStatusError

        if isinstance(error, APIStatusError):
            words = f"HTTP {error.status_code}: {error.message}"
        elif isinstance(error, APIConnectionError):
            words = f"no connection: {error.__cause__ or error}"
        elif isinstance(error, TimedOut):
            words = f"no reply within {self._options['timeout']:g} s"
        elif isinstance(error, Malformed):
            words = f"not a completion: {error}"
        else:
            raise error
        words = self._clean(words)
        if isinstance(error, APIStatusError) and overloaded(error):
            self._endpoints.refused(endpoint, started, pause_asked(error.response.headers))
        elif may_pass(error):
            self._endpoints.failed(endpoint, words)
        else:  # it lives, and doesn't like this request
            endpoint.failures = 0
        return words

    def _reject(self, error: Any) -> None:
        """Raises TeacherError, in our words (a server's may quote the key), when no request can get past `error`."""
        if may_pass(error):
            return
        where = str(error.request.url).removesuffix("/chat/completions").removesuffix("/completions")
        status = error.status_code
        if status in (401, 403):
            raise TeacherError(f"{where} refuses the key (HTTP {status}).", f"Check {self._key_name} in .env.")
        if status == 404:
            raise TeacherError(
                f"{where} knows no model '{self._options['model']}' (HTTP 404).", "Check model and base_url."
            )
        if out_of_money(error):
            raise TeacherError(
                f"{where} says that the account has no money left (HTTP 429).", "What was answered is kept."
            )
        self._rejected += 1
        if self._rejected >= _HOPELESS and not self._answered:
            raise TeacherError(
                f"{where} refuses every request (HTTP {status}: {self._clean(error.message)}).",
                "Check the teacher's settings; max_tokens_field, omit and extra shape the request.",
            )

    def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        if endpoint.url not in self._clients:
            self._clients[endpoint.url] = connect(endpoint.url, self._key)
        return self._clients[endpoint.url]

    def _clean(self, text: str) -> str:
        short = " ".join(text.split()).replace(self._key, "***") if self._key else " ".join(text.split())
        return short[:200]


def _limiters(options: Mapping[str, Any]) -> list[tuple[Any, Callable[[Request, int], float]]]:
    """(limiter, what a request takes of it): requests and tokens in a minute."""
    from aiolimiter import AsyncLimiter

    found: list[tuple[Any, Callable[[Request, int], float]]] = []
    if options["requests_per_minute"]:
        found.append((AsyncLimiter(options["requests_per_minute"], 60), lambda _request, _cap: 1))
    if options["tokens_per_minute"]:
        most = options["tokens_per_minute"]
        found.append((AsyncLimiter(most, 60), lambda request, cap: min(most, _guess(request, cap))))
    return found


def _guess(request: Request, cap: int) -> int:
    """Tokens that a request may take, before it is known: four characters a token, and the whole reply."""
    return sum(len(message.content) for message in request.messages) // 4 + cap
