"""From a teacher's judged rationales to the texts that a student learns. Pure."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.best_of import Sampled, best_of
from tinyllm_cli.rationales.scores import choose_scores
from tinyllm_cli.rationales.selection import SelectedRationale, Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import weights

NOT_USEFUL = "not useful"
"""The reason for which the usefulness filter drops a rationale, beside the names of the gates."""


@dataclass(frozen=True, kw_only=True)
class TeacherSelection:
    """What to learn from one teacher, by question key, and the record of which rationales these are."""

    by_question: Mapping[str, Sequence[SelectedRationale]]
    record: Mapping[str, Any]


def select(rows: TeacherRationales, selection: Selection, seed: int) -> TeacherSelection:
    """Apply verdicts, the usefulness filter, the number of samples, weights and the shuffling control, in this order.

    Raises UsageProblem if no rationale is left."""
    dropped = _first_objections(rows.rationales)
    passed = [one for one in rows.rationales if one.passed]
    if not passed:
        raise _nothing_left(rows, dropped)
    scores = choose_scores(rows, passed, selection)
    gains = scores.gains if scores else {}
    kept = passed
    if selection.usefulness == "filter":
        kept = [one for one in passed if gains[one.rationale.id] > 0]
        dropped[NOT_USEFUL] = len(passed) - len(kept)
    chosen = kept if selection.samples is None else _best_samples(kept, gains, selection.samples)
    if not chosen:
        raise _nothing_left(rows, dropped)
    weighted = selection.usefulness == "weight"
    weight_of = weights({one.rationale.id: gains[one.rationale.id] for one in chosen}) if weighted else {}
    by_question: dict[str, list[SelectedRationale]] = {}
    for one in chosen:
        selected = SelectedRationale(text=one.text, weight=weight_of.get(one.rationale.id, 1.0))
        by_question.setdefault(one.question.key, []).append(selected)
    empty = dropped.pop("empty", 0)
    rejected = {reason: count for reason, count in dropped.items() if count}
    edited = _edited(rows, chosen)
    record = {
        **rows.source.source,
        "questions": len(by_question),
        "rationales": len(chosen),
        "empty": empty,
        **({"rejected": rejected} if selection.gates or rejected else {}),
        **({"edited": edited} if edited else {}),
        **({"scored_by": scores.model} if scores else {}),
        **({"unchosen": len(kept) - len(chosen)} if len(kept) > len(chosen) else {}),
        "digest": _digest(chosen, None if selection.usefulness == "none" else weight_of),
    }
    shuffled = _shuffled(by_question, f"{seed}:{rows.source.teacher}") if selection.shuffled else by_question
    return TeacherSelection(by_question=shuffled, record=record)


def _first_objections(rationales: Sequence[JudgedRationale]) -> Counter[str]:
    """Rejected rationales by the first gate that rejects them."""
    return Counter(
        next(finding.gate for finding in one.verdict.findings if not finding.repaired)
        for one in rationales
        if not one.passed
    )


def _edited(rows: TeacherRationales, chosen: Sequence[JudgedRationale]) -> int:
    """How many of the chosen ones are recorded edits of an elicited set."""
    return sum(one.rationale.finish_reason == "recorded" for one in chosen) if rows.source.edits else 0


def _digest(chosen: Sequence[JudgedRationale], weight_of: Mapping[int, float] | None) -> str:
    """Identifies the texts to learn, and their weights unless usefulness is off (None)."""
    digest = hashlib.sha256()
    for one in chosen:
        weight = "" if weight_of is None else f"\0{weight_of.get(one.rationale.id, 1.0):.6f}"
        digest.update(f"{one.rationale.question}\0{one.rationale.sample}\0{one.text}{weight}\0".encode())
    return digest.hexdigest()[:16]


def _best_samples(kept: Sequence[JudgedRationale], gains: Mapping[int, float], count: int) -> list[JudgedRationale]:
    """The best `count` samples of each question, in their order."""
    chosen: list[JudgedRationale] = []
    for _, group in groupby(kept, key=lambda one: one.question.key):
        own = list(group)
        scored = all(one.rationale.id in gains for one in own)  # else a sample would win by being the only scored one
        samples = [
            Sampled(verdict=one.verdict.verdict, text=one.text, gain=gains[one.rationale.id] if scored else None)
            for one in own
        ]
        chosen += [own[index] for index in sorted(best_of(samples, count))]
    return chosen


def _nothing_left(rows: TeacherRationales, dropped: Counter[str]) -> UsageProblem:
    teacher, dataset = rows.source.teacher, rows.dataset
    if not rows.rationales:
        return UsageProblem(
            f"{teacher} has no rationale for the first {rows.questions} training questions of {dataset}.",
            "Raise --limit, or leave the teacher out.",
        )
    if not any(count for reason, count in dropped.items() if reason != "empty"):
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} has any text.",
            f"Elicit with other settings: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    if dropped[NOT_USEFUL]:
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} that pass the gates raises the gold answer's probability.",
            "Weight them instead (--usefulness weight), or look at them: tinyllm usefulness --show 3",
        )
    most = ", ".join(f"{gate} {count}" for gate, count in dropped.most_common(3))
    return UsageProblem(
        f"The gates reject every rationale of {teacher} for {dataset} ({most}).",
        f"See why: tinyllm gate --dataset {dataset} --teacher {teacher}. Learn them without gates: --no-gates.",
    )


def _shuffled(by_question: Mapping[str, list[SelectedRationale]], seed: str) -> dict[str, list[SelectedRationale]]:
    """Every question gets the rationales of another: each set moves on by one along a random cycle."""
    order = list(by_question)
    random.Random(seed).shuffle(order)
    return {key: by_question[order[index - 1]] for index, key in enumerate(order)}
