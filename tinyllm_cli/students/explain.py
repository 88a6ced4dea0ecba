"""A student explains and answers: the text that it writes, and the option that this text states.

Where the answer is depends on the target of its training: in the rationale, behind it, or before it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyllm_cli.datasets.matching import match_option, stated_option
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.evaluations import Prediction
from tinyllm_cli.records.settings import Target
from tinyllm_cli.students.base import Example, Limits, Ranker, Sampled, Writer
from tinyllm_cli.students.groups import in_groups
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
from tinyllm_cli.students.predict import RANKED, WRITTEN

VOTE_TEMPERATURE = 0.7
"""Of sampled rationales, as in Wang et al. 2023 (self-consistency), section 3.1."""

RATIONALE = "rationale"
"""Names a segment that is no answer, whichever teacher's style it has."""

_CUES = {cue: re.compile(r"\b" + cue.strip(" :\n") + r"\s*:") for cue in (ANSWER_CUE, RATIONALE_CUE)}


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """How a student explains. `target` is that of its training; `style` is the prefix of a teacher for "multitask",
    whose students write one teacher's rationale at a time. With several `votes` the rationales are sampled, and
    the option that most of them state is the answer (self-consistency); of equal numbers the one stated first."""

    target: Target
    style: str = ANSWER_PREFIX
    votes: int = 1
    seed: int = 0

    @property
    def prefix(self) -> str:
        """What the input begins with."""
        return EXPLAIN_PREFIX if self.target == "rationale-first" else self.style

    @property
    def begins_with(self) -> str:
        """The name of the segment that is written first."""
        return ANSWER if self.target == "answer-first" else RATIONALE

    def option(self, text: str, options: Sequence[str]) -> int | None:
        """The option that a written text states; None where it is none, or not clear."""
        if self.target == "multitask":
            return stated_option(text, options)
        if self.target == "answer-first":
            first, *_ = _CUES[RATIONALE_CUE].split(text, maxsplit=1)
            return match_option(first.strip() or text, options)
        *_, last = _CUES[ANSWER_CUE].split(text)
        return match_option(last.strip(), options)


ANSWERS_ALONE = Explaining(target="answer-first")
"""Of a student that has learned no rationales: its text is its answer."""


def explain_and_answer(
    student: Writer,
    questions: Sequence[Question],
    how: Explaining,
    limits: Limits,
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
) -> Iterator[Prediction]:
    """One prediction for each question, with the text that states it. The answers of a question depend on nothing but
    the student, the question and `how`."""
    encoded = dict(zip(questions, _inputs(student, questions, how, limits, extra_context), strict=True))
    pairs = [(question, vote) for question in questions for vote in range(how.votes)]
    sizes = [len(encoded[question].input) + limits.target for question, _ in pairs]
    texts: dict[Question, dict[int, str]] = {question: {} for question in questions}

    def written(group: list[tuple[Question, int]]) -> list[str]:
        sampled = None
        if how.votes > 1:
            seeds = [_seed(how.seed, question, vote) for question, vote in group]
            sampled = Sampled(temperature=VOTE_TEMPERATURE, seeds=seeds)
        return student.generate([encoded[question].input for question, _ in group], limits.target, sampled)

    for (question, vote), text in in_groups(student, pairs, sizes, WRITTEN, written):
        texts[question][vote] = text
    for question in questions:
        own = [texts[question][vote] for vote in range(how.votes)]
        tokens = sum(map(len, student.tokenizer(own, add_special_tokens=False, verbose=False)["input_ids"]))
        answer = _prediction(question, own, how)
        yield replace(answer, written_tokens=tokens, input_truncated=encoded[question].input_cut)


def _prediction(question: Question, texts: Sequence[str], how: Explaining) -> Prediction:
    options = [how.option(text, question.options) for text in texts]
    counts = Counter(option for option in options if option is not None)
    chosen = max(counts, key=counts.__getitem__) if counts else None  # the first of equal ones
    return Prediction(
        key=question.key,
        question=question.hash,
        option=chosen,
        correct=chosen == question.answer,
        text=texts[options.index(chosen)],
    )


def _inputs(
    student: Writer, questions: Sequence[Question], how: Explaining, limits: Limits, extra_context: ExtraContext
) -> list[Example]:
    tasks = [Task.single(how.begins_with, student_input(how.prefix, one, extra_context)) for one in questions]
    return student.encode(tasks, limits)


def _seed(seed: int, question: Question, vote: int) -> int:
    """Of one sampled text: another for each vote, whatever else is written beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {question.hash} {vote}".encode()).digest()[:7])


def gold_loss_after(
    student: Ranker, questions: Sequence[Question], texts: Mapping[str, str], limits: Limits
) -> list[float]:
    """The mean negative log-likelihood (nats per token) of each question's gold answer behind the rationale in the text
    that the student wrote, by question key ("rationale-first").

    An option's score is a mean over its tokens, so the answer's own sum is that of rationale and answer less that of
    the rationale."""
    examples = [_with_gold(student, question, texts[question.key], limits) for question in questions]

    def scored(group: list[Example]) -> list[list[float]]:
        targets = [(one.target[: -one.spans[-1].length], one.target) for one in group]
        return student.option_scores([one.input for one in group], targets)

    losses: dict[Example, float] = {}
    for one, (before, after) in in_groups(student, examples, [2 * one.size for one in examples], RANKED, scored):
        answer, whole = one.spans[-1].length, one.length
        losses[one] = (before * (whole - answer) - after * whole) / answer
    return [losses[one] for one in examples]


def _with_gold(student: Ranker, question: Question, text: str, limits: Limits) -> Example:
    rationale = _CUES[ANSWER_CUE].split(text)[0].strip() or "."  # a student may begin with the answer
    segments = (
        Segment(name=RATIONALE, text=rationale),
        Segment(name=ANSWER, text=f"{ANSWER_CUE} {question.gold}"),
    )
    [example] = student.encode([Task(input=student_input(EXPLAIN_PREFIX, question), segments=segments)], limits)
    return example
