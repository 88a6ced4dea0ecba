"""What teachers answer by themselves, without having seen the gold answer: their accuracy, and labels to learn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import own_answer
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class TeacherAnswers:
    """One teacher's own replies to a split, the first sample of each, by question key."""

    variant: RationaleSet
    replies: Mapping[str, Rationale]
    failed: Collection[str]

    def asked(self, question: Question) -> bool:
        return question.key in self.replies or question.key in self.failed

    def option(self, question: Question) -> int | None:
        """What the source states beside the text, or what the text says; None when it says nothing."""
        reply = self.replies.get(question.key)
        if reply is None:
            return None
        return own_answer(reply.answer, reply.text, question.options)


def load_teacher_answers(store: Store, teacher: str, dataset: str, split: str) -> TeacherAnswers:
    """Raises UsageProblem when the teacher was never asked without the gold answer."""
    variant = unforced_sets(store, dataset, split).get(teacher)
    if variant is None:
        raise _never_asked(store, teacher, dataset, split)
    replies = {
        rationale.key: rationale
        for rationale in store.rationales.iterate(dataset, split, variant)
        if rationale.sample == 0
    }
    failed = store.rationales.failed_keys(dataset, split, variant)
    return TeacherAnswers(variant=variant, replies=replies, failed=failed)


def majority(votes: Iterable[tuple[int | None, float]]) -> int | None:
    """The option with the most weight among (option, weight); of equals the one that was named first. None when
    nobody names one."""
    weights: dict[int, float] = {}
    for option, weight in votes:
        if option is not None:
            weights[option] = weights.get(option, 0.0) + weight
    return max(weights, key=weights.__getitem__, default=None)


def unforced_command(teacher: str, dataset: str, split: str) -> str:
    """How to have a teacher answer by itself."""
    return f"tinyllm elicit --teacher {teacher} --dataset {dataset} --split {split} --no-teacher-forcing"


def unforced_sets(store: Store, dataset: str, split: str) -> dict[str, RationaleSet]:
    """Each teacher's fullest way of answering without the gold answer, of equals the newest; by teacher."""
    chosen: dict[str, RationaleSet] = {}
    for variant in store.rationales.variants(dataset, split):  # the newest first
        best = chosen.get(variant.teacher)
        if not variant.teacher_forcing and (best is None or variant.questions > best.questions):
            chosen[variant.teacher] = variant
    return chosen


def _never_asked(store: Store, teacher: str, dataset: str, split: str) -> UsageProblem:
    own = [v for v in store.rationales.variants(dataset, split) if v.teacher == teacher]
    saw = " It saw the gold answers, so its rationales say nothing of its own accuracy." if own else ""
    if any(variant.recipe.is_recorded for variant in own):
        hint = "If its author answered unseen, import the file with --no-teacher-forcing."
    else:
        hint = f"Run: {unforced_command(teacher, dataset, split)}"
    return UsageProblem(f"{teacher} has not answered {dataset}, split {split}, by itself.{saw}", hint)
