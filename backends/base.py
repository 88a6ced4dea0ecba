"""The contract between tinyllm and a teacher.

An adapter takes requests and yields what became of each, in the order in which they finish. It knows nothing of
data sets, databases or gold answers. Asynchronous engines fit the same contract: an adapter may run an event loop
or a server of its own, as long as `generate` pulls requests only as fast as its engine takes them.

    TeacherError            displayed to the user as it is; `hint` says what to do next
    +-- ModelUnavailable    the model can't be had: unknown, gated, hub unreachable, unsafe format
    +-- BadTeacherConfig    a setting of the teacher is missing or wrong
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = [
    "BadTeacherConfig",
    "Completion",
    "Failure",
    "Message",
    "ModelUnavailable",
    "Outcome",
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
    batch), `cost` is money or None when unknown, `answer` is an option index that a source states beside the text."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None
    answer: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why one request came to nothing. The run goes on; the next run asks again."""

    reason: str
    attempts: int = 1


Outcome = Completion | Failure


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

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[Request, Outcome]]:
        """Answer each request once, in any order, holding no more of `requests` than the engine has in flight.

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
