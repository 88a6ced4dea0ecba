"""What people decided about rationales, as the store holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.datasets.question import Question

Decision = Literal["accept", "reject", "edit"]
DECISIONS: tuple[Decision, ...] = ("accept", "reject", "edit")


@dataclass(frozen=True, kw_only=True, slots=True)
class HumanVerdict:
    """One person's decision about one rationale. `at` is the UTC time of the decision in ISO 8601. `text` is what a
    student learns, None for a rejection; `reason` is given for every rejection. `sheet` identifies the review sheet
    that it was imported from; None: entered by a command."""

    rationale: int
    reviewer: str
    at: str
    verdict: Decision
    text: str | None = None
    reason: str | None = None
    sheet: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewableRationale:
    """A rationale as a review needs it: its question at one of its places, its teacher and its raw text."""

    id: int
    question: Question
    teacher: str
    text: str
