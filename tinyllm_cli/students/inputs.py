"""Questions + rationales + alpha -> the student's weighted training tasks (paper, eq. 2-4).

Also the texts that a student reads and writes, which training and evaluation share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tinyllm_cli.datasets.question import Question, option_line

ANSWER = "answer"
ANSWER_PREFIX = "predict: "
"""p_A, as in the authors' code."""

EXPLAIN_PREFIX = "explain and predict: "
"""Of inputs whose target is rationales and then the answer. A question without a rationale is answered after p_A: one
input has one kind of target, or a student would mix them."""


ANSWER_CUE = "\nAnswer:"
RATIONALE_CUE = "\nRationale:"
"""In front of an answer and of a rationale, where these follow other text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A part of a target text that one term of the objective is about. `name` is "answer" or the teacher's; `weight` is
    the rationale's own, 1 on average; `share` is 1 over the number of segments of this name that its question has, so
    that a question counts once."""

    name: str
    text: str
    weight: float = 1.0
    share: float = 1.0

    def after(self, text: str) -> Segment:
        """The segment with this text in front."""
        return replace(self, text=text + self.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One sequence to learn: an input, and the segments of its target, in their order."""

    input: str
    segments: tuple[Segment, ...]

    @classmethod
    def single(cls, name: str, input: str, target: str = "", *, weight: float = 1.0, share: float = 1.0) -> Task:
        """A task with one segment."""
        return cls(input=input, segments=(Segment(name=name, text=target, weight=weight, share=share),))

    @property
    def begins_with(self) -> str:
        """The name of the first segment."""
        return self.segments[0].name


ExtraContext = Mapping[str, Sequence[str]]
"""By question key, the texts that a student reads beside the question (PINTO)."""

NO_EXTRA_CONTEXT: ExtraContext = MappingProxyType({})


def student_input(prefix: str, question: Question, extra_context: ExtraContext = NO_EXTRA_CONTEXT) -> str:
    """Prefix, question, options, hints, and the context last: a length limit cuts context first."""
    lines = [f"{prefix}{question.text}", "Options:"]
    lines += [option_line(index, text) for index, text in enumerate(question.options)]
    lines += [f"Rationale: {' '.join(text.split())}" for text in extra_context.get(question.key, ())]
    if question.context:
        lines.append(f"Context: {question.context}")
    return "\n".join(lines)
