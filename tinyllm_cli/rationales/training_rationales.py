"""One teacher's rationales as a selection sees them: the sets, verdicts and scores that the store has for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.correct import candidates, rationale_sources
from tinyllm_cli.rationales.learnability import learnability_hash
from tinyllm_cli.rationales.selection import Selection, TeacherRationales
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.records.usefulness import Scorer, TextScore
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class TrainingQuestions:
    """The first questions of a train split, and all rationale sets for it; `limited`: there may be more questions."""

    dataset: str
    questions: Sequence[Question]
    limited: bool
    known: Sequence[RationaleSet]


@dataclass(frozen=True, kw_only=True)
class LearningTask:
    """What a student learns from one teacher: to write its rationales after `prefix`."""

    teacher: str
    prefix: str
    student: Scorer


def load_rationales(
    store: Store, split: TrainingQuestions, task: LearningTask, selection: Selection
) -> TeacherRationales:
    """The rationales of the kind that the selection names, with the scores that it reads.

    Raises UsageProblem if the teacher has no rationales of this kind."""
    sources = rationale_sources(
        split.known, task.teacher, (split.dataset, "train"), selection.rationales, selection.icl
    )
    rationales = list(candidates(store, split.questions, sources, selection.gates))
    passed = [one for one in rationales if one.passed]
    gains: dict[Scorer, Sequence[TextScore]] = {}
    if selection.reads_scores:
        found = store.usefulness.of([one.rationale.id for one in passed])
        gains = {model: found.get(model, ()) for model in store.usefulness.models(split.dataset)}
    learned: dict[int, float] = {}
    if selection.choose == "learnability":
        hashes = {one.rationale.id: learnability_hash(one.text, task.prefix) for one in passed}
        learned = {id: one.value for id, one in store.learnability.stored(task.student, hashes).items()}
    return TeacherRationales(
        dataset=split.dataset, source=sources.main, questions=len(split.questions), limited=split.limited,
        rationales=rationales, scores=gains, fallback=sources.fallback,
        student=task.student, learnability=learned,
    )  # fmt: skip
