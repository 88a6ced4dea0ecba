"""The training targets: which sequences one question becomes.

Whichever the target, the tokens of an answer belong to the term L_A and those of a rationale to its teacher's term L_Tm
(paper, eq. 2), so that one objective covers all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.selection import SelectedRationale
from tinyllm_cli.records.settings import Target
from tinyllm_cli.students.inputs import (
    ANSWER,
    ANSWER_CUE,
    ANSWER_PREFIX,
    EXPLAIN_PREFIX,
    NO_EXTRA_CONTEXT,
    RATIONALE_CUE,
    ExtraContext,
    Segment,
    Task,
    student_input,
)
from tinyllm_cli.training.alpha import WeightedTeacher

Rationales = Sequence[tuple[WeightedTeacher, Sequence[SelectedRationale]]]
"""What to learn of one question: the teachers that have something for it, each with its texts, one or more."""


def tasks_of(
    question: Question, rationales: Rationales, target: Target, context: ExtraContext = NO_EXTRA_CONTEXT
) -> tuple[Task, ...]:
    """The sequences of one question. `context` is part of the input of the answer. Without rationales every target is
    the answer alone."""
    if not rationales:
        return (Task.single(ANSWER, student_input(ANSWER_PREFIX, question, context), question.gold),)
    return tuple(_SEQUENCES[target](question, rationales, context))


def _multitask(question: Question, rationales: Rationales, context: ExtraContext) -> Iterator[Task]:
    """The paper's tasks: the answer after the prefix of answers, and each rationale after its teacher's prefix."""
    yield Task.single(ANSWER, student_input(ANSWER_PREFIX, question, context), question.gold)
    for teacher, texts in rationales:
        for one in texts:
            segment = Segment(name=teacher.teacher, text=one.text, weight=one.weight, share=1 / len(texts))
            yield Task(input=student_input(teacher.prefix, question), segments=(segment,))


def _rationale_first(question: Question, rationales: Rationales, context: ExtraContext) -> Iterator[Task]:
    """Every teacher's rationale behind this teacher's prefix, one after the other, and then the answer."""
    read = student_input(EXPLAIN_PREFIX, question, context)
    for round_ in _rounds(rationales):
        answer = Segment(name=ANSWER, text=f"{ANSWER_CUE} {question.gold}", share=round_[0].share)
        yield Task(input=read, segments=(*round_, answer))


def _answer_first(question: Question, rationales: Rationales, context: ExtraContext) -> Iterator[Task]:
    """The answer, and then every teacher's rationale behind this teacher's prefix."""
    read = student_input(ANSWER_PREFIX, question, context)
    for first, *others in _rounds(rationales):
        answer = Segment(name=ANSWER, text=question.gold, share=first.share)
        yield Task(input=read, segments=(answer, first.after(f"{RATIONALE_CUE} "), *others))


def _rounds(rationales: Rationales) -> Iterator[list[Segment]]:
    """The rationales of each sequence, one of every teacher. There are as many sequences as the most texts of one
    teacher; a teacher with fewer begins again with its first."""
    count = max(len(texts) for _, texts in rationales)
    for number in range(count):
        chosen = [(teacher, texts[number % len(texts)]) for teacher, texts in rationales]
        yield [
            Segment(
                name=teacher.teacher,
                text=f"{'' if place == 0 else SEPARATOR}{teacher.prefix}{one.text}",
                weight=one.weight,
                share=1 / count,
            )
            for place, (teacher, one) in enumerate(chosen)
        ]


SEPARATOR = "\n"
"""Between the rationales of a sequence."""

_SEQUENCES: Mapping[Target, Callable[[Question, Rationales, ExtraContext], Iterator[Task]]] = {
    "multitask": _multitask,
    "rationale-first": _rationale_first,
    "answer-first": _answer_first,
}
TARGETS = tuple(_SEQUENCES)
