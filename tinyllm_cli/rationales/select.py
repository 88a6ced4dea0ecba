"""From the teachers' judged rationales to the texts that a student learns. Pure."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.rationales.best_of import Sampled, best_of
from tinyllm_cli.rationales.correct import INCORRECT, sampling_command
from tinyllm_cli.rationales.per_question import Candidate, best_texts
from tinyllm_cli.rationales.score_choice import check_same_model, choose_scores, learnability_scores
from tinyllm_cli.rationales.selection import SelectedRationale, Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import ModelScores, weights

NOT_USEFUL = "not useful"
"""The reason for which the usefulness filter drops a rationale, beside the names of the gates."""


@dataclass(frozen=True, kw_only=True)
class TeacherSelection:
    """What to learn from one teacher, by question key, and the record of which rationales these are."""

    by_question: Mapping[str, Sequence[SelectedRationale]]
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """One teacher's texts that may be learned: `passed` the gates, `kept` by the filter, the `best` samples of these.
    `dropped` counts the others by reason."""

    rows: TeacherRationales
    dropped: Counter[str]
    passed: Sequence[JudgedRationale]
    kept: Sequence[JudgedRationale]
    best: Sequence[JudgedRationale]
    scores: ModelScores | None

    @property
    def gains(self) -> Mapping[int, float]:
        return self.scores.gains if self.scores else {}


def select(teachers: Sequence[TeacherRationales], selection: Selection, seed: int) -> dict[str, TeacherSelection]:
    """Apply verdicts, the usefulness filter, the number of samples, the choice among all teachers' texts, weights and
    the shuffling control, in this order. By teacher; one of whose texts none is chosen has no question.

    Raises UsageProblem if no rationale of a teacher is left before the choice, and if a score is missing."""
    found = [_candidates(rows, selection) for rows in teachers]
    chosen: Sequence[Sequence[JudgedRationale]] = [one.best for one in found]
    if selection.per_question is not None:
        chosen = _per_question(found, selection, seed)
    return {
        one.rows.source.teacher: _selected(one, own, selection, seed)
        for one, own in zip(found, chosen, strict=True)
    }  # fmt: skip


def _candidates(rows: TeacherRationales, selection: Selection) -> _Candidates:
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
    best = kept if selection.samples is None else _best_samples(kept, gains, selection.samples)
    if not best:
        raise _nothing_left(rows, dropped)
    return _Candidates(rows=rows, dropped=dropped, passed=passed, kept=kept, best=best, scores=scores)


def _per_question(found: Sequence[_Candidates], selection: Selection, seed: int) -> list[list[JudgedRationale]]:
    """Of each teacher, those of its texts that are among the best of their question."""
    assert selection.per_question is not None
    choice = selection.choose or "agreement"
    scores: list[Mapping[int, float]] = [{} for _ in found]
    if choice == "usefulness":
        check_same_model([one.scores for one in found])
        scores = [one.gains for one in found]
    elif choice == "learnability":
        scores = [learnability_scores(one.rows, one.passed, selection) for one in found]
    by_question: dict[int, list[tuple[int, JudgedRationale, Candidate]]] = {}
    for teacher, one in enumerate(found):
        for text in one.best:
            candidate = Candidate(
                question=text.question.key, teacher=one.rows.source.teacher, sample=text.rationale.sample,
                text=text.text, score=scores[teacher].get(text.rationale.id),
            )  # fmt: skip
            by_question.setdefault(text.rationale.position, []).append((teacher, text, candidate))
    chosen: list[list[JudgedRationale]] = [[] for _ in found]
    for position in sorted(by_question):
        own = by_question[position]
        best = best_texts([candidate for _, _, candidate in own], selection.per_question, choice, seed)
        for index in sorted(best):
            teacher, text, _ = own[index]
            chosen[teacher].append(text)
    return chosen


def _selected(one: _Candidates, chosen: Sequence[JudgedRationale], selection: Selection, seed: int) -> TeacherSelection:
    """The chosen texts with their weights, and the record. At random, the texts that were drawn from identify the
    choice together with the seed, so that runs that differ in the seed alone have one digest."""
    rows, kept, dropped = one.rows, one.kept, one.dropped
    weighted = selection.usefulness == "weight"
    weight_of = weights({own.rationale.id: one.gains[own.rationale.id] for own in chosen}) if weighted else {}
    by_question: dict[str, list[SelectedRationale]] = {}
    for own in chosen:
        selected = SelectedRationale(text=own.text, weight=weight_of.get(own.rationale.id, 1.0))
        by_question.setdefault(own.question.key, []).append(selected)
    empty = dropped.pop("empty", 0)
    rejected = {reason: count for reason, count in dropped.items() if count}
    edited = _edited(rows, chosen)
    fallback = len({own.question.key for own in chosen if own.fallback})
    scorer = rows.student.name if selection.choose == "learnability" else one.scores and one.scores.scorer.name
    record = {
        **rows.source.source,
        "questions": len(by_question),
        "rationales": len(chosen),
        "empty": empty,
        **({"rejected": rejected} if selection.gates or rejected else {}),
        **({"edited": edited} if edited else {}),
        **({"fallback": {**rows.fallback.source, "questions": fallback}} if rows.fallback and fallback else {}),
        **({"scored_by": scorer} if scorer else {}),
        **({"unchosen": len(kept) - len(chosen)} if len(kept) > len(chosen) else {}),
        "digest": _digest(
            one.best if selection.choose == "random" else chosen, None if selection.usefulness == "none" else weight_of
        ),
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
    """How many of the chosen ones replace a text of the teacher: a person edited them, or they came from a file, unlike
    the set."""
    imported = not rows.source.recipe.is_recorded
    return sum(
        (one.human is not None and one.human.verdict == "edit")
        or (imported and one.rationale.finish_reason == "recorded")
        for one in chosen
    )


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
            Sampled(
                verdict="kept" if one.human else one.verdict.verdict, text=one.text,
                gain=gains[one.rationale.id] if scored else None,
            )
            for one in own
        ]  # fmt: skip
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
            f"Elicit with other settings: {command_text('elicit', '--teacher', teacher, '--dataset', dataset)}",
        )
    if dropped[INCORRECT] == sum(count for reason, count in dropped.items() if reason != "empty"):
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} states the gold answer.",
            "Leave the teacher out with --alpha, or ask for more samples without the gold answer:"
            f" {sampling_command(teacher, dataset)}",
        )
    if dropped[NOT_USEFUL]:
        return UsageProblem(
            f"None of {teacher}'s rationales for {dataset} that pass the gates raises the gold answer's probability.",
            "Weight them instead (--usefulness weight), or look at them:"
            f" {command_text('usefulness', '--dataset', dataset, '--teacher', teacher, '--show', 3)}",
        )
    most = ", ".join(f"{gate} {count}" for gate, count in dropped.most_common(3))
    return UsageProblem(
        f"The gates reject every rationale of {teacher} for {dataset} ({most}).",
        f"See why: {command_text('gate', '--dataset', dataset, '--teacher', teacher)}. Learn them without gates:"
        " --no-gates.",
    )


def _shuffled(by_question: Mapping[str, list[SelectedRationale]], seed: str) -> dict[str, list[SelectedRationale]]:
    """Every question gets the rationales of another: each set moves on by one along a random cycle."""
    order = list(by_question)
    random.Random(seed).shuffle(order)
    return {key: by_question[order[index - 1]] for index, key in enumerate(order)}
