"""The contract between tinyllm and a teacher.

An adapter takes requests and yields their outcomes in the order in which they finish: a list holds the outcomes that
finished together, and is committed together. It knows nothing about data sets, databases or gold answers. Asynchronous
engines fit the same contract: an adapter may run an event loop or a server of its own, as long as `generate` takes
requests only as fast as its engine does.

    TeacherError            shown to the user unchanged; `hint` says what to do next
    +-- ModelUnavailable    the model can't be loaded: unknown, gated, hub unreachable, incomplete, unsafe format
    +-- BadTeacherConfig    a setting of the teacher is missing or wrong
    +-- OutOfReach          an endpoint does not answer at the moment
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol, runtime_checkable

__all__ = [
    "Answer", "BadTeacherConfig", "BatchAnswer", "BatchState", "Batches", "Batching", "Charging", "Completion",
    "Failure", "Hosted", "Message", "ModelUnavailable", "OutOfReach", "Outcome", "PaceChange", "Prices",
    "Rendering", "Replicas", "Replicated", "Request", "Sampling", "Selective", "Teacher", "TeacherError",
]  # fmt: skip

FinishReason = Literal["stop", "length", "recorded"]


class TeacherError(Exception):
    """The run ends because of what the message says. Single questions fail as `Failure` instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ModelUnavailable(TeacherError):
    """The model can't be loaded because it is unknown, gated, unreachable, incomplete or in an unsafe format."""


class BadTeacherConfig(TeacherError):
    """The adapter can't start because a setting of the teacher, or of the environment, is missing or wrong."""


class OutOfReach(TeacherError):
    """The endpoint gave no usable answer for some time; the same request may succeed later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """`temperature` 0 is greedy; None: not set, so an endpoint uses its default. `max_tokens` counts new tokens."""

    temperature: float | None = 0.0
    top_p: float | None = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One prompt. `split` and `key` are the data set's own names of the question (recorded teachers join by them);
    `sample` numbers repeated draws of one prompt from 0."""

    split: str
    key: str
    messages: tuple[Message, ...]
    sample: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A teacher's reply, unchanged. Counts are tokens, `seconds` is wall time (its share of a batch), `cost` is in the
    currency of the prices or None when unknown, `answer` is an option index that a source states beside the text.
    Tokens and cost are sums over all calls for this reply, as far as they are known."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None
    answer: int | None = None
    reasoning: str | None = None
    """The reasoning before `text`, where the endpoint sends it separately."""

    attempts: int = 1
    last_error: str | None = None
    """Why the call before the last one failed."""

    cap: int | None = None
    """The limit of new tokens of the last call, when it was higher than the sampling's."""

    node: str | None = None
    """The node of a cluster that answered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why one request failed, and its cost. The run continues; the next run requests it again."""

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
        """`model` and `revision`: what this teacher's replies depend on besides prompt and sampling. Available without
        loading anything, because resuming must not load an engine to find that nothing is missing."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """The engine for the record: library versions, dtype, device. More complete after loading."""
        ...

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        """Answer each request once, in any order, taking no more of `requests` than the engine has in flight.
        Outcomes are yielded as soon as they finish; an empty list says that the work continues. May be called again.

        Raises TeacherError when no request can succeed (no such model, bad key)."""
        ...

    def close(self) -> None:
        """Free the engine's resources. Safe to call twice, and before `generate`."""
        ...


@runtime_checkable
class Selective(Teacher, Protocol):
    """A teacher that has answers to some requests only, and knows which."""

    def edition(self, request: Request) -> str | None:
        """None when there is no answer to this request; else a short text that changes with the answer."""
        ...


@runtime_checkable
class Rendering(Teacher, Protocol):
    """A teacher that knows the exact text which its model reads."""

    def render(self, request: Request) -> str | None:
        """The prompt after the model's chat template, with special tokens; None when it is not known."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas:
    """How many replicas of an engine are ready, of `wanted`, on how many nodes."""

    ready: int
    wanted: int
    nodes: int


@runtime_checkable
class Replicated(Teacher, Protocol):
    """A teacher whose engine runs several times on a cluster."""

    def replicas(self) -> Replicas: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Prices per million tokens, in the currency of the settings file. `source` says where they come from."""

    prompt: float
    completion: float
    source: str

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceChange:
    """From `seconds` after the start, the limit at `endpoint` was `in_flight` requests, because of `why`."""

    seconds: float
    endpoint: str
    in_flight: int
    why: str


@runtime_checkable
class Charging(Protocol):
    """Something that takes tokens and may charge for them."""

    def prices(self) -> Prices | None:
        """None when unknown."""
        ...

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        """The most (prompt tokens, completion tokens) of a request, including a second call after a truncated reply."""
        ...


@runtime_checkable
class Hosted(Teacher, Charging, Protocol):
    """A teacher behind an endpoint: it may cost money, and its concurrency limit is adaptive."""

    def costs_money(self) -> bool:
        """Whether requests may cost money: a price is known, or none is known and the endpoint is neither on this
        machine nor in this network."""
        ...

    def concurrency(self) -> int:
        """The likely number of requests in flight, for an estimate of time."""
        ...

    def pace(self) -> list[PaceChange]:
        """The changes of the concurrency limits so far."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchState:
    """A batch as its endpoint describes it. `done` requests have finished or failed; `files` hold their results;
    `trouble` says why the batch failed. `path` is the API that it uses."""

    id: str
    status: str
    path: str = ""
    done: int = 0
    files: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def over(self) -> bool:
        """Whether its results are final."""
        return self.status in ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAnswer:
    """The outcome of the request `name`; None when it was never run."""

    name: str
    outcome: Outcome | None


class Batches(Charging, Protocol):
    """One teacher's batches at its endpoint: requests are uploaded in a file, and answers are fetched later at a lower
    price. All methods may raise TeacherError, and OutOfReach when retries did not help."""

    url: str
    most_requests: int
    most_bytes: int
    """Limits of one batch."""

    poll: float
    """Seconds between two polls of a batch."""

    def line(self, name: str, request: Request, sampling: Sampling) -> bytes:
        """`request` as a line of an upload."""
        ...

    def upload(self, file: BinaryIO, token: str) -> str:
        """The uploaded file's name at the endpoint."""
        ...

    def create(self, file: str, token: str) -> BatchState | None:
        """Create a batch of an uploaded file, with `token` to find it by. None: it may or may not exist."""
        ...

    def find(self, token: str) -> BatchState | None:
        """The batch with `token`; None when there is none. Raises LookupError where the endpoint lists no batches."""
        ...

    def state(self, name: str) -> BatchState | None:
        """The state of the batch `name`; None when the endpoint knows no such batch."""
        ...

    def answers(self, batch: BatchState, sampling: Sampling) -> Iterator[BatchAnswer | None]:
        """The outcome of each request; None for a line that can't be read. Raises LookupError when a file is gone."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Batching(Hosted, Protocol):
    """A teacher that also takes batches."""

    def batches(self) -> Batches: ...
