"""Queries for training: one teacher's rationales with their verdicts and usefulness scores."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.rationales.selection import Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store
from tinyllm_cli.store.usefulness import UsefulnessGain


def load_teacher_rationales(
    store: Store, dataset: str, source: RationaleSet, selection: Selection, questions: int
) -> TeacherRationales:
    """The rationales of a set for the first `questions` training questions.

    Verdicts that the store lacks are computed and stored."""
    rationales = list(judged(store, dataset, "train", source, selection.gates, questions))
    scores: dict[str, Sequence[UsefulnessGain]] = {}
    if selection.reads_scores:
        found = store.usefulness.of([one.rationale.id for one in rationales if one.passed])
        scores = {model: found.get(model, ()) for model in store.usefulness.models(dataset)}
    return TeacherRationales(
        dataset=dataset,
        source=source,
        questions=questions,
        split_size=store.questions.splits(dataset)["train"],
        rationales=rationales,
        scores=scores,
    )
