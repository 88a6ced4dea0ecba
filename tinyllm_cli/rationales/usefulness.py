"""The usefulness stage: how much does a rationale raise the likelihood of the gold answer for a small model?

No judge is asked: the model reads the question with the rationale and without it, and the usefulness is what the gold
option gains in log-probability among the options. Among the options, since nearly any text makes the words of all of
them more likely. By default the answer is masked: a teacher that saw it may only name it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.rationales.verdicts import JudgedRationale, judged
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.records.usefulness import Scorer, UsefulnessGain
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits, Ranker
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext
from tinyllm_cli.students.predict import rank

_CHUNK = 64
"""Rationales whose gains are committed together."""

OnScored = Callable[[int], None]
"""Called with the number of rationales scored so far, those of earlier runs included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A rationale's text as it would be learned, and its gain in nats. `cut`: the model's input was truncated."""

    rationale: Rationale
    text: str
    gain: float
    cut: bool


def score(
    store: Store,
    rationales: Iterable[JudgedRationale],
    *,
    model: Scorer,
    load: Callable[[], Ranker],
    mask: bool,
    watch: OnScored,
) -> Iterator[Scored]:
    """The gain of each text. Stored scores are reused; `load` is called only if one is missing."""
    ranker: Ranker | None = None
    done = 0
    for chunk in batched(rationales, _CHUNK):
        hashes = {one.rationale.id: text_hash(one.text, one.question, mask=mask) for one in chunk}
        gains = store.usefulness.stored(model, hashes)
        missing = [one for one in chunk if one.rationale.id not in gains]
        if missing:
            ranker = ranker or load()
            computed = [
                UsefulnessGain(rationale=id, text_hash=hashes[id], gain=gain, input_truncated=cut)
                for id, (gain, cut) in _gains(ranker, missing, mask, Limits()).items()
            ]
            store.usefulness.add(model, computed)
            gains |= {one.rationale: one for one in computed}
        done += len(chunk)
        watch(done)
        for one in chunk:
            gain = gains[one.rationale.id]
            yield Scored(rationale=one.rationale, text=one.text, gain=gain.gain, cut=gain.input_truncated)


def passed_rationales(
    store: Store, questions: Iterable[Question], source: RationaleSet, gates: GateSettings | None
) -> Iterator[JudgedRationale]:
    """The rationales of a set that pass the gates, for the first questions of a split."""
    return (one for one in judged(store, questions, source, gates) if one.passed)


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
