"""What one command's elicitation returns for each teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tinyllm_cli.elicitation.batch_collect import BatchStatus
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """A batch at the endpoint; `id` is the endpoint's name for it."""

    id: str | None
    state: str
    requests: int
    submitted: str
    done: int
    open: bool
    note: str | None

    @classmethod
    def of(cls, status: BatchStatus) -> Self:
        batch = status.batch
        return cls(
            id=batch.id, state=batch.state, requests=batch.requests, submitted=batch.submitted,
            done=status.done, open=status.open, note=status.note or None,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TeacherElicitation:
    """Counts of replies, calls and tokens of this command. `cost` is None when unknown. `left`: requests that nobody
    has answered or works on; `rest` estimates them after a pilot. `declined`: the user did not confirm the cost."""

    teacher: str
    new: int
    already: int
    failed: int
    absent: int
    elsewhere: int
    pending: int
    left: int
    cut_off: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    out_of_budget: bool
    reason: str | None
    pilot_replies: int | None = None
    pilot_cost: float | None = None
    rest: Estimate | None = None
    declined: bool = False
    batches: tuple[BatchSummary, ...] = ()

    @property
    def has_rationales(self) -> bool:
        return bool(self.new or self.already or self.elsewhere)

    @classmethod
    def of(cls, teacher: str, counts: ElicitationCounts, **more: object) -> Self:
        """From the counts of one job; `more` are further fields."""
        return cls(
            teacher=teacher, new=counts.done, already=counts.already, failed=counts.failed, absent=counts.absent,
            elsewhere=counts.elsewhere, pending=counts.pending, left=counts.left, cut_off=counts.cut_off,
            calls=counts.calls, prompt_tokens=counts.prompt_tokens, completion_tokens=counts.completion_tokens,
            cost=counts.cost, out_of_budget=counts.out_of_budget,
            reason=counts.failures[0][1] if counts.failures else None,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ElicitationPreview:
    """What a run would ask and take, without a call. `prompt` is the first question's, empty for a recording."""

    teacher: str
    model: str
    prompt: str
    requests: int
    already: int
    pending: int
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A prompt and the reply to it. `rendered`: the prompt is as the model reads it, chat template included."""

    prompt: str
    rendered: bool
    reply: str


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """A few questions asked first: what the replies are like, and an estimate of the rest. Costs are in `currency`."""

    teacher: str
    counts: ElicitationCounts
    max_tokens: int
    estimate: Estimate
    currency: str
    exchange: Exchange | None


@dataclass(frozen=True, kw_only=True)
class ElicitResult:
    """One command's elicitation, by teacher. Costs are in `currency`, an ISO 4217 code."""

    dataset: str
    split: str
    currency: str
    teachers: tuple[TeacherElicitation, ...]


@dataclass(frozen=True, kw_only=True)
class PreviewResult:
    """What one command would ask, by teacher. Costs are in `currency`, an ISO 4217 code."""

    dataset: str
    split: str
    currency: str
    teachers: tuple[ElicitationPreview, ...]
