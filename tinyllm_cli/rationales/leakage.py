"""The leakage stage: does a rationale carry more than the answer's name? A small model answers with and without it.

Under teacher-forcing a rationale may just name the answer. What a probe makes of the rationale alone, of the
rationale with the answer masked, and of both with the question, tells the one from the other.
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
    """How many of `n` questions the probe answers right under one condition, with the 95 % Wilson interval, and how
    many inputs were cut."""

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
    """One result for each of CONDITIONS. Options stand in every input; `rationale` is without the question's text."""
    questions = [question for question, _ in pairs]
    told = {question.key: (text,) for question, text in pairs}
    blind = {question.key: (masked(text, question),) for question, text in pairs}
    unasked = [replace(question, text="Which of these is meant?", context=None) for question in questions]
    return [
        _result(name, ranker, asked, limits, extra_context)
        for name, asked, extra_context in zip(
            CONDITIONS, (questions, unasked, questions, questions), (NO_EXTRA_CONTEXT, told, told, blind), strict=True
        )
    ]


def _result(name: str, ranker: Ranker, asked: list[Question], limits: Limits, extra_context: ExtraContext) -> Probed:
    answers = list(rank(ranker, asked, limits, extra_context))
    correct, cut = (sum(getattr(one, what) for one in answers) for what in ("correct", "input_truncated"))
    low, high = wilson(correct, len(asked))
    return Probed(condition=name, n=len(asked), correct=correct, low=low, high=high, inputs_cut=cut)
