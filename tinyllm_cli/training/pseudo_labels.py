"""Pseudo-labels: the teachers' own answers instead of the gold ones (standard distillation). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.teacher_answers import TeacherAnswers, majority, unforced_command
from tinyllm_cli.training.alpha import WeightedTeacher


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """Questions whose answer is the teachers' majority, and by teacher the record of its answers."""

    questions: Sequence[Question]
    lineage: Mapping[str, Mapping[str, Any]]


def pseudo_labels(
    questions: Sequence[Question], answers: Sequence[tuple[WeightedTeacher, TeacherAnswers]]
) -> PseudoLabels:
    """Each question with the answer that has the most votes, a teacher's alpha being the weight of its vote; questions
    that no teacher answers are left out. In the record, `silent` counts replies that name no option.

    Raises UsageProblem if no teacher names an option."""
    stated = {one.teacher: [own.option(question) for question in questions] for one, own in answers}
    labels = [
        majority((stated[one.teacher][index], one.alpha) for one, _ in answers) for index in range(len(questions))
    ]
    labelled = [
        replace(question, answer=label) for question, label in zip(questions, labels, strict=True) if label is not None
    ]
    if not labelled:
        dataset = questions[0].dataset
        hint = f"Run: {unforced_command(answers[0][0].teacher, dataset, 'train')}" if answers else "Set --alpha."
        raise UsageProblem(f"None of these teachers' replies names an option of {dataset}, split train.", hint)
    return PseudoLabels(
        questions=labelled,
        lineage={one.teacher: _record(questions, stated[one.teacher], own) for one, own in answers},
    )


def _record(questions: Sequence[Question], stated: Sequence[int | None], own: TeacherAnswers) -> dict[str, Any]:
    pairs = list(zip(questions, stated, strict=True))
    named = [f"{question.hash}\0{option}\0" for question, option in pairs if option is not None]
    silent = sum(question.key in own.replies for question, option in pairs if option is None)
    return {
        **own.variant.source,
        "questions": len(named),
        "answers": len(named),
        "right": sum(option == question.answer for question, option in pairs),
        **({"silent": silent} if silent else {}),
        "digest": hashlib.sha256("".join(named).encode()).hexdigest()[:16],
    }
