"""Questions + rationales + alpha -> the student's weighted training tasks (paper, eq. 2-4).

Also the texts that a student reads and writes, which training and evaluation share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question, option_line

ANSWER = "answer"
ANSWER_PREFIX = "predict: "
"""p_A, as in the authors' code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One thing to learn. `name` is "answer" or the teacher's; `weight` is 1 or the teacher's alpha; `share` is 1
    over the number of samples that the teacher gave for this question, so that a question counts once."""

    name: str
    input: str
    target: str
    weight: float = 1.0
    share: float = 1.0


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


def student_input(prefix: str, question: Question) -> str:
    """Prefix, question, options, and the context last: a length limit cuts context first."""
    lines = [f"{prefix}{question.text}", "Options:"]
    lines += [option_line(index, text) for index, text in enumerate(question.options)]
    if question.context:
        lines.append(f"Context: {question.context}")
    return "\n".join(lines)


def lessons(
    questions: Iterable[Question],
    rationales: Mapping[str, Mapping[str, Sequence[str]]],
    voices: Sequence[Voice],
) -> Iterator[Lesson]:
    """The lesson of each question. `rationales` maps teacher -> question key -> accepted texts. A teacher with
    alpha 0 makes no task at all, so it costs nothing."""
    for question in questions:
        tasks = [Task(name=ANSWER, input=student_input(ANSWER_PREFIX, question), target=question.gold)]
        for voice in voices:
            texts = rationales.get(voice.teacher, {}).get(question.key, ()) if voice.alpha else ()
            tasks += [
                Task(
                    name=voice.teacher,
                    input=student_input(voice.prefix, question),
                    target=text,
                    weight=voice.alpha,
                    share=1 / len(texts),
                )
                for text in texts
            ]
        yield Lesson(question=question, tasks=tuple(tasks))
