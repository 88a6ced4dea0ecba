"""Teachers' own answers, given without seeing the gold answer: their accuracy, pseudo-labels and PINTO's context."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import own_answer
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.rationales.pairing import rationales_by_question
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class TeacherAnswers:
    """One teacher's unforced replies to a split, the first sample of each, by question key."""

    variant: RationaleSet
    replies: Mapping[str, Rationale]
    failed: Collection[str]

    def asked(self, question: Question) -> bool:
        return question.key in self.replies or question.key in self.failed

    def option(self, question: Question) -> int | None:
        """The answer recorded with the text, or the one that the text states; None if there is neither."""
        reply = self.replies.get(question.key)
        if reply is None:
            return None
        return own_answer(reply.answer, reply.text, question.options)


def load_teacher_answers(store: Store, teacher: str, dataset: str, split: str) -> TeacherAnswers:
    """Raises UsageProblem if the teacher has no replies that were elicited without the gold answer."""
    variants = store.rationales.variants(dataset, split)
    variant = unforced_sets(variants).get(teacher)
    if variant is None:
        raise _never_asked([one for one in variants if one.teacher == teacher], teacher, dataset, split)
    replies = {
        question.key: rationale
        for question, rationales in rationales_by_question(store, store.questions.iterate(dataset, split), variant)
        for rationale in rationales
        if rationale.sample == 0
    }
    failed = store.rationales.failed_keys(dataset, split, variant)
    return TeacherAnswers(variant=variant, replies=replies, failed=failed)


def majority(votes: Iterable[tuple[int | None, float]]) -> int | None:
    """The option with the highest total weight among (option, weight) votes; of equals the first one named. None if no
    vote names an option."""
    weights: dict[int, float] = {}
    for option, weight in votes:
        if option is not None:
            weights[option] = weights.get(option, 0.0) + weight
    return max(weights, key=weights.__getitem__, default=None)


def unforced_command(teacher: str, dataset: str, split: str) -> str:
    """The command that elicits a teacher's own answers."""
    return command_text("elicit", "--teacher", teacher, "--dataset", dataset, "--split", split, "--no-teacher-forcing")


def unforced_sets(variants: Iterable[RationaleSet]) -> dict[str, RationaleSet]:
    """By teacher, the unforced set that covers most questions, of equals the newest. `variants`: the newest first."""
    chosen: dict[str, RationaleSet] = {}
    for variant in variants:
        best = chosen.get(variant.teacher)
        if not variant.teacher_forcing and (best is None or variant.questions > best.questions):
            chosen[variant.teacher] = variant
    return chosen


def _never_asked(own: list[RationaleSet], teacher: str, dataset: str, split: str) -> UsageProblem:
    forced = " It saw the gold answers, so its rationales do not measure its own accuracy." if own else ""
    if any(variant.recipe.is_recorded for variant in own):
        hint = "If its author did not see the answers, import the file with --no-teacher-forcing."
    else:
        hint = f"Run: {unforced_command(teacher, dataset, split)}"
    return UsageProblem(f"{teacher} has no own answers for {dataset}, split {split}.{forced}", hint)
