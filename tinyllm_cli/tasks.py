"""Questions + rationales + alpha -> the student's weighted training tasks (paper, eq. 2-4).

Also the texts that a student reads and writes, which training and evaluation share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A rationale that is fit to learn, and its weight among those of its teacher."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A teacher in training: its instruction prefix p_m and its weight alpha_m."""

    teacher: str
    prefix: str
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All the tasks of one question. A step of training takes whole lessons."""

    question: Question
    tasks: tuple[Task, ...]


Hints = Mapping[str, Sequence[str]]
"""By question key, the texts that a student reads beside the question (PINTO)."""

NO_HINTS: Hints = MappingProxyType({})


def student_input(prefix: str, question: Question, hints: Hints = NO_HINTS) -> str:
    """Prefix, question, options, hints, and the context last: a length limit cuts context first."""
    lines = [f"{prefix}{question.text}", "Options:"]
    lines += [option_line(index, text) for index, text in enumerate(question.options)]
    lines += [f"Rationale: {' '.join(text.split())}" for text in hints.get(question.key, ())]
    if question.context:
        lines.append(f"Context: {question.context}")
    return "\n".join(lines)


def lessons(
    questions: Iterable[Question],
    rationales: Mapping[str, Mapping[str, Sequence[Taught]]],
    voices: Sequence[Voice],
    hints: Hints = NO_HINTS,
) -> Iterator[Lesson]:
    """The lesson of each question. `rationales` maps teacher -> question key -> what to learn. A teacher with
    alpha 0 makes no task at all, so it costs nothing. `hints` stand in the input of the answer."""
    for question in questions:
        tasks = [Task(name=ANSWER, input=student_input(ANSWER_PREFIX, question, hints), target=question.gold)]
        for voice in voices:
            taught = rationales.get(voice.teacher, {}).get(question.key, ()) if voice.alpha else ()
            tasks += [
                Task(
                    name=voice.teacher,
                    input=student_input(voice.prefix, question),
                    target=one.text,
                    weight=voice.alpha * one.weight,
                    share=1 / len(taught),
                )
                for one in taught
            ]
        yield Lesson(question=question, tasks=tuple(tasks))
