"""Questions + rationales + alpha -> the student's weighted training tasks (paper, eq. 2-4).

Also the texts that a student reads and writes, which training and evaluation share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tinyllm_cli.datasets.question import Question, option_line

ANSWER = "answer"
ANSWER_PREFIX = "predict: "
"""p_A, as in the authors' code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One thing to learn. `name` is "answer" or the teacher's; `weight` is 1, or the teacher's alpha times the
    rationale's own weight; `share` is 1 over the number of samples that the teacher gave for this question, so that a
    question counts once."""

    name: str
    input: str
    target: str
    weight: float = 1.0
    share: float = 1.0


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
