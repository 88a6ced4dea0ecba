"""What the driver and its replicas send each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.base import BadTeacherConfig, ModelUnavailable, Outcome, Request, Sampling, TeacherError

__all__ = ["Hello", "Orders", "Report", "Trouble"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a replica can't continue. `lasting`: another one on the same node would fail in the same way."""

    message: str
    hint: str = ""
    lasting: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Trouble:
        """From what an adapter raised."""
        if isinstance(error, TeacherError):
            lasting = isinstance(error, (BadTeacherConfig, ModelUnavailable))
            return cls(message=str(error), hint=error.hint, lasting=lasting)
        return cls(message=" ".join(f"{type(error).__name__}: {error}".split())[:300])


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """A replica that is ready to take requests: where it runs, and what it would ask."""

    node: str
    versions: Mapping[str, str]
    identity: Mapping[str, str]
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """Requests with the driver's numbers for them. `last`: no more will come soon, so that the engine doesn't wait for
    some. `more`: report at once when the engine waits for requests. `drop`: give back the requests that the engine has
    not taken. The report comes after `wait` seconds at the latest, and `linger` seconds after an answer, which gathers
    others."""

    requests: tuple[tuple[int, Request], ...]
    sampling: Sampling
    last: bool
    more: bool
    drop: bool
    wait: float
    linger: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The answers since the last report, and the numbers of requests that are given back. `waiting` counts those that
    the engine has not taken. `hungry`: the engine waits for requests. `engine` describes it, once."""

    answers: tuple[tuple[int, Outcome], ...]
    dropped: tuple[int, ...]
    waiting: int
    hungry: bool
    engine: Mapping[str, Any] | None = None
    trouble: Trouble | None = None
