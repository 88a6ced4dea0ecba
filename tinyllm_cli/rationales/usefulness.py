"""The usefulness stage: how much does a rationale raise the likelihood of the gold answer for a small model?

No judge is asked: the model reads the question with the rationale and without it, and the usefulness is what the gold
option gains in log-probability among the options. Among the options, since nearly any text makes the words of all of
them more likely. By default the answer is masked: a teacher that saw it may only name it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.students.base import Limits, Ranker
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext
from tinyllm_cli.students.predict import rank


@dataclass(frozen=True, kw_only=True)
class Usefulness:
    """What a text gains the gold answer; `mask`: without the answer's name in what the model reads."""

    mask: bool = True

    def hash(self, one: JudgedRationale) -> str:
        return text_hash(one.text, one.question, mask=self.mask)

    def compute(self, ranker: Ranker, chunk: Sequence[JudgedRationale]) -> dict[int, tuple[float, bool]]:
        return _gains(ranker, chunk, self.mask, Limits())


def _gains(
    ranker: Ranker, chunk: Iterable[JudgedRationale], mask: bool, limits: Limits
) -> dict[int, tuple[float, bool]]:
    """By rationale id, the gain and whether the input was truncated. A question has one extra context at a time, so
    its samples are read in separate passes."""
    passes: dict[int, list[JudgedRationale]] = defaultdict(list)
    questions: dict[str, Question] = {}
    for one in chunk:
        passes[one.rationale.sample].append(one)
        questions[one.question.key] = one.question
    without = gold_scores(ranker, list(questions.values()), limits)
    gains: dict[int, tuple[float, bool]] = {}
    for own in passes.values():
        extra_context = {one.question.key: (masked(one.text, one.question) if mask else one.text,) for one in own}
        scores = gold_scores(ranker, [one.question for one in own], limits, extra_context)
        for one in own:
            gold, cut = scores[one.question.key]
            gains[one.rationale.id] = gold - without[one.question.key][0], cut
    return gains


def gold_scores(
    ranker: Ranker, questions: list[Question], limits: Limits, extra_context: ExtraContext = NO_EXTRA_CONTEXT
) -> dict[str, tuple[float, bool]]:
    """By key, the log-probability of each question's gold option (softmax over its options of their mean log-likelihood
    per token), and whether its input was truncated."""
    answers = {question.key: question.answer for question in questions}
    return {
        one.key: (_log_softmax(one.scores or (), answers[one.key]), one.input_truncated)
        for one in rank(ranker, questions, limits, extra_context)
    }


def _log_softmax(scores: Sequence[float], index: int) -> float:
    highest = max(scores)
    return scores[index] - highest - math.log(sum(math.exp(score - highest) for score in scores))
