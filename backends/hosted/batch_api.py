"""Batches of an endpoint that speaks OpenAI's Batch API: upload a file of requests, create, look, fetch the answers.

One retry layer, here, on what passes. A batch is never created twice: after an answer that got lost, the endpoint is
searched for the token first. Files go to and fro over the disk, never whole through memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from backends.base import BatchAnswer, BatchState, OutOfReach, Prices, Request, Sampling, TeacherError
from backends.hosted.batch_files import PATHS, lines, read_answer, read_state, request_line
from backends.hosted.client import body_of, connect_waiting, is_unreachable
from backends.hosted.responses import Api, object_in, whole
from backends.hosted.retries import Malformed, may_pass, out_of_money, overloaded, pause_asked

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI
    from tenacity import RetryCallState

__all__ = ["OpenAIBatches"]

T = TypeVar("T")
_LARGEST_FILE = 100_000_000  # bytes; endpoints allow that or more
_FIRST_PATIENCE = 4.0  # seconds with an endpoint that never answered
_PIECE = 1 << 16
_ABSENT = {404, 405, 501}
_PAGES, _PAGE = 10, 100  # batches looked through for a token, the newest first
_TOKEN = "tinyllm"  # noqa: S105 - the name under which a batch's metadata holds it


class _AnswerLost(Exception):
    """A batch was asked for, and it can't be told whether the endpoint made it."""


class OpenAIBatches:
    """`options` are the teacher's; `key` gives the API key, `key_name` is the variable that holds it; `prices` are
    those of an ordinary request."""

    def __init__(
        self,
        options: Mapping[str, Any],
        url: str,
        *,
        key: Callable[[], str],
        key_name: str,
        prices: Prices | None,
        prompt_at_most: Callable[[Request], int],
    ) -> None:
        self._options, self._key, self._key_name = options, key, key_name
        self._ordinary, self._prompt_at_most = prices, prompt_at_most
        self.url = url
        self.most_requests: int = options["batch_requests"]
        self.most_bytes = _LARGEST_FILE
        self.poll = float(options["batch_poll"])
        self._client: OpenAI | None = None
        self._answered = False

    def prices(self) -> Prices | None:
        ordinary, factor = self._ordinary, float(self._options["batch_discount"])
        if ordinary is None:
            return None
        return Prices(prompt=ordinary.prompt * factor, completion=ordinary.completion * factor, source=ordinary.source)

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        """A cut reply is not asked for again."""
        return self._prompt_at_most(request), sampling.max_tokens

    def line(self, name: str, request: Request, sampling: Sampling) -> bytes:
        body = body_of(request, sampling, sampling.max_tokens, self._options)
        return request_line(name, self._options["api"], body)

    def upload(self, file: BinaryIO, token: str) -> str:
        def send(client: OpenAI) -> str:
            file.seek(0)
            upload = (f"tinyllm-{token}.jsonl", file, "application/jsonl")
            found = object_in(client.files.with_raw_response.create(file=upload, purpose="batch").content)
            if not isinstance(found.get("id"), str):
                raise Malformed("the answer is no file")
            return str(found["id"])

        return self._tried(send)

    def create(self, file: str, token: str) -> BatchState | None:
        def send(client: OpenAI) -> BatchState:
            from openai import APIConnectionError, APIStatusError

            try:
                answer = client.batches.with_raw_response.create(
                    input_file_id=file,
                    endpoint=cast(Any, PATHS[self._options["api"]]),
                    completion_window="24h",
                    metadata={_TOKEN: token},
                )
                return self._state(object_in(answer.content))
            except APIStatusError as error:
                if _says_no(error):
                    raise
                raise _AnswerLost from None
            except (APIConnectionError, Malformed) as error:
                if is_unreachable(error.__cause__):
                    raise
                raise _AnswerLost from None

        try:
            return self._tried(send)
        except _AnswerLost:  # asking again could make, and cost, a second one
            with suppress(LookupError, TeacherError):
                return self.find(token)
        return None

    def find(self, token: str) -> BatchState | None:
        return self._tried(lambda client: self._search(client, token))

    def state(self, name: str) -> BatchState | None:
        from openai import NotFoundError

        def look(client: OpenAI) -> BatchState | None:
            try:
                return self._state(object_in(client.batches.with_raw_response.retrieve(name).content))
            except NotFoundError:
                return None

        return self._tried(look)

    def answers(self, batch: BatchState, sampling: Sampling) -> Iterator[BatchAnswer | None]:
        own: Api = self._options["api"]
        api = next((api for api, path in PATHS.items() if path == batch.path), own)
        prices = self.prices()
        for name in batch.files:
            with tempfile.TemporaryFile(prefix="tinyllm-") as file:
                self._tried(partial(_download, name=name, file=file))
                file.seek(0)
                for line in lines(file):
                    yield read_answer(line, api, sampling.max_tokens, prices, self._clean)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _search(self, client: OpenAI, token: str) -> BatchState | None:
        """Raises LookupError when the endpoint lists no batches."""
        from openai import APIStatusError, Omit, omit

        after: str | Omit = omit
        for _ in range(_PAGES):
            try:
                page = object_in(client.batches.with_raw_response.list(limit=_PAGE, after=after).content)
            except APIStatusError as error:
                if error.status_code in _ABSENT:
                    raise LookupError(f"{self.url} lists no batches") from None
                raise
            data = page.get("data")
            batches = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
            for one in batches:
                metadata = one.get("metadata")
                if isinstance(metadata, dict) and metadata.get(_TOKEN) == token:
                    return self._state(one)
            if not page.get("has_more") or not batches:
                return None
            after = str(batches[-1].get("id"))
        return None

    def _state(self, found: Mapping[str, Any]) -> BatchState:
        return read_state(found, self._clean)

    def _tried(self, call: Callable[[OpenAI], T]) -> T:
        """Raises TeacherError in our words (a server's may quote the key): OutOfReach when what passes did not."""
        from openai import OpenAIError
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

        give_up_after = float(self._options["give_up_after"])
        give_up_after = give_up_after if self._answered else min(give_up_after, _FIRST_PATIENCE)
        retrying = Retrying(
            stop=stop_after_attempt(self._options["max_attempts"]) | stop_before_delay(give_up_after),
            retry=retry_if_exception(may_pass),
            wait=_wait,
            reraise=True,
        )
        if self._client is None:
            self._client = connect_waiting(self.url, self._key(), float(self._options["timeout"]))
        try:
            result = retrying(call, self._client)
        except (OpenAIError, Malformed) as error:
            problem = self._problem(error)
        else:
            self._answered = True
            return result
        raise problem

    def _problem(self, error: Exception) -> TeacherError:
        status = getattr(error, "status_code", None)
        if status in (401, 403):
            return TeacherError(f"{self.url} refuses the key (HTTP {status}).", f"Check {self._key_name} in .env.")
        if out_of_money(error):
            return TeacherError(
                f"{self.url} says that the account has no money left (HTTP {status}).", "What was submitted is kept."
            )
        if status in _ABSENT:
            return TeacherError(
                f"{self.url} has no Batch API (HTTP {status}).", "Ask without --batch, or check base_url."
            )
        words = self._clean(f"HTTP {status}: {getattr(error, 'message', '')}" if status else _cause(error))
        if may_pass(error):
            return OutOfReach(
                f"{self.url} does not answer as it should ({words}).",
                "What was submitted is kept. Run the same command later.",
            )
        return TeacherError(f"{self.url} refuses the batch ({words}).", "Check the teacher's settings.")

    def _clean(self, text: str) -> str:
        key = self._key()
        short = whole(" ".join(text.split()))
        return (short.replace(key, "***") if key else short)[:400]


def _download(client: OpenAI, *, name: str, file: BinaryIO) -> None:
    import httpx2
    from openai import APIConnectionError, NotFoundError

    file.seek(0)
    file.truncate()
    try:
        with client.files.with_streaming_response.content(name) as response:
            for piece in response.iter_bytes(_PIECE):
                file.write(piece)
    except NotFoundError:
        raise LookupError(name) from None
    except httpx2.RequestError as error:  # broken in the middle
        raise APIConnectionError(request=error.request) from error


def _says_no(error: APIStatusError) -> bool:
    """Whether nothing came of it for sure: a 5xx may be a gateway's word while what is behind it still works."""
    status = error.status_code
    return (status < 500 and status not in (408, 409)) or status in _ABSENT or overloaded(error)


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, Malformed) else f"no connection: {error.__cause__ or error}"


def _wait(state: RetryCallState) -> float:
    """What the server asks for, else exponential with full jitter, in seconds."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = pause_asked(error.response.headers) if isinstance(error, APIStatusError) else 0.0
    return asked or wait_random_exponential(multiplier=0.5, max=30)(state)
