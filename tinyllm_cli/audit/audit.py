"""The audit stage: problems of data sets and rationales, found before training takes hours.

Reads the store only; verdicts of the gates are stored, so that `distill` reuses them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinyllm_cli.audit.checks import CheckResult, errors_of, findings
from tinyllm_cli.audit.choices import Left, RationaleChoices
from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.audit.summary import Survey, Surveyor
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class Audit:
    """`measure` is None if no student's tokens were counted. Costs are in `currency`, None while there are none.
    `errors` are the findings that fail a strict audit."""

    surveys: tuple[Survey, ...]
    findings: tuple[CheckResult, ...]
    errors: tuple[CheckResult, ...]
    measure: Measure | None
    gates: GateSettings | None
    currency: str | None
    choices: tuple[RationaleChoices, ...] = ()

    def as_json(self) -> dict[str, Any]:
        student = self.measure and {
            "student": self.measure.student,
            "max_input": self.measure.max_input,
            "max_target": self.measure.max_target,
        }
        return {
            "measured_by": student,
            "gates": self.gates and asdict(self.gates),
            "currency": self.currency,
            "datasets": [asdict(one) for one in self.surveys],
            "choices": [asdict(one) for one in self.choices],
            "findings": [asdict(one) for one in self.findings],
            "passed": not self.errors,
        }


def audit(surveyor: Surveyor, datasets: Sequence[str], *, allowed: Collection[str] = ()) -> Audit:
    """Audit these data sets. Findings of the `allowed` kinds never count as errors. Without gates, rationales are not
    judged."""
    surveys = tuple(surveyor.survey(name) for name in datasets)
    found = tuple(finding for one in surveys for finding in findings(one, surveyor.measure))
    return Audit(
        surveys=surveys, findings=found, errors=tuple(errors_of(found, allowed)), measure=surveyor.measure,
        gates=surveyor.gates, currency=surveyor.store.currency.code(),
    )  # fmt: skip


def passed_by_teacher(found: Survey) -> dict[str, Left]:
    """By teacher, the training rationales that pass the gates, where all of a large split are counted."""
    return {
        one.teacher: Left(rationales=one.kept + one.repaired, questions=one.usable)
        for one in found.teachers
        if one.split == "train" and one.sampled is not None and one.judged_questions == one.questions
    }


def datasets_to_audit(store: Store) -> list[str]:
    """Every data set that has rationales for its training questions.

    Raises UsageProblem if there is none."""
    found = sorted(store.rationales.datasets_with_rationales())
    if not found:
        known = store.questions.names()
        raise UsageProblem(
            "No data set in the database has rationales for its training questions.",
            "Run: "
            + command_text("elicit", "--teacher", "NAME", "--dataset", known[0] if known else "everyday")
            + (f" (or, for the questions alone, {command_text('audit', '--dataset', known[0])})" if known else ""),
        )
    return found
