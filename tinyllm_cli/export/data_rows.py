"""Training data as rows for other trainers: one row for each text that `distill` would learn. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from tinyllm_cli.datasets.question import Question, option_line
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.training.data import TrainingQuestion

RowFormat = Literal["messages", "prompt-completion", "alpaca", "llama-factory", "columns"]
ROW_FORMATS: tuple[RowFormat, ...] = get_args(RowFormat)


def training_rows(
    questions: Iterable[TrainingQuestion], form: RowFormat, alphas: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """A row for each selected rationale, which ends with the gold answer; for a question without one, a row with the
    answer alone. The weight is the teacher's alpha times the rationale's own, over its samples for the question."""
    for one in questions:
        rationales = [part for task in one.tasks for part in task.segments if part.name != ANSWER]
        for part in rationales:
            weight = alphas[part.name] * part.weight * part.share
            yield _row(one.question, form, rationale=part.text, teacher=part.name, weight=weight)
        if not rationales:
            yield _row(one.question, form)


def answer_rows(questions: Iterable[Question], form: RowFormat) -> Iterator[dict[str, Any]]:
    """A row with the gold answer for each question."""
    return (_row(question, form) for question in questions)


def _row(
    question: Question, form: RowFormat, *, rationale: str = "", teacher: str = "", weight: float = 1.0
) -> dict[str, Any]:
    return {
        "id": question.key, "teacher": teacher, "weight": weight, **_FORMS[form](question, rationale),
    }  # fmt: skip


def _completion(question: Question, rationale: str) -> str:
    answer = f"Answer: {option_line(question.answer, question.gold)}"
    return f"{rationale}\n\n{answer}" if rationale else answer


def _asked(question: Question) -> str:
    """The question with its options, without its context."""
    options = "\n".join(option_line(place, text) for place, text in enumerate(question.options))
    return f"{question.text}\n\nOptions:\n{options}"


def _prompt(question: Question) -> str:
    return f"Context: {question.context}\n\n{_asked(question)}" if question.context else _asked(question)


def _messages(question: Question, rationale: str) -> Mapping[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": _prompt(question)},
            {"role": "assistant", "content": _completion(question, rationale)},
        ]
    }


def _prompt_completion(question: Question, rationale: str) -> Mapping[str, Any]:
    """TRL joins the two as they are, so the space between them belongs to one of them."""
    return {"prompt": f"{_prompt(question)}\n\n", "completion": _completion(question, rationale)}


def _alpaca(question: Question, rationale: str) -> Mapping[str, Any]:
    return {
        "instruction": _asked(question),
        "input": question.context or "",
        "output": _completion(question, rationale),
    }


def _llama_factory(question: Question, rationale: str) -> Mapping[str, Any]:
    return {
        "conversations": [
            {"from": "human", "value": _prompt(question)},
            {"from": "gpt", "value": _completion(question, rationale)},
        ]
    }


def _columns(question: Question, rationale: str) -> Mapping[str, Any]:
    """Each part on its own. `tinyllm import` reads these names."""
    return {
        "question": question.text, "context": question.context or "", "options": list(question.options),
        "answer": question.answer, "rationale": rationale,
    }  # fmt: skip


_FORMS: Mapping[RowFormat, Callable[[Question, str], Mapping[str, Any]]] = {
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "alpaca": _alpaca,
    "llama-factory": _llama_factory,
    "columns": _columns,
}
