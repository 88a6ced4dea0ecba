"""What a teacher is asked, and how its reply is read.

The in-context example generator and the teacher-forcing prompt are the paper's (section 3.3): k questions drawn at
random from the training split, then the question itself with its gold answer, which the teacher has to explain.
Reading is pure and can be repeated: the store keeps the raw reply.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.base import Message
from tinyllm_cli.datasets.question import LETTERS, Question, option_line
from tinyllm_cli.records import Prompt

TEMPLATE = "v1"
STOP = ("\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:")
"""Where a reply ends: what follows is an invented next question."""

_FORCED = "Explain in one to three sentences why the given answer to the last question is right."
_FREE = (
    "Answer the last question. Reason in one to three sentences, then end with a line of the form"
    ' "Answer: (x)", where (x) is the letter of the right option.'
)
_CUE = "Rationale: Let's think step by step."
RECORDED_RECIPE = "recorded"

_WALK = 50

QuestionAfter = Callable[[str], Question | None]
"""The pool's question whose hash comes next after a given text, round the end to the beginning."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How prompts are made. `icl` in-context examples, drawn with `seed`."""

    icl: int = 2
    seed: int = 0
    teacher_forcing: bool = True

    @property
    def name(self) -> str:
        mode = "forced" if self.teacher_forcing else "free"
        return f"{TEMPLATE} {mode} icl={self.icl}" + (f" seed={self.seed}" if self.icl else "")


_NAMED = re.compile(rf"{TEMPLATE} (forced|free) icl=(\d+)(?: seed=(-?\d+))?")


def recipe_named(name: str) -> Recipe | None:
    """The recipe of this name; None for one of another template, or of a recording."""
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    return Recipe(icl=int(match[2]), seed=int(match[3] or 0), teacher_forcing=match[1] == "forced")


_ICL = re.compile(r"\bicl=(\d+)")


def recipe_icl(name: str) -> int | None:
    """How many in-context examples the prompts of a recipe hold; None where that is unknown, as for a recording."""
    found = _ICL.search(name)
    return int(found[1]) if found else None


def draw_examples(question: Question, recipe: Recipe, after: QuestionAfter) -> list[Question]:
    """`recipe.icl` distinct questions, never `question` itself nor a copy of it; fewer where there are no more.

    The seed and the question's content choose points on the ring of the pool's hashes, and the questions next after
    them are drawn. So the same command makes the same prompt, and a pool that gains or loses a question changes
    the few prompts that had drawn there, not all."""
    drawn: dict[str, Question] = {}
    for number in range(recipe.icl):
        point = hashlib.sha256(f"{recipe.seed}:{question.hash}:{number}".encode()).hexdigest()
        example = after(point)
        for _ in range(_WALK):  # on past what can't be drawn
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
        recipe=recipe.name,
        messages=(Message(role="user", content="\n\n".join(blocks)),),
        teacher_forcing=recipe.teacher_forcing,
        examples=tuple(example.hash for example in examples),
    )


def recorded_prompt(question: Question, edition: str = "", *, teacher_forcing: bool) -> Prompt:
    """Stands for the unknown prompt behind a recorded rationale. Its `edition` makes a changed one a new row."""
    recipe = RECORDED_RECIPE if teacher_forcing else f"{RECORDED_RECIPE} free"
    return Prompt(question=question.hash, recipe=recipe, messages=(), teacher_forcing=teacher_forcing, edition=edition)


def _block(question: Question, *, with_answer: bool) -> str:
    lines = [f"Question: {question.text}"]
    if question.context:
        lines.insert(0, f"Context: {question.context}")
    lines.append("Options:")
    lines += [option_line(index, text) for index, text in enumerate(question.options)]
    if with_answer:
        lines.append(f"Answer: {option_line(question.answer, question.gold)}")
    return "\n".join(lines)


_THINK, _THOUGHT = "<think>", "</think>"


def rationale_text(raw: str) -> str:
    """The part of a raw reply that is a rationale: after what a reasoning model thought aloud, up to an invented
    next question, without outer white space."""
    text = without_thinking(raw)
    cut = min((text.index(stop) for stop in STOP if stop in text), default=len(text))
    return text[:cut].strip()


def without_thinking(raw: str) -> str:
    """A reply after what a reasoning model thought aloud.

    Nothing when the model never came to an end of it. Where the prompt opens the block, the reply only ends it."""
    before, end, _ = raw.partition(_THOUGHT)
    if end and (before.lstrip().startswith(_THINK) or _THINK not in before):
        raw = raw.rpartition(_THOUGHT)[2]
    return "" if raw.lstrip().startswith(_THINK) else raw


_SIGN = r"(?:answer|option)[*_]*\s*(?:is|:|=)[*_]*\s*:?\s*[*_]*\s*(?:option\s+)?"
_LETTER_SAID = (
    r"(?:\(([a-z])\)"  # (b)
    r"|([ai])(?=[).:,;\"*`\]}$]|\s*(?:\n|$))"  # a bare a or i may be a word: only at an end
    r"|([b-hj-z])(?![\w'’-]))"
    r"(?!\)?\s*(?:or|and|/|&)\s*\(?[a-z]\b)"  # "b or c" states nothing
)
_DRESS = r"[\"'*`$\[]*(?:\\(?:boxed|text|textbf)\{)*"  # as models that were trained on mathematics write it
_STATED = re.compile(_SIGN + _DRESS + _LETTER_SAID, re.IGNORECASE)
_LETTER = re.compile(r"\(?([a-z])[).:]?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)


def own_answer(recorded: int | None, reply: str, options: Sequence[str]) -> int | None:
    """The option that the source of a reply recorded beside it, or that the reply names; None where neither does.

    What is no option's index, such as -1 for 'unknown', is nothing recorded."""
    if recorded is not None and 0 <= recorded < len(options):
        return recorded
    return stated_answer(reply, options)


def stated_answer(reply: str, options: Sequence[str]) -> int | None:
    """The option that a free reply ends up naming, or None: never a guess.

    What follows the last "answer is" counts when it is an option's text; then the last "answer is (b)" or
    "Answer: b"; without one, a reply that is an option."""
    text = rationale_text(reply)
    tail = re.split(_SIGN, text, flags=re.IGNORECASE)[-1]
    if not tail.lstrip("\"'*").startswith("("):
        same = _same(tail, options)
        if same is not None:
            return same
    letters = LETTERS[: len(options)]
    named = ["".join(filter(None, match.groups())).lower() for match in _STATED.finditer(text)]
    valid = [letter for letter in named if letter in letters]
    if valid:
        return letters.index(valid[-1])
    for candidate in (text, tail):
        option = match_option(candidate, options)
        if option is not None:
            return option
    return None


def match_option(text: str, options: Sequence[str]) -> int | None:
    """The option that `text` is: by its text, as it stands or after normalising, or by its letter alone or before that
    text.

    None when it is no option, or more than one."""
    same = _same(text, options)
    if same is not None:
        return same
    letter = _LETTER.fullmatch(text.strip())
    if letter is None or letter[1].lower() not in LETTERS[: len(options)]:
        return None
    index = LETTERS.index(letter[1].lower())
    rest = _normal(letter[2] or "")
    return index if not rest or rest == _normal(options[index]) else None


def _same(text: str, options: Sequence[str]) -> int | None:
    """Where options differ in no more than what normalising takes away (`Rr`, `rr`), their own spelling counts."""
    for spelt in (str.strip, _normal):
        found = [index for index, option in enumerate(options) if spelt(option) == spelt(text) != ""]
        if len(found) == 1:
            return found[0]
    return None


def _normal(text: str) -> str:
    """Case, outer punctuation, articles at the front and runs of white space don't tell answers apart."""
    plain = " ".join(text.casefold().split()).strip(" .,;:!?\"'`*()[]")
    return re.sub(r"^(?:the|an?)\s+(?=\S)", "", plain)
