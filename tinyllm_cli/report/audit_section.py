"""The report's section on what the students learned from: rationale quality by teacher, copies, agreement.

Collects; `_audit.html.j2` shows it as `sections.audit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyllm_cli.audit.checks import CheckResult, findings
from tinyllm_cli.audit.question_view import ReplyView, question_view
from tinyllm_cli.audit.summary import OnAudited, Survey, opened, survey
from tinyllm_cli.audit.teacher_stats import chosen_variants
from tinyllm_cli.datasets.duplicates import Repeats, repeats
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.store import Store
from tinyllm_cli.store import rationale_stats as stored_surveys


@dataclass(frozen=True, kw_only=True)
class AuditExample:
    """A real rationale in which a gate found something, with its question."""

    gate: str
    dataset: str
    key: str
    question: str
    exhibit: ReplyView


@dataclass(frozen=True, kw_only=True)
class AuditSection:
    """`surveys` are of the data sets that have rationales to learn from, `copies` (data set, shared questions) of all
    of them."""

    copies: tuple[tuple[str, Repeats], ...]
    surveys: tuple[Survey, ...]
    findings: tuple[CheckResult, ...]
    examples: tuple[AuditExample, ...]


def audit_section(
    store: Store, gates: GateSettings | None = None, watch: OnAudited = lambda _what: None
) -> AuditSection:  # fmt: skip
    """What the gates make of the rationales is found out where the store doesn't know it yet. Lengths are in
    characters: a report loads no student."""
    names = sorted(store.rationales.datasets_with_rationales())
    surveys = tuple(survey(store, name, gates=gates, watch=watch) for name in names)
    copied = {one.dataset: one.repeats for one in surveys}
    for name in store.questions.names():
        copied.setdefault(name, tuple(repeats(opened(store, name))))
    return AuditSection(
        copies=tuple((name, shared) for name in sorted(copied) for shared in copied[name]),
        surveys=surveys,
        findings=tuple(finding for one in surveys for finding in findings(one, None)),
        examples=tuple(example for name in names for example in _examples(store, name, gates)) if gates else (),
    )


def _examples(store: Store, dataset: str, gates: GateSettings) -> Iterator[AuditExample]:
    """One for each gate, of what `distill` learns."""
    shown: dict[str, stored_surveys.Faulty] = {}
    for variant in chosen_variants(store, dataset, "train"):
        for faulty in store.rationale_stats.one_by_gate(dataset, variant, gates.hash):
            shown.setdefault(faulty.gate, faulty)
    for faulty in shown.values():
        [place] = store.lookup.places(faulty.key, dataset, "train")
        for exhibit in question_view(store, place, gates).exhibits:
            if exhibit.reply.id == faulty.rationale:
                yield AuditExample(
                    gate=faulty.gate, dataset=dataset, key=faulty.key, question=place.text, exhibit=exhibit
                )
