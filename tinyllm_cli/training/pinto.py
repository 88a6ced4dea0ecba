"""PINTO's extra context: what teachers wrote about a question without the gold answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import rationale_text
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.teacher_answers import TeacherAnswers, load_teacher_answers, unforced_command
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ExtraContext


@dataclass(frozen=True, kw_only=True)
class PintoContext:
    """Texts by question key, and by teacher the record of which texts these are."""

    extra_context: ExtraContext
    lineage: Mapping[str, Mapping[str, Any]]

    @property
    def digest(self) -> str:
        return " ".join(str(record["digest"]) for record in self.lineage.values())


def load_extra_context(
    store: Store, teachers: Sequence[str], dataset: str, split: str, limit: int | None = None
) -> PintoContext:
    """One text of each teacher for each of the first `limit` questions of a split; none where the teacher failed.

    Raises UsageProblem if a teacher was not asked about all of them without the gold answer."""
    questions = list(store.questions.iterate(dataset, split, limit))
    return extra_context_of(
        questions, {teacher: load_teacher_answers(store, teacher, dataset, split) for teacher in teachers}
    )


def extra_context_of(questions: Iterable[Question], answers: Mapping[str, TeacherAnswers]) -> PintoContext:
    """The texts of these teachers. Pure; raises as `load_extra_context`."""
    questions = list(questions)
    extra_context: dict[str, list[str]] = {}
    lineage: dict[str, Mapping[str, Any]] = {}
    for teacher, own in answers.items():
        digest, written = hashlib.sha256(), 0
        for question in questions:
            if not own.asked(question):
                raise UsageProblem(
                    f"{teacher} has not answered every question of {question.dataset}, split {question.split}, without"
                    " seeing the gold answer.",
                    f"Run: {unforced_command(teacher, question.dataset, question.split)}",
                )
            reply = own.replies.get(question.key)
            text = rationale_text(reply.text) if reply else ""
            if text:
                extra_context.setdefault(question.key, []).append(text)
                digest.update(f"{question.hash}\0{text}\0".encode())
                written += 1
        lineage[teacher] = {
            **own.variant.source,
            "questions": written,
            "rationales": written,
            "digest": digest.hexdigest()[:16],
        }
    return PintoContext(extra_context=extra_context, lineage=lineage)
