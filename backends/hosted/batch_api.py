"""Batches of an endpoint with OpenAI's Batch API: upload requests, create a batch, poll it, fetch answers.

Temporary errors are retried here and nowhere else. A batch is never created twice: after a lost answer, the endpoint
is searched for the token first. Files are streamed to and from the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from backends.base import BatchAnswer, BatchState, OutOfReach, Prices, Request, Sampling, TeacherError
from backends.hosted.batch_files import PATHS, lines, read_answer, read_state, request_line
from backends.hosted.client import ApiKey, body_of, connect_blocking, is_unreachable
from backends.hosted.responses import Api, object_in
from backends.hosted.retries import Malformed, describe_error, may_pass, out_of_money, overloaded, wait_of

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI
    from tenacity import RetryCallState

__all__ = ["OpenAIBatches"]

T = TypeVar("T")
_LARGEST_UPLOAD = 100_000_000  # bytes; endpoints allow that or more
_NEVER_ANSWERED = 4.0  # seconds to wait for an endpoint that never answered
_PIECE = 1 << 16
_ABSENT = {404, 405, 501}
_PAGES, _PAGE = 10, 100  # batches searched for a token, the newest first
_TOKEN = "tinyllm"  # noqa: S105 - the name under which a batch's metadata holds it


class _AnswerLost(Exception):
    """It is not known whether the endpoint created a batch."""


class OpenAIBatches:
    """`options` are the teacher's; `key` returns its API key; `prices` are those of an ordinary request."""

    def __init__(
        self,
        options: Mapping[str, Any],
        url: str,
        *,
        key: Callable[[], ApiKey],
        prices: Prices | None,
        prompt_at_most: Callable[[Request], int],
    ) -> None:
        self._options, self._key = options, key
        self._ordinary, self._prompt_at_most = prices, prompt_at_most
        self.url = url
        self.most_requests: int = options["batch_requests"]
        self.most_bytes = _LARGEST_UPLOAD
        self.poll = float(options["batch_poll"])
        self._client: OpenAI | None = None
        self._answered = False

    def prices(self) -> Prices | None:
        ordinary, factor = self._ordinary, float(self._options["batch_discount"])
        if ordinary is None:
            return None
        return Prices(prompt=ordinary.prompt * factor, completion=ordinary.completion * factor, source=ordinary.source)

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        """A truncated reply is not requested again."""
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
                raise Malformed("the answer describes no file")
            return str(found["id"])

        return self._retried(send)

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
                if _is_refusal(error):
                    raise
                raise _AnswerLost from None
            except (APIConnectionError, Malformed) as error:
                if is_unreachable(error.__cause__):
                    raise
                raise _AnswerLost from None

        try:
            return self._retried(send)
        except _AnswerLost:  # another request could create, and cost, a second batch
            with suppress(LookupError, TeacherError):
                return self.find(token)
        return None

    def find(self, token: str) -> BatchState | None:
        return self._retried(lambda client: self._search(client, token))

    def state(self, name: str) -> BatchState | None:
        from openai import NotFoundError

        def look(client: OpenAI) -> BatchState | None:
            try:
                return self._state(object_in(client.batches.with_raw_response.retrieve(name).content))
            except NotFoundError:
                return None

        return self._retried(look)

    def answers(self, batch: BatchState, sampling: Sampling) -> Iterator[BatchAnswer | None]:
        own: Api = self._options["api"]
        api = next((api for api, path in PATHS.items() if path == batch.path), own)
        prices = self.prices()
        for name in batch.files:
            with tempfile.TemporaryFile(prefix="tinyllm-") as file:
                self._retried(partial(_download, name=name, file=file))
                file.seek(0)
                for line in lines(file):
                    yield read_answer(self._key().redact_bytes(line), api, sampling.max_tokens, prices, self._clean)

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

    def _retried(self, call: Callable[[OpenAI], T]) -> T:
        """Raises TeacherError without the key; OutOfReach when a temporary error lasted too long."""
        from openai import OpenAIError
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

        give_up_after = float(self._options["give_up_after"])
        give_up_after = give_up_after if self._answered else min(give_up_after, _NEVER_ANSWERED)
        retrying = Retrying(
            stop=stop_after_attempt(self._options["max_attempts"]) | stop_before_delay(give_up_after),
            retry=retry_if_exception(may_pass),
            wait=_wait,
            reraise=True,
        )
        if self._client is None:
            self._client = connect_blocking(self.url, self._key(), float(self._options["timeout"]))
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
        said = self._clean(describe_error(error, float(self._options["timeout"])))
        if status in (401, 403):
            return TeacherError(f"{self.url} refuses the key ({said}).", f"Check {self._key().name} in .env.")
        if out_of_money(error):
            return TeacherError(
                f"{self.url} reports that the account has no money left ({said}).", "What was submitted is kept."
            )
        if status in _ABSENT:
            return TeacherError(f"{self.url} has no Batch API ({said}).", "Run without --batch, or check base_url.")
        if may_pass(error):
            return OutOfReach(
                f"{self.url} does not answer as it should ({said}).",
                "What was submitted is kept. Run the same command later.",
            )
        return TeacherError(f"{self.url} refuses the batch ({said}).", "Check the teacher's settings.")

    def _clean(self, text: str) -> str:
        return self._key().redact(text)


def _download(client: OpenAI, *, name: str, file: BinaryIO) -> None:
    """Write the file called `name` to `file`. Raises LookupError when the endpoint has none."""
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
    except httpx2.RequestError as error:  # the connection broke
        raise APIConnectionError(request=error.request) from error


def _is_refusal(error: APIStatusError) -> bool:
    """Whether certainly nothing was created: a gateway may send a 5xx while the server behind it still works."""
    status = error.status_code
    return (status < 500 and status not in (408, 409)) or status in _ABSENT or overloaded(error)


def _wait(state: RetryCallState) -> float:
    """The wait that the server asks for, else exponential with full jitter, in seconds."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = wait_of(error) if isinstance(error, APIStatusError) else 0.0
    return asked or wait_random_exponential(multiplier=0.5, max=30)(state)
