"""What a stage reports while it works: progress and notices, passed to a callback. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """`done` of `total` units of the work called `label`; a total of 0 is unknown. `detail` is for display."""

    label: str
    done: int
    total: int = 0
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A sentence for the user. A `warning` says what is likely to be a mistake, `hint` what to do about it."""

    message: str
    hint: str = ""
    warning: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A part of the result is ready before the whole: a pilot, or one teacher's elicitation."""

    value: object


Event = Progress | Notice | Finished
OnEvent = Callable[[Event], None]


def ignore_events(_event: Event) -> None:
    """The default callback."""
