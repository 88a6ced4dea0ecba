"""A student answers questions: by ranking the options, or by writing text that is matched to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tinyllm_cli.datasets.matching import match_option
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.records.evaluations import Prediction
from tinyllm_cli.students.base import Example, Limits, Ranker, Writer
from tinyllm_cli.students.groups import Budget, in_groups
from tinyllm_cli.students.inputs import ANSWER, ANSWER_PREFIX, NO_EXTRA_CONTEXT, ExtraContext, Task, student_input

RANKED = Budget(cpu=8000, gpu=256_000)
"""Padded tokens of one forward pass, with the input once for each option: on a CPU as large as the caches get."""

WRITTEN = Budget(cpu=24_000, gpu=256_000)
"""Padded tokens of the rows that are written together. A step of few rows takes nearly as long as one of many: it
reads all the weights. So the long answers of many questions run together."""

MAX_ANSWER_TOKENS = 64
MAX_OPTION_TOKENS = 256


class ScoresNotFinite(WorldProblem):
    """A student's scores are NaN or infinite, so that it has no answer."""


def rank(
    student: Ranker, questions: Sequence[Question], limits: Limits, extra_context: ExtraContext = NO_EXTRA_CONTEXT
) -> Iterator[Prediction]:
    """The option with the highest mean log-likelihood per token of its text; always a valid answer.

    Raises ScoresNotFinite where a score is not finite."""
    encoded = {question.key: _encode_options(student, question, limits, extra_context) for question in questions}
    sizes = [max(example.size for example in encoded[question.key]) * len(question.options) for question in questions]

    def scored(group: list[Question]) -> list[list[float]]:
        examples = [encoded[question.key] for question in group]
        return student.option_scores(
            [options[0].input for options in examples],
            [[_without_end(student, option) for option in options] for options in examples],
        )

    for question, scores in in_groups(student, questions, sizes, RANKED, scored):
        if not all(map(math.isfinite, scores)):
            raise ScoresNotFinite(
                "The student's scores are not finite: its weights are damaged, or its training diverged.",
                "Load the model again, or train it with a smaller --lr.",
            )
        best = max(range(len(scores)), key=scores.__getitem__)
        yield Prediction(
            key=question.key,
            question=question.hash,
            option=best,
            correct=best == question.answer,
            scores=tuple(scores),
            input_truncated=any(option.input_cut or option.target_cut for option in encoded[question.key]),
        )


def generate(
    student: Writer,
    questions: Sequence[Question],
    limits: Limits,
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
    option_of: Callable[[str, Sequence[str]], int | None] = match_option,
) -> Iterator[Prediction]:
    """Greedy text, matched to an option; a text that is no option is no answer, never a guess."""
    tasks = [Task.single(ANSWER, student_input(ANSWER_PREFIX, question, extra_context)) for question in questions]
    limits = replace(limits, target=max(limits.target, MAX_ANSWER_TOKENS))  # room for what is written
    encoded = {
        question.key: example for question, example in zip(questions, student.encode(tasks, limits), strict=True)
    }
    sizes = [len(encoded[question.key].input) + MAX_ANSWER_TOKENS for question in questions]

    def written(group: list[Question]) -> list[str]:
        return student.generate([encoded[question.key].input for question in group], MAX_ANSWER_TOKENS)

    for question, text in in_groups(student, questions, sizes, WRITTEN, written):
        option = option_of(text, question.options)
        yield Prediction(
            key=question.key,
            question=question.hash,
            option=option,
            correct=option == question.answer,
            text=text,
            input_truncated=encoded[question.key].input_cut,
        )


def explain(
    student: Writer, questions: Sequence[Question], teacher: str, prefix: str, limits: Limits
) -> dict[str, str]:
    """The rationale of each question, by key, as the student writes it after the `prefix` of that teacher."""
    tasks = [Task.single(teacher, student_input(prefix, question)) for question in questions]
    inputs = [example.input for example in student.encode(tasks, limits)]
    pairs = list(zip(questions, inputs, strict=True))
    sizes = [len(ids) + limits.target for ids in inputs]

    def written(group: list[tuple[Question, tuple[int, ...]]]) -> list[str]:
        return student.generate([ids for _, ids in group], limits.target)

    return {question.key: text for (question, _), text in in_groups(student, pairs, sizes, WRITTEN, written)}


def _encode_options(student: Ranker, question: Question, limits: Limits, extra_context: ExtraContext) -> list[Example]:
    """Options are never cut at the target limit: cut ones may look the same."""
    text = student_input(ANSWER_PREFIX, question, extra_context)
    limits = replace(limits, target=max(limits.target, MAX_OPTION_TOKENS))
    return student.encode([Task.single(ANSWER, text, option) for option in question.options], limits)


def _without_end(student: Ranker, option: Example) -> tuple[int, ...]:
    """The option's own tokens: an option is scored by its text, not by how surely it ends there."""
    end = student.tokenizer.eos_token_id
    return option.target[:-1] if option.target[-1] == end and len(option.target) > 1 else option.target
