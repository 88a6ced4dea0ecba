"""The leakage stage: does a rationale carry more than the answer's name? A small model answers with and without it.

A teacher that saw the gold answer may only name it. The accuracy of a probe that reads the rationale alone, the
rationale with the answer masked, and both with the question, shows the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.stats import wilson
from tinyllm_cli.students.base import Limits, Ranker
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext
from tinyllm_cli.students.predict import rank

CONDITIONS = ("question", "rationale", "question and rationale", "question and masked rationale")


@dataclass(frozen=True, kw_only=True)
class Probed:
    """How many of `n` questions the probe answers correctly in one condition, with the 95 % Wilson interval, and how
    many inputs were truncated."""

    condition: str
    n: int
    correct: int
    low: float
    high: float
    inputs_cut: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def probe(ranker: Ranker, pairs: Sequence[tuple[Question, str]], limits: Limits) -> list[Probed]:
    """One result for each of CONDITIONS. Every input has the options; `rationale` is without the question's text."""
    questions = [question for question, _ in pairs]
    rationales = {question.key: (text,) for question, text in pairs}
    masked_rationales = {question.key: (masked(text, question),) for question, text in pairs}
    without_text = [replace(question, text="Which of these is meant?", context=None) for question in questions]
    inputs = (
        (questions, NO_EXTRA_CONTEXT),
        (without_text, rationales),
        (questions, rationales),
        (questions, masked_rationales),
    )
    return [
        _result(name, ranker, asked, limits, extra_context)
        for name, (asked, extra_context) in zip(CONDITIONS, inputs, strict=True)
    ]


def _result(name: str, ranker: Ranker, asked: list[Question], limits: Limits, extra_context: ExtraContext) -> Probed:
    answers = list(rank(ranker, asked, limits, extra_context))
    correct, cut = (sum(getattr(one, what) for one in answers) for what in ("correct", "input_truncated"))
    low, high = wilson(correct, len(asked))
    return Probed(condition=name, n=len(asked), correct=correct, low=low, high=high, inputs_cut=cut)
