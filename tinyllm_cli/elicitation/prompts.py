"""The prompts of teachers.

The in-context example generator and the teacher-forcing prompt are the paper's (section 3.3): k questions drawn at
random from the training split, then the question itself with its gold answer, which the teacher has to explain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from backends.base import Message
from tinyllm_cli.datasets.question import Question, option_line
from tinyllm_cli.records.elicitation import Prompt, Recipe

_FORCED = "Explain in one to three sentences why the given answer to the last question is right."
_FREE = (
    "Answer the last question. Reason in one to three sentences, then end with a line of the form"
    ' "Answer: (x)", where (x) is the letter of the right option.'
)
_CUE = "Rationale: Let's think step by step."

_WALK = 50

QuestionAfter = Callable[[str], Question | None]
"""The pool's question with the next hash after a given text, wrapping around at the end."""

HashAfter = Callable[[str], str | None]
"""The hash of that question."""

T = TypeVar("T")


def draw_examples(question: Question, recipe: Recipe, after: QuestionAfter) -> list[Question]:
    """`recipe.icl` distinct questions, never `question` itself nor a copy of it; fewer where there are no more.

    The seed and the question's content choose points on the ring of the pool's hashes, and the next questions after
    them are drawn. So the same command builds the same prompt, and adding or removing a question of the pool changes
    a few prompts, not all."""
    return _drawn(question.hash, recipe, after, lambda one: one.hash, lambda one: one.text != question.text)


def draw_hashes(question: str, recipe: Recipe, after: HashAfter) -> list[str]:
    """The hashes of what `draw_examples` draws for the question with this hash, unless one of them has its text."""
    return _drawn(question, recipe, after, str, lambda _: True)


def _drawn(
    question: str, recipe: Recipe, after: Callable[[str], T | None], hash_of: Callable[[T], str],
    fits: Callable[[T], bool],
) -> list[T]:  # fmt: skip
    drawn: dict[str, T] = {}
    for number in range(recipe.icl or 0):
        example = after(hashlib.sha256(f"{recipe.seed}:{question}:{number}".encode()).hexdigest())
        for _ in range(_WALK + 1):  # skip what can't be drawn
            if example is None:
                break
            found = hash_of(example)
            if found not in drawn and found != question and fits(example):
                drawn[found] = example
                break
            example = after(found)
    return list(drawn.values())


def build_prompt(question: Question, recipe: Recipe, examples: Sequence[Question]) -> Prompt:
    """The prompt for one question: blocks of Question, Options, Answer, and the cue to reason step by step."""
    blocks = [_FORCED if recipe.teacher_forcing else _FREE]
    blocks += [_block(example, with_answer=True) for example in examples]
    blocks.append(_block(question, with_answer=recipe.teacher_forcing) + f"\n{_CUE}")
    return Prompt(
        question=question.hash,
        recipe=recipe,
        messages=(Message(role="user", content="\n\n".join(blocks)),),
        examples=tuple(example.hash for example in examples),
    )


def recorded_prompt(question: Question, content_hash: str = "", *, teacher_forcing: bool) -> Prompt:
    """A placeholder for the unknown prompt of a recorded rationale. With another `content_hash`, the rationale is a new
    row."""
    recipe = Recipe.recorded(teacher_forcing=teacher_forcing)
    return Prompt(question=question.hash, recipe=recipe, messages=(), content_hash=content_hash)


def _block(question: Question, *, with_answer: bool) -> str:
    lines = [f"Question: {question.text}"]
    if question.context:
        lines.insert(0, f"Context: {question.context}")
    lines.append("Options:")
    lines += [option_line(index, text) for index, text in enumerate(question.options)]
    if with_answer:
        lines.append(f"Answer: {option_line(question.answer, question.gold)}")
    return "\n".join(lines)
