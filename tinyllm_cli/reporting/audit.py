"""The report's section on what the students learned from: rationale quality by teacher, copies, agreement.

Collects; `_audit.html.j2` shows it as `sections.audit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyllm_cli.dossier import Exhibit, dossier
from tinyllm_cli.findings import Finding, findings
from tinyllm_cli.quality import Judging
from tinyllm_cli.store import Store, lookup
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.store import surveys as stored_surveys
from tinyllm_cli.survey import Survey, survey


@dataclass(frozen=True, kw_only=True)
class Example:
    """A real rationale in which a gate found something, with its question."""

    gate: str
    dataset: str
    key: str
    question: str
    exhibit: Exhibit


@dataclass(frozen=True, kw_only=True)
class AuditSection:
    surveys: tuple[Survey, ...]
    findings: tuple[Finding, ...]
    examples: tuple[Example, ...]


def audit_section(store: Store, gates: Callable[[str], Judging] | None = None) -> AuditSection | None:
    """Of every data set that has rationales to learn from; None where there is none. `gates` gives what they make of
    a data set's rationales. Lengths are in characters: a report loads no student."""
    names = sorted(stored_rationales.datasets_with_rationales(store))
    surveys = tuple(survey(store, name, judging=gates(name) if gates else None) for name in names)
    if not surveys:
        return None
    return AuditSection(
        surveys=surveys,
        findings=tuple(finding for one in surveys for finding in findings(one, None)),
        examples=tuple(example for name in names for example in _examples(store, name)),
    )


def _examples(store: Store, dataset: str) -> list[Example]:
    found = []
    for faulty in stored_surveys.one_by_gate(store, dataset):
        [place] = lookup.places(store, faulty.key, dataset, "train")
        exhibits = [one for one in dossier(store, place, faulty.gates).exhibits if one.reply.id == faulty.rationale]
        found += [
            Example(gate=faulty.gate, dataset=dataset, key=faulty.key, question=place.text, exhibit=exhibit)
            for exhibit in exhibits
        ]
    return found
