"""Hosted teachers: any endpoint that speaks OpenAI's chat completions or completions.

One event loop, driven from `generate`: requests are pulled only as places in flight become free. Each request is
tried again on what passes (408, 409, 429, 5xx, a broken connection, a reply that is not one), waiting as long as
the server asks. What can't pass for any request ends the run; what can't pass for one is that one's failure.
The key comes from an environment variable and goes nowhere but into the request.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from backends import take
from backends.base import BadTeacherConfig, Completion, Failure, Outcome, Request, Sampling, TeacherError
from backends.retrying import Malformed, may_pass, out_of_money, wait

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAICompatibleTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "model": None,
    "base_url": None,
    "api_key_env": "OPENAI_API_KEY",
    "api": "chat",
    "max_in_flight": 32,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "timeout": 120.0,
    "max_attempts": 6,
    "price_prompt": None,
    "price_completion": None,
    "extra": {},
}
_FATAL = {401, 403, 404}


class OpenAICompatibleTeacher:
    """Settings: `model`; `base_url` (default: OPENAI_BASE_URL, else OpenAI's own); `api_key_env`, the *name* of the
    variable that holds the key; `api` (chat or completions); `max_in_flight`; `requests_per_minute` and
    `tokens_per_minute`; `timeout` in seconds; `max_attempts` for each request; `price_prompt` and
    `price_completion` in money per million tokens; `extra`, fields to add to each request's body."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._options = take(settings, "openai", _SETTINGS)
        if not self._options["model"]:
            raise BadTeacherConfig(
                "An openai teacher needs a model.", 'Give `model = "..."` in its table of tinyllm.toml.'
            )
        if self._options["api"] not in ("chat", "completions"):
            raise BadTeacherConfig(f"api can't be '{self._options['api']}'.", "Use chat or completions.")
        if min(self._options["max_in_flight"], self._options["max_attempts"]) < 1:
            raise BadTeacherConfig("max_in_flight and max_attempts must be 1 or more.")
        self._url = self._options["base_url"] or os.environ.get("OPENAI_BASE_URL") or None

    def identity(self) -> Mapping[str, str]:
        """The endpoint is no part of it: replicas of one model are one teacher."""
        return {"model": str(self._options["model"]), "revision": ""}

    def describe(self) -> Mapping[str, Any]:
        return {"endpoint": self._url or "https://api.openai.com/v1", "api": self._options["api"]}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[Request, Outcome]]:
        stream = iter(requests)
        first = next(stream, None)
        if first is None:
            return
        stream = chain((first,), stream)
        asker = _Asker(self._options, self._url, self._key(), sampling)
        loop = asyncio.new_event_loop()
        try:
            while True:
                for request in islice(stream, self._options["max_in_flight"] - asker.in_flight):
                    asker.start(loop, request)
                if not asker.in_flight:
                    return
                yield from loop.run_until_complete(asker.finished())
        finally:
            loop.run_until_complete(asker.close())
            loop.close()

    def close(self) -> None:
        """Nothing outlives `generate`."""

    def _key(self) -> str:
        name = str(self._options["api_key_env"])
        key = os.environ.get(name)
        if key:
            return key
        if self._url:
            return "none"  # a local server asks for none
        raise BadTeacherConfig(f"There is no key: the variable {name} is not set.", f"Put {name}=... into .env.")


class _Asker:
    """The requests in flight on one event loop."""

    def __init__(self, options: Mapping[str, Any], url: str | None, key: str, sampling: Sampling) -> None:
        self._options, self._url, self._key, self._sampling = options, url, key, sampling
        self._client: AsyncOpenAI | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: asyncio.Queue[tuple[Request, Outcome | TeacherError]] = asyncio.Queue()
        self._limiters = _limiters(options)
        self.in_flight = 0

    def start(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        task = loop.create_task(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.in_flight += 1

    async def finished(self) -> list[tuple[Request, Outcome]]:
        """What has finished, at least one. Raises the TeacherError that ends the run."""
        ready = [await self._results.get()]
        while not self._results.empty():
            ready.append(self._results.get_nowait())
        self.in_flight -= len(ready)
        done: list[tuple[Request, Outcome]] = []
        for request, outcome in ready:
            if isinstance(outcome, TeacherError):
                raise outcome
            done.append((request, outcome))
        return done

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _run(self, request: Request) -> None:
        try:
            outcome: Outcome | TeacherError = await self._ask(request)
        except TeacherError as error:
            outcome = error
        await self._results.put((request, outcome))

    async def _ask(self, request: Request) -> Outcome:
        from openai import APIConnectionError, APIStatusError, OpenAIError
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._options["max_attempts"]),
            retry=retry_if_exception(may_pass),
            wait=wait,
            reraise=True,
        )
        attempts = 0
        try:
            async for attempt in retrying:
                with attempt:
                    attempts += 1
                    return await self._call(request)
        except APIStatusError as error:
            if error.status_code in _FATAL or out_of_money(error):
                raise self._fatal(error) from None
            return Failure(reason=self._clean(f"HTTP {error.status_code}: {error.message}"), attempts=attempts)
        except APIConnectionError as error:
            return Failure(reason=self._clean(f"no connection: {error.__cause__ or error}"), attempts=attempts)
        except (Malformed, OpenAIError, ValueError) as error:
            return Failure(reason=self._clean(f"not a completion: {error}"), attempts=attempts)
        raise AssertionError("tenacity returns or raises")

    async def _call(self, request: Request) -> Outcome:
        for limiter, amount in self._limiters:
            await limiter.acquire(amount(request, self._sampling))
        started = time.monotonic()
        reply = await self._post(request)
        outcome = _outcome(reply, self._options)
        if isinstance(outcome, Failure):
            return outcome
        text, reason, usage = outcome
        prompt, completion = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
        return Completion(
            text=text,
            finish_reason="length" if reason == "length" else "stop",
            prompt_tokens=prompt,
            completion_tokens=completion,
            seconds=time.monotonic() - started,
            cost=_cost(prompt, completion, self._options),
        )

    async def _post(self, request: Request) -> Any:
        client, sampling = self._connect(), self._sampling
        body: dict[str, Any] = {
            "model": self._options["model"],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "extra_body": self._options["extra"] or None,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.temperature > 0:
            body["seed"] = sampling.seed + request.sample  # samples are different draws
        if self._options["api"] == "chat":
            messages = [{"role": message.role, "content": message.content} for message in request.messages]
            return await client.chat.completions.create(messages=messages, **body)  # type: ignore[arg-type]
        prompt = "\n\n".join(message.content for message in request.messages)
        return await client.completions.create(prompt=prompt, **body)

    def _connect(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI, DefaultAioHttpClient

            self._client = AsyncOpenAI(
                api_key=self._key,
                base_url=self._url,
                max_retries=0,  # retries are ours alone
                timeout=self._options["timeout"],
                http_client=DefaultAioHttpClient(),
            )
        return self._client

    def _fatal(self, error: Any) -> TeacherError:
        """In our words: a server's may quote the key."""
        where = self._url or "OpenAI"
        if error.status_code in (401, 403):
            name = self._options["api_key_env"]
            return TeacherError(f"{where} refuses the key (HTTP {error.status_code}).", f"Check {name} in .env.")
        if error.status_code == 404:
            return TeacherError(
                f"{where} knows no model '{self._options['model']}' (HTTP 404).", "Check model and base_url."
            )
        return TeacherError(
            f"{where} says that the account has no money left (HTTP 429).", "What was answered is kept."
        )

    def _clean(self, text: str) -> str:
        short = " ".join(text.split())[:200]
        return short if self._key == "none" else short.replace(self._key, "***")


def _outcome(reply: Any, options: Mapping[str, Any]) -> Failure | tuple[str, str, Any]:
    """(text, finish reason, usage) of a reply, or why it is none. Raises Malformed for what is no reply at all."""
    choices = getattr(reply, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise Malformed("the answer has no choices")
    choice = choices[0]
    message = getattr(choice, "message", None) if options["api"] == "chat" else choice
    text = getattr(message, "content" if options["api"] == "chat" else "text", None)
    reason = getattr(choice, "finish_reason", None) or "stop"
    if message is None:
        raise Malformed("the answer has no message")
    if reason == "content_filter":
        return Failure(reason="stopped by the content filter")
    if getattr(message, "refusal", None):
        return Failure(reason=f"refused: {' '.join(str(message.refusal).split())[:160]}")
    if not isinstance(text, str) or not text.strip():
        return Failure(reason="empty reply")
    return text, str(reason), getattr(reply, "usage", None)


def _cost(prompt: int | None, completion: int | None, options: Mapping[str, Any]) -> float | None:
    """Money by the user's prices per million tokens; None while a price or a count is unknown."""
    prices = (options["price_prompt"], options["price_completion"])
    if None in (*prices, prompt, completion):
        return None
    return float((prompt or 0) * prices[0] + (completion or 0) * prices[1]) / 1e6


def _limiters(options: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """(limiter, what a request takes of it): requests and tokens in a minute."""
    from aiolimiter import AsyncLimiter

    found: list[tuple[Any, Any]] = []
    if options["requests_per_minute"]:
        found.append((AsyncLimiter(options["requests_per_minute"], 60), lambda _request, _sampling: 1))
    if options["tokens_per_minute"]:
        most = options["tokens_per_minute"]
        found.append((AsyncLimiter(most, 60), lambda request, sampling: min(most, _guess(request, sampling))))
    return found


def _guess(request: Request, sampling: Sampling) -> int:
    """Tokens that a request may cost, before it is known: four characters a token, and the whole reply."""
    return sum(len(message.content) for message in request.messages) // 4 + sampling.max_tokens
