"""The requests in flight on one event loop: each is sent, retried after a temporary error, and its outcome queued.

An error that no request can get past ends the run (TeacherError); an error of one request is that request's Failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.base import Answer, Completion, Failure, Outcome, Prices, Request, Sampling, TeacherError
from backends.hosted import retries
from backends.hosted.caller import Caller
from backends.hosted.client import ApiKey, body_of, is_unreachable
from backends.hosted.endpoints import Endpoint, Endpoints
from backends.hosted.fatal_errors import FatalErrors
from backends.hosted.limits import limiters
from backends.hosted.responses import Reply
from backends.hosted.url_file import UrlFile
from backends.hosted.usage import RequestUsage
from backends.hosted.wait_times import requested_wait

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Scheduler"]

_LINGER = 0.002  # seconds in which more may finish, to be committed together
_MOST_TOGETHER = 64  # of them: no request is sent while they are committed
_LONGEST_WAIT = 4.0  # seconds between two attempts while other requests are answered
_MOST_WAITING = 16  # requests that wait for their next attempt while new ones are started


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """A request with its body and the limit of new tokens in it."""

    request: Request
    body: Mapping[str, Any]
    cap: int


class Scheduler:
    """Lives as long as its event loop. `clock` is the loop's, in seconds."""

    def __init__(
        self,
        options: Mapping[str, Any],
        endpoints: list[Endpoint],
        sampling: Sampling,
        *,
        key: ApiKey,
        prices: Prices | None,
        clock: Callable[[], float],
    ) -> None:
        self._options, self._sampling, self._prices = options, sampling, prices
        self._key, self._clock = key, clock
        self._endpoints = Endpoints(all=endpoints, give_up_after=float(options["give_up_after"]), clock=clock)
        self._caller = Caller(options, key)
        self._tasks: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[Any] | None] = set()  # those that an endpoint works on
        self._results: asyncio.Queue[tuple[Request, Outcome | Exception] | None] = asyncio.Queue()
        self._fatal: Exception | None = None
        self._limiters = limiters(options)
        self._following: asyncio.Task[None] | None = None
        self._fatal_errors = FatalErrors(options["model"], key)
        self._last_reply, self.in_flight, self._waiting = clock(), 0, 0

    @property
    def room(self) -> int:
        """How many new requests may be started now."""
        outstanding = self.in_flight - min(self._waiting, _MOST_WAITING)
        return 0 if self._fatal else max(0, self._endpoints.room(outstanding))

    def follow(self, loop: asyncio.AbstractEventLoop, file: UrlFile, allowed: Callable[[str], bool]) -> None:
        """From now on, use the endpoints that `file` lists."""

        def change(urls: Sequence[str]) -> None:
            self._endpoints.change_to(urls, self._options["max_in_flight"])
            self._results.put_nowait(None)  # there may be room for more

        self._endpoints.listed = True
        self._following = loop.create_task(file.follow(change, allowed))

    def start(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        task = loop.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.in_flight += 1

    async def finished(self) -> list[Answer]:
        """What has finished; an empty list when there is only room for more. Raises the error that ends the run, after
        the requests that endpoints were working on have been returned: they are paid for."""
        done: list[Answer] = []
        if not self._fatal:
            ready = [await self._results.get()]
            if self.in_flight > 1:
                await asyncio.sleep(_LINGER if self._results.qsize() < _MOST_TOGETHER else 0)  # new requests are sent
            done = self._collect(ready)
        while self._fatal and not done:
            for task in self._tasks - self._calling:
                task.cancel()
            if self._tasks and self._results.empty():
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            done = self._collect([])
            if not (done or self._tasks) and self._results.empty():
                self._raise_fatal()
        self.in_flight -= len(done)
        return done

    def _collect(self, ready: list[tuple[Request, Outcome | Exception] | None]) -> list[Answer]:
        """Outcomes of `ready` and the queue, _MOST_TOGETHER at most. The first error becomes what ends the run."""
        while not self._results.empty() and len(ready) < _MOST_TOGETHER:
            ready.append(self._results.get_nowait())
        done: list[Answer] = []
        for request, outcome in filter(None, ready):
            if not isinstance(outcome, Exception):
                done.append((request, outcome))
            elif self._fatal is None:
                self._fatal = outcome
        return done

    async def wait_for_room(self) -> None:
        self._raise_fatal()
        await self._endpoints.change()

    def _raise_fatal(self) -> None:
        """Raises the error that ends the run, if there is one."""
        if self._fatal:
            raise self._fatal

    async def close(self) -> None:
        tasks = [*self._tasks, *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._caller.close()

    async def _answer(self, request: Request) -> None:
        try:
            outcome: Outcome | Exception = await self._outcome(request)
        except Exception as error:  # noqa: BLE001 - raised by `finished`
            outcome = error
        self._put(request, outcome)

    def _put(self, request: Request, outcome: Outcome | Exception) -> None:
        if isinstance(outcome, TeacherError):
            outcome.__cause__ = outcome.__context__ = None  # the server's words may quote the key
        self._results.put_nowait((request, outcome))

    async def _outcome(self, request: Request) -> Outcome:
        """A truncated reply, also an empty one, is requested once more with a higher limit of new tokens."""
        spent, cap = RequestUsage(), self._sampling.max_tokens
        reply = await self._attempts(request, cap, spent)
        raised = int(cap * self._options["length_retry_factor"])
        if spent.cut and raised > cap:
            again = await self._second_call(request, raised, spent)
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

    async def _second_call(self, request: Request, cap: int, spent: RequestUsage) -> Reply | Failure | None:
        """The call after a truncated reply. That reply is kept when this call ends the run: None."""
        try:
            return await self._attempts(request, cap, spent)
        except TeacherError as error:
            self._put(request, error)
        except asyncio.CancelledError:
            if self._fatal is None:  # the user pressed Ctrl-C
                raise
        return None

    async def _attempts(self, request: Request, cap: int, spent: RequestUsage) -> Reply | Failure:
        """Call until there is an outcome, at most `max_attempts` times."""
        from openai import APIStatusError

        call = _Call(request=request, body=body_of(request, self._sampling, cap, self._options), cap=cap)
        try:
            try:
                return await self._call(call, spent)
            except Exception as error:
                if not retries.may_pass(error):
                    raise
                return await self._retry(error, call, spent)
        except Exception as error:
            if isinstance(error, APIStatusError):
                self._fatal_errors.check(error)
            elif not retries.may_pass(error):
                raise
        return Failure(reason=spent.last_error or "")

    async def _retry(self, first: Exception, call: _Call, spent: RequestUsage) -> Reply | Failure:
        """The attempts after the first, which raised `first`. Only they pay for tenacity's overhead."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._options["max_attempts"]),
            retry=retry_if_exception(retries.may_pass),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await self._call(call, spent)
        raise AssertionError("tenacity returns or raises")

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt: few while other requests are answered, more the longer none was."""
        return retries.wait(state, min(retries.LONGEST_OWN_WAIT, max(_LONGEST_WAIT, self._clock() - self._last_reply)))

    async def _sleep(self, seconds: float) -> None:
        """Wait between two attempts. Other requests may use the place meanwhile."""
        self._raise_fatal()
        self._waiting += 1
        self._results.put_nowait(None)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1

    async def _call(self, call: _Call, spent: RequestUsage) -> Reply | Failure:
        """One attempt. Its result updates the endpoint's limit and health."""
        from openai import APIStatusError

        self._raise_fatal()
        for limiter, amount in self._limiters:
            await limiter.acquire(amount(call.request, call.cap))
        endpoint = await self._endpoints.acquire()
        started = self._clock()
        spent.attempts += 1
        self._calling.add(asyncio.current_task())
        refused = False
        try:
            reply, usage, headers = await self._caller.call(endpoint, call.body, call.cap)
            self._endpoints.answered(endpoint, started)
            self._endpoints.pause(endpoint, requested_wait(headers))
        except Exception as error:
            refused = isinstance(error, APIStatusError) and retries.overloaded(error)
            spent.last_error = self._note(endpoint, error, started)
            raise
        finally:
            self._calling.discard(asyncio.current_task())
            self._release(endpoint, started, refused=refused)
        self._fatal_errors.note_answer()
        self._last_reply = self._clock()
        spent.seconds += self._clock() - started
        spent.add(usage)
        return reply

    def _release(self, endpoint: Endpoint, started: float, *, refused: bool) -> None:
        """Free the place now, or after the time for which the endpoint's limit keeps it taken."""
        hold = endpoint.concurrency.hold(started, self._clock(), refused=refused)
        if hold:
            asyncio.get_running_loop().call_later(hold, self._endpoints.release, endpoint)
            asyncio.get_running_loop().call_later(hold, self._results.put_nowait, None)  # there may be room for more
        else:
            self._endpoints.release(endpoint)

    def _note(self, endpoint: Endpoint, error: Exception, started: float) -> str:
        """Update the endpoint's limit and health after an error; the error in words, without the key."""
        from openai import APIConnectionError, APIStatusError

        cause = error.__cause__ if isinstance(error, APIConnectionError) else None
        if isinstance(cause, retries.Malformed):
            error = cause
        words = self._key.redact(retries.describe_error(error, self._options["timeout"]))
        if isinstance(error, APIStatusError) and retries.overloaded(error):
            self._endpoints.overloaded(endpoint, started, retries.wait_of(error))
        elif isinstance(error, retries.TimedOut):
            self._endpoints.timed_out(endpoint, started, words)
        elif retries.may_pass(error):
            starting = retries.is_starting(error)
            self._endpoints.failed(endpoint, words, unreachable=is_unreachable(cause), starting=starting)
        else:  # it works, and refuses this request
            endpoint.failures = 0
        return words
