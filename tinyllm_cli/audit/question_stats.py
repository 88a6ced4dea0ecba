"""What the questions of one split are like for a student: lengths, and options that it can't write or tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyllm_cli.audit.measure import Measure
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.iteration import batched
from tinyllm_cli.students.inputs import ANSWER_PREFIX, student_input

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class InputLengths:
    """A split's questions in a student's tokens; `cut` are longer than its limit.

    `alike` have different options with the same tokens; `unknown` have an option with a character that its vocabulary
    lacks, though all options have different tokens."""

    split: str
    questions: int
    mean: float
    longest: int
    cut: int
    alike: int
    unknown: int


@dataclass(frozen=True, kw_only=True)
class SameOptions:
    """`questions` of a split have two options with the same text, of which `gold` the right one; `key` is the first of
    them."""

    split: str
    questions: int
    gold: int
    key: str


def same_options(split: str, questions: Iterable[Question]) -> SameOptions | None:
    """None if all questions of the split have different options."""
    count = gold = 0
    key = ""
    for question in questions:
        texts = [option.strip() for option in question.options]
        if len(set(texts)) < len(texts):
            count += 1
            gold += texts.count(texts[question.answer]) > 1
            key = key or question.key
    return SameOptions(split=split, questions=count, gold=gold, key=key) if count else None


def input_lengths(split: str, questions: Iterable[Question], measure: Measure) -> InputLengths:
    count = total = longest = cut = alike = unknown = 0
    for page in batched(questions, _PAGE):
        same = measure.ruler.alike([question.options for question in page])
        unwritable = iter(measure.ruler.unknown([option for question in page for option in question.options]))
        for question, is_same in zip(page, same, strict=True):
            lacking = [next(unwritable) for _ in question.options]
            alike += is_same
            unknown += any(lacking) and not is_same
        for length in measure.ruler.inputs([student_input(ANSWER_PREFIX, question) for question in page]):
            count += 1
            total += length
            longest = max(longest, length)
            cut += length > measure.max_input
    return InputLengths(
        split=split, questions=count, mean=total / count, longest=longest, cut=cut, alike=alike, unknown=unknown
    )
