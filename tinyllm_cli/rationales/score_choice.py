"""Which stored scores a selection uses: one model's usefulness, and the student's learnability. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyllm_cli.errors import UsageProblem, choices, command_text
from tinyllm_cli.rationales.selection import Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import ModelScores, current_scores


def choose_scores(
    rows: TeacherRationales, passed: Sequence[JudgedRationale], selection: Selection
) -> ModelScores | None:
    """One model's usefulness scores of the texts that passed the gates; None if the selection uses none.

    To choose among samples, any scores help; to weight, to filter or to choose by usefulness, every text needs one.

    Raises UsageProblem if a text lacks one, and if several models scored all texts and the selection names none."""
    named = selection.usefulness_model
    if not selection.reads_scores:
        if named is None:
            return None
        raise UsageProblem(
            f"The selection does not use the scores of {named}.",
            "Add --usefulness weight or filter, --samples 1, or --per-question 1 --choose usefulness.",
        )
    found = current_scores(rows.scores, passed)
    if named is not None:
        found = _of_model(named, found)
    if not selection.needs_usefulness and (named is None or any(one.gains for one in found)):
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


def check_same_model(scores: Sequence[ModelScores | None]) -> None:
    """Texts of several teachers are compared by the scores of one model.

    Raises UsageProblem if there are several."""
    names = sorted({one.scorer.name for one in scores if one is not None})
    if len(names) > 1:
        raise UsageProblem(
            f"The rationales of the teachers were scored by different models: {choices(names)}.",
            "Score all of them with one model, and name it with --usefulness-model.",
        )


def learnability_scores(
    rows: TeacherRationales, passed: Sequence[JudgedRationale], selection: Selection
) -> Mapping[int, float]:
    """The student's scores of the texts that passed the gates, by rationale id.

    Raises UsageProblem if a text lacks one."""
    wanted = {one.rationale.id for one in passed}
    missing = len(wanted - rows.learnability.keys())
    if missing:
        raise UsageProblem(
            f"{missing} of {len(wanted)} rationales of {rows.source.teacher} for {rows.dataset} have no learnability"
            f" for {rows.student.model}.",
            f"Run: {_scoring_command(rows, selection, rows.student.model, measure='learnability')}",
        )
    return rows.learnability


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


def _scoring_command(
    rows: TeacherRationales, selection: Selection, model: str | None, measure: str = "usefulness"
) -> str:
    """The command with which `model` scores exactly the texts of this selection."""
    words = ["usefulness", "--dataset", rows.dataset, "--teacher", rows.source.teacher]
    words += ["--measure", measure] if measure != "usefulness" else []
    words += ["--model", model] if model else []
    words += ["--rationales", selection.rationales] if selection.rationales != "forced" else []
    words += ["--limit", str(rows.questions)] if rows.limited else []
    words += ["--icl", str(selection.icl)] if selection.icl is not None else []
    if selection.gates is None:
        words += ["--no-gates"]
    elif selection.gates.max_tokens is not None:
        words += ["--max-target", str(selection.gates.max_tokens)]
    return command_text(*words)
