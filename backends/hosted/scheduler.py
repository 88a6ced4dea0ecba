"""The requests in flight on one event loop: each is sent, tried again on what passes, and its outcome queued.

What can't pass for any request ends the run (TeacherError); what can't pass for one is that one's Failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backends.base import Answer, Completion, Failure, Outcome, Prices, Request, Sampling, TeacherError
from backends.hosted import retries
from backends.hosted.client import body_of, connect, is_unreachable, post
from backends.hosted.deadlines import Deadlines
from backends.hosted.endpoints import Endpoint, Endpoints
from backends.hosted.fatal_errors import Refusals
from backends.hosted.limits import limiters
from backends.hosted.responses import Reply, read_reply, whole
from backends.hosted.usage import RequestUsage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Scheduler"]

_LINGER = 0.002  # seconds in which what finishes next is taken along, to be committed together
_MOST_RESTING = 16  # requests that wait for their next attempt while others are taken in


class Scheduler:
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
        self._key = key
        self._endpoints = Endpoints(all=endpoints, give_up_after=float(options["give_up_after"]), clock=clock)
        self._clock = clock
        self._clients: dict[str, AsyncOpenAI] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[Any] | None] = set()  # those at an endpoint
        self._results: asyncio.Queue[tuple[Request, Outcome | Exception] | None] = asyncio.Queue()
        self._fatal: Exception | None = None
        self._limiters = limiters(options)
        self._deadlines = Deadlines(float(options["timeout"]))
        self._refusals = Refusals(options["model"], key_name, self._clean)
        self.in_flight = self._resting = 0

    @property
    def room(self) -> int:
        """How many new requests may be started now."""
        outstanding = self.in_flight - min(self._resting, _MOST_RESTING)
        return 0 if self._fatal else max(0, self._endpoints.room(outstanding))

    def start(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        task = loop.create_task(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.in_flight += 1

    async def finished(self) -> list[Answer]:
        """What has finished; nothing, when there is only room for more. Raises the error that ends the run, once what
        was being answered is kept: it is paid for."""
        done: list[Answer] = []
        if not self._fatal:
            ready = [await self._results.get()]
            if self.in_flight > 1:
                await asyncio.sleep(_LINGER)
            done = self._sorted(ready)
        while self._fatal and not done:
            for task in self._tasks - self._calling:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            done = self._sorted([])
            if not (done or self._tasks):
                self._go_on()
        self.in_flight -= len(done)
        return done

    def _sorted(self, ready: list[tuple[Request, Outcome | Exception] | None]) -> list[Answer]:
        """The outcomes among `ready` and all that waits beside it; the first error is the one that ends the run."""
        while not self._results.empty():
            ready.append(self._results.get_nowait())
        done: list[Answer] = []
        for request, outcome in filter(None, ready):
            if not isinstance(outcome, Exception):
                done.append((request, outcome))
            elif self._fatal is None:
                self._fatal = outcome
        return done

    async def wait_for_room(self) -> None:
        self._go_on()
        await self._endpoints.change()

    def _go_on(self) -> None:
        """Raises the error that ends the run, once there is one."""
        if self._fatal:
            raise self._fatal

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._deadlines.close()
        for client in self._clients.values():
            await client.close()

    async def _run(self, request: Request) -> None:
        try:
            outcome: Outcome | Exception = await self._ask(request)
        except Exception as error:  # noqa: BLE001 - raised where the answers are waited for
            outcome = error
        self._put(request, outcome)

    def _put(self, request: Request, outcome: Outcome | Exception) -> None:
        if isinstance(outcome, TeacherError):
            outcome.__cause__ = outcome.__context__ = None  # what the server said may quote the key
        self._results.put_nowait((request, outcome))

    async def _ask(self, request: Request) -> Outcome:
        """A reply that was cut, also before it began, is asked for once more under a higher cap."""
        spent, cap = RequestUsage(), self._sampling.max_tokens
        reply = await self._tried(request, cap, spent)
        raised = int(cap * self._options["length_retry_factor"])
        if spent.cut and raised > cap:
            again = await self._longer(request, raised, spent)
            if again is not None and (isinstance(again, Reply) or isinstance(reply, Failure)):
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

    async def _longer(self, request: Request, cap: int, spent: RequestUsage) -> Reply | Failure | None:
        """The second call after a cut reply, which stays if this one ends the run."""
        try:
            return await self._tried(request, cap, spent)
        except TeacherError as error:
            self._put(request, error)
        except asyncio.CancelledError:
            if self._fatal is None:  # by Ctrl-C
                raise
        return None

    async def _tried(self, request: Request, cap: int, spent: RequestUsage) -> Reply | Failure:
        """Ask until there is an outcome, at most `max_attempts` times."""
        from openai import APIStatusError

        body = body_of(request, self._sampling, cap, self._options)
        try:
            try:
                return await self._call(request, body, cap, spent)
            except Exception as error:
                if not retries.may_pass(error):
                    raise
                return await self._retried(error, request, body, cap, spent)
        except Exception as error:
            if isinstance(error, APIStatusError):
                self._refusals.weigh(error)
            elif not retries.may_pass(error):
                raise
        return Failure(reason=spent.last_error or "")

    async def _retried(
        self, first: Exception, request: Request, body: Mapping[str, Any], cap: int, spent: RequestUsage
    ) -> Reply | Failure:
        """The attempts after the first, which came to `first`. Only they pay for the retry machinery."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._options["max_attempts"]),
            retry=retry_if_exception(retries.may_pass),
            wait=retries.wait,
            sleep=self._rest,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await self._call(request, body, cap, spent)
        raise AssertionError("tenacity returns or raises")

    async def _rest(self, seconds: float) -> None:
        """Between two attempts. Others may use the place meanwhile."""
        self._go_on()
        self._resting += 1
        self._results.put_nowait(None)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._resting -= 1

    async def _call(self, request: Request, body: Mapping[str, Any], cap: int, spent: RequestUsage) -> Reply | Failure:
        """One attempt. Whatever comes of it, the endpoint's pace and health hear of it."""
        self._go_on()
        for limiter, amount in self._limiters:
            await limiter.acquire(amount(request, cap))
        endpoint = await self._endpoints.acquire()
        started = self._clock()
        spent.attempts += 1
        self._calling.add(asyncio.current_task())
        try:
            async with self._deadlines.one():
                response = await post(self._client(endpoint), self._options["api"], body)
            reply, usage = read_reply(self._without_key(response.content), self._options["api"], cap)
            self._endpoints.answered(endpoint, started)
            self._endpoints.pause(endpoint, retries.pause_asked(response.headers))
        except Exception as error:
            spent.last_error = self._note(endpoint, error, started)
            raise
        finally:
            self._calling.discard(asyncio.current_task())
            self._endpoints.release(endpoint)
        self._refusals.end()
        spent.seconds += self._clock() - started
        spent.add(usage)
        return reply

    def _note(self, endpoint: Endpoint, error: Exception, started: float) -> str:
        """Tell pace and breaker of an error, and put it into words without the key."""
        from openai import APIConnectionError, APIStatusError

        cause = error.__cause__ if isinstance(error, APIConnectionError) else None
        if isinstance(cause, retries.Malformed):
            error = cause
        words = self._clean(retries.in_words(error, self._options["timeout"]))
        if isinstance(error, APIStatusError) and retries.overloaded(error):
            self._endpoints.refused(endpoint, started, retries.pause_asked(error.response.headers))
        elif isinstance(error, retries.TimedOut):
            self._endpoints.timed_out(endpoint, started, words)
        elif retries.may_pass(error):
            self._endpoints.failed(endpoint, words, unreachable=is_unreachable(cause))
        else:  # it lives, and doesn't like this request
            endpoint.failures = 0
        return words

    def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        if endpoint.url not in self._clients:
            self._clients[endpoint.url] = connect(endpoint.url, self._key)
        return self._clients[endpoint.url]

    def _without_key(self, content: bytes) -> bytes:
        """What an endpoint sent, also where it repeats what it was sent."""
        return content.replace(self._key.encode(), b"***") if self._key else content

    def _clean(self, text: str) -> str:
        short = " ".join(text.split())
        return whole((short.replace(self._key, "***") if self._key else short)[:200])
