"""The prompts of teachers.

The in-context example generator and the teacher-forcing prompt are the paper's (section 3.3): k questions drawn at
random from the training split, then the question itself with its gold answer, which the teacher has to explain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

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


def draw_examples(question: Question, recipe: Recipe, after: QuestionAfter) -> list[Question]:
    """`recipe.icl` distinct questions, never `question` itself nor a copy of it; fewer where there are no more.

    The seed and the question's content choose points on the ring of the pool's hashes, and the next questions after
    them are drawn. So the same command builds the same prompt, and adding or removing a question of the pool changes
    a few prompts, not all."""
    drawn: dict[str, Question] = {}
    for number in range(recipe.icl or 0):
        point = hashlib.sha256(f"{recipe.seed}:{question.hash}:{number}".encode()).hexdigest()
        example = after(point)
        for _ in range(_WALK):  # skip what can't be drawn
            if example is None or _fits(example, question, drawn):
                break
            example = after(example.hash)
        if example is not None and _fits(example, question, drawn):
            drawn[example.hash] = example
    return list(drawn.values())


def _fits(example: Question, question: Question, drawn: Mapping[str, Question]) -> bool:
    return example.hash not in drawn and example.hash != question.hash and example.text != question.text


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
