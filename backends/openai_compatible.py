"""Hosted teachers: any endpoint with OpenAI's chat completions or completions API.

`generate` drives one event loop and takes requests only as places in flight become free. The key comes from an
environment variable and goes into the request's header only. The parts: `backends.hosted`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from backends import take
from backends.base import Answer, BadTeacherConfig, Completion, PaceChange, Prices, Request, Sampling
from backends.connections import allow_connections
from backends.hosted.batch_api import OpenAIBatches
from backends.hosted.client import ApiKey
from backends.hosted.concurrency import ConcurrencyLimit
from backends.hosted.endpoints import Endpoint
from backends.hosted.prices import OPENAI_URL, is_private, listed_prices
from backends.hosted.scheduler import Scheduler
from backends.hosted.settings import check_settings, checked_url
from backends.hosted.url_file import UrlFile
from backends.sampling import sent_sampling

__all__ = ["OpenAICompatibleTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "model": str,
    "base_url": None,
    "base_urls": list,
    "base_urls_file": str,
    "api_key_env": str,
    "api": "chat",
    "max_in_flight": None,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "timeout": 120.0,
    "give_up_after": 60.0,
    "max_attempts": 10,
    "length_retry_factor": 2.0,
    "price_prompt": None,
    "price_completion": None,
    "listed_prices": True,
    "batch_discount": 0.5,
    "batch_requests": 20_000,
    "batch_poll": 30.0,
    "max_tokens_field": "max_tokens",
    "omit": [],
    "extra": {},
}
_LIKELY = 32  # requests in flight that an estimate of time assumes while the limit is adaptive
_MARGIN = 1.25  # over the most tokens per character seen so far
_TEMPLATE = 64  # tokens that a chat template may add


class OpenAICompatibleTeacher:
    """Settings: `model`; `base_url` (default: OPENAI_BASE_URL, else OpenAI's), or several `base_urls` that share the
    load, or `base_urls_file`, a file or a directory of files with URLs, read again during a run; `api_key_env`, the
    *name* of the variable that holds the key; `api` (chat or completions); `max_in_flight` (default: adaptive),
    `requests_per_minute` and `tokens_per_minute`; `timeout` in seconds for one attempt, `give_up_after` in seconds for
    an endpoint that stops answering, `max_attempts` for each request;
    `length_retry_factor`, the factor of the token limit when a truncated reply is requested again (1: never);
    `price_prompt` and `price_completion` per million tokens, `listed_prices`, whether unknown ones are looked up in a
    list; `max_tokens_field`, `omit` (fields) and `extra` (fields)
    shape the body; `batch_discount` (a batch's share of the price), `batch_requests` (most in one batch) and
    `batch_poll` (seconds between two polls).

    `socket` is the path of a Unix socket to reach the endpoint by. Raises BadTeacherConfig for wrong settings, also
    for an OPENAI_BASE_URL that holds a secret."""

    def __init__(self, settings: Mapping[str, Any], *, socket: str | None = None) -> None:
        self._options = take(settings, "openai", _SETTINGS)
        check_settings(self._options)
        stated = self._options["base_urls_file"]
        self._file = None if stated is None else UrlFile(stated)
        self._urls = self._stated_urls() if self._file is None else self._file.read()
        self._known_prices: Prices | None = None
        self._priced = False
        self._density = 1.0  # most tokens per ASCII character of prompt
        self._calibrated = False
        fixed = self._options["max_in_flight"]
        allow_connections(len(self._urls) * (fixed or 1))
        self._endpoints = [Endpoint(url=url, concurrency=ConcurrencyLimit(fixed), socket=socket) for url in self._urls]
        self._began: float | None = None

    def _stated_urls(self) -> list[str]:
        own = self._options["base_url"] or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        return [checked_url(str(url)) for url in self._options["base_urls"] or [own]]

    def identity(self) -> Mapping[str, str]:
        """Without the endpoint: replicas of one model are one teacher."""
        return {"model": str(self._options["model"]), "revision": ""}

    def sent(self, sampling: Sampling) -> Sampling:
        return sent_sampling(sampling, self._options["omit"], self._options["extra"])

    def describe(self) -> Mapping[str, Any]:
        """With the settings that shape each request's body, where there are any."""
        shaping = {name: self._options[name] for name in ("omit", "extra") if self._options[name]}
        endpoints = [one.url for one in self._endpoints if not one.leaving]
        return {"endpoints": endpoints, "api": self._options["api"], **shaping}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        first = next(stream, None)
        if first is None:
            return
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # it closes cleanly on Ctrl-C
            scheduler = self._scheduler(runner.get_loop(), sampling)
            try:
                scheduler.start(runner.get_loop(), first)
                yield from self._drive(runner, scheduler, stream)
            finally:
                runner.run(scheduler.close())

    def _drive(self, runner: asyncio.Runner, scheduler: Scheduler, stream: Iterator[Request]) -> Iterator[list[Answer]]:
        exhausted = False
        while not exhausted or scheduler.in_flight:
            room = 0 if exhausted else scheduler.room
            taken = 0
            for request in islice(stream, room):
                scheduler.start(runner.get_loop(), request)
                taken += 1
            exhausted = exhausted or taken < room
            if scheduler.in_flight:
                answers = runner.run(scheduler.finished())
                self._update_density(answers)
                if answers:
                    yield answers
            elif not exhausted:
                runner.run(scheduler.wait_for_room())

    def close(self) -> None:
        """Nothing to close: connections end with `generate`."""

    def prices(self) -> Prices | None:
        if not self._priced:
            self._known_prices, self._priced = self._find_prices(), True
        return self._known_prices

    def costs_money(self) -> bool:
        prices = self.prices()
        if prices is not None:
            return prices.prompt + prices.completion > 0
        return not all(map(is_private, self._urls))

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        prompt = self._prompt_at_most(request)
        factor = max(1.0, float(self._options["length_retry_factor"]))
        if factor == 1:
            return prompt, sampling.max_tokens
        return 2 * prompt, sampling.max_tokens + int(sampling.max_tokens * factor)

    @property
    def _key_name(self) -> str:
        return self._options["api_key_env"] or "OPENAI_API_KEY"

    def batches(self) -> OpenAIBatches:
        """Batches go to the first of several endpoints. Raises BadTeacherConfig where they come and go."""
        if self._file is not None:
            raise BadTeacherConfig(
                "Batches need an endpoint that stays.", "Give base_url instead of base_urls_file, or leave --batch out."
            )
        return OpenAIBatches(
            self._options,
            self._urls[0],
            key=self._key,
            prices=self.prices(),
            prompt_at_most=self._prompt_at_most,
        )

    def concurrency(self) -> int:
        return (self._options["max_in_flight"] or _LIKELY) * max(1, len(self._urls))

    def pace(self) -> list[PaceChange]:
        found = [
            PaceChange(seconds=round(when - (self._began or when), 3), endpoint=endpoint.url, in_flight=limit, why=why)
            for endpoint in self._endpoints
            for when, limit, why in endpoint.concurrency.history
        ]
        return sorted(found, key=lambda change: change.seconds)

    def _prompt_at_most(self, request: Request) -> int:
        """The most tokens of a prompt. A token has at least one byte. Replies show how many ASCII characters it has;
        that says nothing about other scripts, which therefore count a token per byte."""
        size, plain = _sizes(request)
        return int(plain * self._density) + size - plain + _TEMPLATE

    def _scheduler(self, loop: asyncio.AbstractEventLoop, sampling: Sampling) -> Scheduler:
        """The endpoints' limits are kept from one `generate` to the next."""
        now = loop.time()
        self._began = now if self._began is None else self._began
        for endpoint in self._endpoints:
            endpoint.begin(now)
        scheduler = Scheduler(
            self._options, self._endpoints, sampling, key=self._key(), prices=self.prices(), clock=loop.time
        )
        if self._file is not None:
            paid = self.prices() is not None or self.costs_money()
            scheduler.follow(loop, self._file, lambda url: paid or is_private(url))
        return scheduler

    def _key(self) -> ApiKey:
        name = self._key_name
        if self._file is not None and not self._options["api_key_env"]:
            return ApiKey(name=name)  # whoever writes the file would get it
        key = os.environ.get(name, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise BadTeacherConfig(f"The key in {name} contains characters that no key has.", f"Check {name} in .env.")
        if key:
            return ApiKey(name=name, value=key)
        if OPENAI_URL not in self._urls and not self._options["api_key_env"]:
            return ApiKey(name=name)  # a local server needs none
        raise BadTeacherConfig(f"There is no key: the variable {name} is not set.", f"Add {name}=... to .env.")

    def _find_prices(self) -> Prices | None:
        own = (self._options["price_prompt"], self._options["price_completion"])
        if None not in own:
            return Prices(prompt=float(own[0]), completion=float(own[1]), source="tinyllm.toml")
        if not self._options["listed_prices"] or not self._urls or any(map(is_private, self._urls)):
            return None
        found = {listed_prices(url, str(self._options["model"])) for url in self._urls}
        return found.pop() if len(found) == 1 else None

    def _update_density(self, answers: Iterable[Answer]) -> None:
        """Keep the most tokens per ASCII character that the prompts so far had."""
        for request, outcome in answers:
            if isinstance(outcome, Completion) and outcome.prompt_tokens and outcome.attempts == 1:
                seen = min(1.0, _MARGIN * outcome.prompt_tokens / max(1, _sizes(request)[1]))
                self._density = max(self._density, seen) if self._calibrated else seen
                self._calibrated = True


def _sizes(request: Request) -> tuple[int, int]:
    """(bytes, ASCII characters) of the prompt."""
    texts = [message.content for message in request.messages]
    return sum(len(text.encode()) for text in texts), sum(len(text.encode("ascii", "ignore")) for text in texts)
