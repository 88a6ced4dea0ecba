"""The scoring stage: how much does a rationale raise the likelihood of the gold answer, for a small model at hand?

No judge: the model reads the question with the rationale and without it, and what the gold option gains in
log-probability among the options is the rationale's use. Among the options, since nearly any text makes the words of
all of them likelier. By default the answer's name is masked: a teacher that saw the answer may do no more than name it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.records.usefulness import Scorer, UsefulnessGain
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits, Ranker
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext
from tinyllm_cli.students.predict import rank

_CHUNK = 64  # rationales whose gains are committed together

Texts = Iterator[tuple[Rationale, str, Question]]
"""Rationales with their texts as they would be learnt, and with their questions."""

OnScored = Callable[[int], None]
"""Called with the rationales that are scored, those of earlier runs included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A rationale's text as it would be learnt, and what it is worth. `cut`: the model read less than the question with
    the text."""

    rationale: Rationale
    text: str
    gain: float
    cut: bool


def score(
    store: Store, texts: Texts, *, model: Scorer, load: Callable[[], Ranker], mask: bool, watch: OnScored
) -> Iterator[Scored]:
    """The gain of each text. Scores that the store has are taken from there; `load` is called only when one is
    missing."""
    ranker: Ranker | None = None
    done = 0
    while chunk := list(islice(texts, _CHUNK)):
        hashes = {one.id: text_hash(text, question, mask=mask) for one, text, question in chunk}
        gains = store.usefulness.stored(model, hashes)
        missing = [entry for entry in chunk if entry[0].id not in gains]
        if missing:
            ranker = ranker or load()
            fresh = _gains(ranker, missing, mask, Limits())
            found = [
                UsefulnessGain(rationale=id, text_hash=hashes[id], gain=gain, input_truncated=cut)
                for id, (gain, cut) in fresh.items()
            ]
            store.usefulness.add(model, found)
            gains |= {one.rationale: one for one in found}
        done += len(chunk)
        watch(done)
        for one, text, _ in chunk:
            yield Scored(rationale=one, text=text, gain=gains[one.id].gain, cut=gains[one.id].input_truncated)


def texts_with_questions(
    store: Store, dataset: str, split: str, variant: RationaleSet, gates: GateSettings | None, limit: int | None = None
) -> Texts:
    """What is left of a variant's rationales, for the first `limit` questions."""
    questions = store.questions.iterate(dataset, split, limit)
    question: Question | None = None
    for rationale, verdict in judged(store, dataset, split, variant, gates, limit):
        while question is None or question.key != rationale.key:
            question = next(questions)
        if verdict.verdict != "rejected":
            yield rationale, verdict.text, question


def _gains(
    ranker: Ranker, chunk: Iterable[tuple[Rationale, str, Question]], mask: bool, limits: Limits
) -> dict[int, tuple[float, bool]]:
    """By rationale id, with whether its input was cut. Samples of one question are read one after the other."""
    rounds: dict[int, list[tuple[Rationale, str, Question]]] = defaultdict(list)
    asked: dict[str, Question] = {}
    for rationale, text, question in chunk:
        rounds[rationale.sample].append((rationale, masked(text, question) if mask else text, question))
        asked[question.key] = question
    without = gold_scores(ranker, list(asked.values()), limits)
    gains: dict[int, tuple[float, bool]] = {}
    for entries in rounds.values():
        extra_context = {question.key: (text,) for _, text, question in entries}
        read = gold_scores(ranker, [question for _, _, question in entries], limits, extra_context)
        for one, _, question in entries:
            likely, cut = read[question.key]
            gains[one.id] = likely - without[question.key][0], cut
    return gains


def gold_scores(
    ranker: Ranker, questions: list[Question], limits: Limits, extra_context: ExtraContext = NO_EXTRA_CONTEXT
) -> dict[str, tuple[float, bool]]:
    """By key, the log-probability of each question's gold option (the softmax, over its options, of their mean
    log-likelihoods per token), and whether its input was cut."""
    answers = {question.key: question.answer for question in questions}
    return {
        one.key: (_log_softmax(one.scores or (), answers[one.key]), one.input_truncated)
        for one in rank(ranker, questions, limits, extra_context)
    }


def _log_softmax(scores: Sequence[float], index: int) -> float:
    highest = max(scores)
    return scores[index] - highest - math.log(sum(math.exp(score - highest) for score in scores))
