"""From a teacher's judged rationales to the texts that a student learns. Pure."""

from __future__ import annotations

import hashlib
import random
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.rationales.best_of import Sampled, best_of
from tinyllm_cli.rationales.selection import SelectedRationale, Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import ModelScores, current_scores, weights

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
    scores = _choose_scores(rows, passed, selection)
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
        **({"scored_by": scores.scorer.name} if scores else {}),
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


"""The end of a model's stored name, which identifies the state of its weights."""


def _choose_scores(
    rows: TeacherRationales, passed: Sequence[JudgedRationale], selection: Selection
) -> ModelScores | None:
    """One model's scores of the texts that passed the gates; None if the selection uses none.

    To choose among samples, any scores help; to weight or to filter, every text needs one.

    Raises UsageProblem if a text lacks one, and if several models scored all texts and the selection names none."""
    named = selection.usefulness_model
    if not selection.reads_scores:
        if named is None:
            return None
        raise UsageProblem(
            f"The selection does not use the scores of {named}.", "Add --usefulness weight or filter, or --samples 1."
        )
    found = current_scores(rows.scores, passed)
    if named is not None:
        found = _of_model(named, found)
    if selection.usefulness == "none" and (named is None or any(one.gains for one in found)):
        return next((one for one in found if one.gains), None)
    wanted = len({one.rationale.id for one in passed})  # a question at two positions shares its rationale
    complete = [one for one in found if len(one.gains) == wanted]
    if len(complete) > 1:
        raise UsageProblem(
            f"Several models scored the rationales of {rows.source.teacher} for {rows.dataset}.",
            f"Choose one with --usefulness-model: {choices([one.scorer.name for one in complete])}.",
        )
    if not complete:
        raise _scores_missing(rows, selection, found, wanted)
    return complete[0]


def _of_model(typed: str, found: Sequence[ModelScores]) -> list[ModelScores]:
    """The scores of the model with this name, with or without its fingerprint; else of those whose names begin so."""
    exact = [one for one in found if typed in (one.scorer.name, one.scorer.model)]
    return exact or [one for one in found if one.scorer.name.startswith(typed)]


def _scores_missing(
    rows: TeacherRationales, selection: Selection, found: Sequence[ModelScores], wanted: int
) -> UsageProblem:
    named = selection.usefulness_model
    best = max(found, key=lambda one: len(one.gains), default=None)
    missing = wanted - (len(best.gains) if best else 0)
    scorer = best.scorer.model if best and (best.gains or named) else named
    by = named or scorer
    return UsageProblem(
        f"{missing} of {wanted} rationales of {rows.source.teacher} for {rows.dataset} have no score"
        + (f" by {by}." if by else "."),
        f"Run: {_scoring_command(rows, selection, scorer)}",
    )


def _scoring_command(rows: TeacherRationales, selection: Selection, model: str | None) -> str:
    """The command with which `model` scores exactly the texts of this selection."""
    words = ["tinyllm", "usefulness", "--dataset", rows.dataset, "--teacher", rows.source.teacher]
    words += ["--model", model] if model else []
    words += ["--limit", str(rows.questions)] if rows.limited else []
    words += ["--icl", str(selection.icl)] if selection.icl is not None else []
    if selection.gates is None:
        words += ["--no-gates"]
    elif selection.gates.max_tokens is not None:
        words += ["--max-target", str(selection.gates.max_tokens)]
    return shlex.join(words)
