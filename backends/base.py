"""The contract between tinyllm and a teacher.

An adapter takes requests and yields what became of them, in the order in which they finish: a list holds what
finished together, and is committed together. It knows nothing of data sets, databases or gold answers. Asynchronous
engines fit the same contract: an adapter may run an event loop or a server of its own, as long as `generate` pulls
requests only as fast as its engine takes them.

    TeacherError            displayed to the user as it is; `hint` says what to do next
    +-- ModelUnavailable    the model can't be had: unknown, gated, hub unreachable, unsafe format
    +-- BadTeacherConfig    a setting of the teacher is missing or wrong
    +-- OutOfReach          an endpoint does not answer for now
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol, runtime_checkable

__all__ = [
    "Answer",
    "BadTeacherConfig",
    "BatchAnswer",
    "BatchState",
    "Batches",
    "Batching",
    "Charging",
    "Completion",
    "Failure",
    "Hosted",
    "Message",
    "ModelUnavailable",
    "OutOfReach",
    "Outcome",
    "PaceChange",
    "Prices",
    "Rendering",
    "Request",
    "Sampling",
    "Selective",
    "Teacher",
    "TeacherError",
]

FinishReason = Literal["stop", "length", "recorded"]


class TeacherError(Exception):
    """The whole run can't go on because of what the message says. Single questions fail as `Failure` instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ModelUnavailable(TeacherError):
    """The model could not be loaded because it is unknown, gated, out of reach or in an unsafe format."""


class BadTeacherConfig(TeacherError):
    """The adapter could not start because a setting of the teacher is missing or wrong."""


class OutOfReach(TeacherError):
    """The endpoint gave no usable answer for a while; the same may work later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a teacher samples. `temperature` 0 is greedy; `max_tokens` counts new tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One thing to ask. `split` and `key` are the data set's own names for the question (recorded teachers join by
    them); `sample` numbers repeated draws of one prompt from 0."""

    split: str
    key: str
    messages: tuple[Message, ...]
    sample: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A teacher's reply, as it came. Counts are tokens, `seconds` is wall time spent on this reply (its share of a
    batch), `cost` is money or None when unknown, `answer` is an option index that a source states beside the text.
    Tokens and cost are those of all the calls that the reply took, as far as they are known."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None
    answer: int | None = None
    reasoning: str | None = None
    """What a reasoning model thought before it wrote `text`, where the endpoint says it apart."""

    attempts: int = 1
    last_error: str | None = None
    """Why the call before the last one came to nothing."""

    cap: int | None = None
    """The limit of new tokens that held at the end, when it was raised over the sampling's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why one request came to nothing, and what that cost. The run goes on; the next run asks again."""

    reason: str
    attempts: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


Outcome = Completion | Failure
Answer = tuple[Request, Outcome]


class Teacher(Protocol):
    """A teacher adapter. Constructed as `Adapter(settings)` with the options of `[teachers.NAME]`; construction is
    cheap, engines start with the first request."""

    def identity(self) -> Mapping[str, str]:
        """`model` and `revision`: what, besides prompt and sampling, decides what this teacher writes. Available
        without loading anything, because resuming must not load an engine to find that nothing is missing."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What is known of the engine for the record: library versions, dtype, device. Fuller once loaded."""
        ...

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        """Answer each request once, in any order, holding no more of `requests` than the engine has in flight.
        What has finished is yielded at once, never held back to make a list longer. May be called again.

        Raises TeacherError when no request can succeed (no such model, bad key)."""
        ...

    def close(self) -> None:
        """Free what the engine holds. Safe to call twice, and without `generate` having run."""
        ...


@runtime_checkable
class Selective(Teacher, Protocol):
    """A teacher that has answers to some requests only, and knows to which before it is asked."""

    def edition(self, request: Request) -> str | None:
        """None when there is no answer to this request; else a short text that changes when the answer would."""
        ...


@runtime_checkable
class Rendering(Teacher, Protocol):
    """A teacher that knows the text which its model really reads."""

    def render(self, request: Request) -> str | None:
        """The prompt after the model's chat template, special tokens and all; None when it can't be told."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Money per million tokens. `source` says who states them."""

    prompt: float
    completion: float
    source: str

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceChange:
    """From `seconds` after the start on, up to `in_flight` requests were in flight at `endpoint`, because of `why`."""

    seconds: float
    endpoint: str
    in_flight: int
    why: str


@runtime_checkable
class Charging(Protocol):
    """What takes tokens, and money for them."""

    def prices(self) -> Prices | None:
        """None when unknown."""
        ...

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        """(prompt tokens, completion tokens) that a request can take, a second call for a cut reply included."""
        ...


@runtime_checkable
class Hosted(Teacher, Charging, Protocol):
    """A teacher behind somebody's endpoint: it may cost money, and its pace is found on the way."""

    def costs_money(self) -> bool:
        """Whether asking may cost money: a price is known, or none is known and the endpoint is not this machine's
        or this network's own."""
        ...

    def concurrency(self) -> int:
        """How many requests it is likely to keep in flight, for an estimate of time."""
        ...

    def pace(self) -> list[PaceChange]:
        """How the number of requests in flight went, so far."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchState:
    """A batch as its endpoint tells of it. `done` requests are through, well or not; `files` hold what came of them;
    `trouble` says why it failed. `path` is the API that was asked."""

    id: str
    status: str
    path: str = ""
    done: int = 0
    files: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAnswer:
    """What became of the request that was called `name`; None when it was never worked on."""

    name: str
    outcome: Outcome | None


class Batches(Charging, Protocol):
    """One teacher's batches at its endpoint: requests go there in a file, and answers are fetched later, for less.
    All methods may raise TeacherError, and OutOfReach after having tried again for a while."""

    url: str
    most_requests: int
    most_bytes: int
    """Limits of one batch."""

    poll: float
    """Seconds between two looks at a batch."""

    def line(self, name: str, request: Request, sampling: Sampling) -> bytes:
        """`request` as a line of a batch's file."""
        ...

    def upload(self, file: BinaryIO, token: str) -> str:
        """The uploaded file's name at the endpoint."""
        ...

    def create(self, file: str, token: str) -> BatchState | None:
        """A batch of an uploaded file, with `token` to find it by. None: it can't be told whether it arrived."""
        ...

    def find(self, token: str) -> BatchState | None:
        """The batch with `token`; None when there is none. Raises LookupError where the endpoint lists no batches."""
        ...

    def state(self, name: str) -> BatchState | None:
        """None when the endpoint knows no such batch."""
        ...

    def answers(self, batch: BatchState, sampling: Sampling) -> Iterator[BatchAnswer | None]:
        """What came of each request; None for a line that can't be read. Raises LookupError when a file is gone."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Batching(Hosted, Protocol):
    """A teacher that also takes requests in batches."""

    def batches(self) -> Batches: ...
