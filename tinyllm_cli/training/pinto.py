"""What a PINTO student reads beside a question: what teachers wrote about it without the gold answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.elicitation.replies import rationale_text
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers, unforced_command
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ExtraContext


@dataclass(frozen=True, kw_only=True)
class PintoContext:
    """Hints for a split, and the record of whose they are, by teacher."""

    extra_context: ExtraContext
    lineage: Mapping[str, Mapping[str, Any]]

    @property
    def digest(self) -> str:
        return " ".join(str(record["digest"]) for record in self.lineage.values())


def load_extra_context(
    store: Store, teachers: Sequence[str], dataset: str, split: str, limit: int | None = None
) -> PintoContext:
    """One text of each teacher for each of the first `limit` questions of a split; none where the teacher failed.

    Raises UsageProblem when a teacher was not asked about all of them without the gold answer."""
    extra_context: dict[str, list[str]] = {}
    lineage: dict[str, Mapping[str, Any]] = {}
    for teacher in teachers:
        own = load_teacher_answers(store, teacher, dataset, split)
        digest, written = hashlib.sha256(), 0
        for question in store.questions.iterate(dataset, split, limit):
            if not own.asked(question):
                raise UsageProblem(
                    f"{teacher} has not answered all questions of {dataset}, split {split}, by itself.",
                    f"Run: {unforced_command(teacher, dataset, split)}",
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
