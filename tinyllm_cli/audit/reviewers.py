"""How well reviewers agree with each other, and the gates with the reviewers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tinyllm_cli.elicitation.replies import without_thinking
from tinyllm_cli.rationales.gates import GATES, GateSettings, Verdict, judge
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import Store

_PAGE = 500
ANY_GATE = "any gate"


@dataclass(frozen=True, kw_only=True)
class ReviewerCount:
    """How one reviewer decided, by the latest verdict on each rationale."""

    reviewer: str
    accepted: int
    rejected: int
    edited: int


@dataclass(frozen=True, kw_only=True)
class ReviewerPair:
    """Two reviewers of the same `shared` rationales. `same` is the share with equal verdicts (accept, reject or edit);
    `kappa` is Cohen's, null where both only ever gave one verdict, the same one."""

    first: str
    second: str
    shared: int
    same: float
    kappa: float | None


@dataclass(frozen=True, kw_only=True)
class GateAgreement:
    """A gate against people, on the reviewed rationales. `rejects` counts those that it rejects, `right` those of them
    that the counting human verdict rejects or edits. `precision` is right over rejects; `recall` is right over all
    that people reject or edit; null without any."""

    gate: str
    rejects: int
    right: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, kw_only=True)
class ReviewResult:
    """`reviewed` rationales have a human verdict; `unfit` of them were rejected or edited by the one that counts.
    `verdicts` are all that are stored, earlier ones included."""

    dataset: str | None
    reviewed: int
    unfit: int
    verdicts: int
    reviewers: tuple[ReviewerCount, ...]
    pairs: tuple[ReviewerPair, ...]
    gates: tuple[GateAgreement, ...]


def review_result(store: Store, dataset: str | None, gates: GateSettings) -> ReviewResult:
    """The reviews of one data set, or of all (None)."""
    histories = list(store.human_verdicts.everything(dataset))
    counting = {history[-1].rationale: history[-1] for history in histories}
    by_reviewer: dict[str, dict[int, HumanVerdict]] = {}
    for one in (one for history in histories for one in history):
        by_reviewer.setdefault(one.reviewer, {})[one.rationale] = one
    return ReviewResult(
        dataset=dataset,
        reviewed=len(counting),
        unfit=sum(one.verdict != "accept" for one in counting.values()),
        verdicts=sum(map(len, histories)),
        reviewers=tuple(_count(name, by_reviewer[name].values()) for name in sorted(by_reviewer)),
        pairs=tuple(_pairs(by_reviewer)),
        gates=_gates(store, counting, gates),
    )


def _count(reviewer: str, verdicts: Iterable[HumanVerdict]) -> ReviewerCount:
    counts = Counter(one.verdict for one in verdicts)
    return ReviewerCount(reviewer=reviewer, accepted=counts["accept"], rejected=counts["reject"], edited=counts["edit"])


def _pairs(by_reviewer: Mapping[str, Mapping[int, HumanVerdict]]) -> Iterable[ReviewerPair]:
    for first, second in combinations(sorted(by_reviewer), 2):
        one, other = by_reviewer[first], by_reviewer[second]
        both = [(one[id].verdict, other[id].verdict) for id in one if id in other]
        if both:
            same = sum(a == b for a, b in both) / len(both)
            yield ReviewerPair(first=first, second=second, shared=len(both), same=same, kappa=cohens_kappa(both))


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two raters' labels: 1 is full agreement, 0 is that of chance. None where chance alone agrees
    always: each rater only used one label, the same one."""
    first, second = (Counter(labels) for labels in zip(*pairs, strict=True))
    expected = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    if expected == 1:
        return None
    return (sum(a == b for a, b in pairs) / len(pairs) - expected) / (1 - expected)


def _gates(store: Store, counting: Mapping[int, HumanVerdict], gates: GateSettings) -> tuple[GateAgreement, ...]:
    """The gates judge the teachers' texts as they would without people."""
    unfit = {id for id, one in counting.items() if one.verdict != "accept"}
    rejected: dict[str, set[int]] = {gate: set() for gate in (*GATES, ANY_GATE)}
    ids = list(counting)
    for first in range(0, len(ids), _PAGE):
        for id, one in store.human_verdicts.reviewable(ids[first : first + _PAGE]).items():
            verdict = judge(without_thinking(one.text), one.question, gates)
            for gate in _rejecting(verdict):
                rejected[gate].add(id)
    return tuple(
        GateAgreement(
            gate=gate, rejects=len(found), right=len(found & unfit),
            precision=len(found & unfit) / len(found) if found else None,
            recall=len(found & unfit) / len(unfit) if unfit else None,
        )
        for gate, found in rejected.items()
        if found or gate == ANY_GATE
    )  # fmt: skip


def _rejecting(verdict: Verdict) -> Iterable[str]:
    found = [one.gate for one in verdict.findings if not one.repaired]
    return [*found, ANY_GATE] if found else []
