"""Counts of an elicitation: what needs no request, and what became of the requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from backends.base import Failure, Outcome


@dataclass(frozen=True, kw_only=True)
class SkippedCounts:
    """Requests of some questions that are not asked for, by reason."""

    already: int = 0
    """Answered before."""

    absent: int = 0
    """Questions that a teacher with some answers only has none for."""

    unrecorded: int = 0
    """Further samples that such a teacher does not have."""

    elsewhere: int = 0
    """Requests that another process is working on."""

    pending: int = 0
    """Requests in a batch at the endpoint."""

    def __add__(self, other: SkippedCounts) -> SkippedCounts:
        return SkippedCounts(
            already=self.already + other.already,
            absent=self.absent + other.absent,
            unrecorded=self.unrecorded + other.unrecorded,
            elsewhere=self.elsewhere + other.elsewhere,
            pending=self.pending + other.pending,
        )


@dataclass(kw_only=True)
class ElicitationCounts:
    """What happened so far; counts of replies, calls, tokens. `cost` is None while no price is known."""

    wanted: int = 0
    already: int = 0
    absent: int = 0
    """Questions that a teacher with some answers only has none for."""

    elsewhere: int = 0
    """Requests that another process is working on."""

    pending: int = 0
    """Requests in a batch at the endpoint."""

    done: int = 0
    failed: int = 0
    cut_off: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Seconds of waiting, summed over the replies."""

    cost: float | None = None
    out_of_budget: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(key, reason) of the first failures, for showing; all of them are in the store."""

    _SHOWN = 20

    @property
    def left(self) -> int:
        """Requests that are neither answered nor being asked."""
        return max(0, self.wanted - self.settled)

    @property
    def settled(self) -> int:
        """Requests that need no further one."""
        return self.already + self.absent + self.elsewhere + self.pending + self.done + self.failed

    def skip(self, requests: int, skipped: SkippedCounts) -> None:
        """Take over what is known of a job of so many requests."""
        self.wanted = requests - skipped.unrecorded
        self.already, self.absent = skipped.already, skipped.absent
        self.elsewhere, self.pending = skipped.elsewhere, skipped.pending

    def count(self, key: str, outcome: Outcome) -> None:
        """`key` is the question's."""
        self.calls += outcome.attempts
        self.prompt_tokens += outcome.prompt_tokens or 0
        self.completion_tokens += outcome.completion_tokens or 0
        if outcome.cost is not None:
            self.cost = (self.cost or 0.0) + outcome.cost
        if isinstance(outcome, Failure):
            self.failed += 1
            if len(self.failures) < self._SHOWN:
                self.failures.append((key, outcome.reason))
            return
        self.done += 1
        self.cut_off += outcome.finish_reason == "length"
        self.seconds += outcome.seconds or 0.0
