"""Which model's usefulness scores a selection uses. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.rationales.selection import Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import ModelScores, current_scores

_FINGERPRINT = re.compile(r" [0-9a-f]{6,}$")
"""The end of a model's stored name, which identifies the state of its weights."""


def choose_scores(
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
            f"Choose one with --usefulness-model: {choices([one.model for one in complete])}.",
        )
    if not complete:
        raise _missing(rows, selection, found, wanted)
    return complete[0]


def _of_model(typed: str, found: Sequence[ModelScores]) -> list[ModelScores]:
    """The scores of the model with this name, with or without its fingerprint; else of those whose names begin so."""
    exact = [one for one in found if typed in (one.model, _FINGERPRINT.sub("", one.model))]
    return exact or [one for one in found if one.model.startswith(typed)]


def _missing(rows: TeacherRationales, selection: Selection, found: Sequence[ModelScores], wanted: int) -> UsageProblem:
    named = selection.usefulness_model
    best = max(found, key=lambda one: len(one.gains), default=None)
    missing = wanted - (len(best.gains) if best else 0)
    scorer = _FINGERPRINT.sub("", best.model) if best and (best.gains or named) else named
    by = named or scorer
    return UsageProblem(
        f"{missing} of {wanted} rationales of {rows.source.teacher} for {rows.dataset} have no score"
        + (f" by {by}." if by else "."),
        f"Run: {_scoring_command(rows, selection, scorer)}",
    )


def _scoring_command(rows: TeacherRationales, selection: Selection, model: str | None) -> str:
    """The command with which `model` scores exactly the texts of this selection."""
    words = ["tinyllm", "usefulness", "--dataset", rows.dataset, "--teacher", rows.source.teacher]
    words += ["--model", _FINGERPRINT.sub("", model)] if model else []
    words += ["--limit", str(rows.questions)] if rows.questions < rows.split_size else []
    words += ["--icl", str(selection.icl)] if selection.icl is not None else []
    if selection.gates is None:
        words += ["--no-gates"]
    elif selection.gates.max_tokens is not None:
        words += ["--max-target", str(selection.gates.max_tokens)]
    return shlex.join(words)
