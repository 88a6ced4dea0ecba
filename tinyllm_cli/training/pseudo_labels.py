"""The teachers' own answers as labels to learn instead of the gold ones: standard distillation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers, majority, unforced_command
from tinyllm_cli.store import Store
from tinyllm_cli.training.alpha import WeightedTeacher


def pseudo_labels(
    store: Store, questions: Sequence[Question], voices: Sequence[WeightedTeacher]
) -> tuple[list[Question], dict[str, Mapping[str, Any]]]:
    """Training questions whose answer is what most of the teachers say, alpha being the weight of a vote, without
    those of which none says anything; and the record of who said what, `silent` being the replies that name none.

    Raises UsageProblem when no teacher says anything."""
    dataset = questions[0].dataset
    teachers = {voice: load_teacher_answers(store, voice.teacher, dataset, "train") for voice in voices}
    said = {voice.teacher: [own.option(question) for question in questions] for voice, own in teachers.items()}
    labels = [
        majority((said[voice.teacher][index], voice.alpha) for voice in voices) for index in range(len(questions))
    ]
    agreed = [
        replace(question, answer=label) for question, label in zip(questions, labels, strict=True) if label is not None
    ]
    if not agreed:
        ask = f"Run: {unforced_command(voices[0].teacher, dataset, 'train')}" if voices else "Name teachers: --alpha."
        raise UsageProblem(f"None of these teachers' replies names an option of {dataset}, split train.", ask)
    lineage: dict[str, Mapping[str, Any]] = {}
    for voice, own in teachers.items():
        pairs = list(zip(questions, said[voice.teacher], strict=True))
        stated = [f"{question.hash}\0{option}\0" for question, option in pairs if option is not None]
        silent = sum(question.key in own.replies for question, option in pairs if option is None)
        lineage[voice.teacher] = {
            **own.variant.source,
            "questions": len(stated),
            "answers": len(stated),
            "right": sum(option == question.answer for question, option in pairs),
            **({"silent": silent} if silent else {}),
            "digest": hashlib.sha256("".join(stated).encode()).hexdigest()[:16],
        }
    return agreed, lineage
