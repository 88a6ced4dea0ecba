"""The layout of the TinyLLM authors' repository: questions by split, and both teachers' rationales in one string.

    riddle_train.json         array (or JSONL) of {id, question, choices, answer}
    llm/train_CoT_0.json      array of "<rationale> Thus, the answer is (x) <text>\\n\\nQ: <question>\\n
                              Answer Choices:\\n(a) ... llama rationale: <rationale>", in the order of the rows

The order joins the two, and the question that each string repeats is compared with the row's. Where parts of a split
are missing, the repeated question tells at which row the next part begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.datasets.rows import read_array
from tinyllm_cli.errors import UsageProblem

TEACHERS = ("t5", "llama2")
_FLAN_END = re.compile(r"\s*Thus, the answer is \((\w)\)")
_ECHO = "\n\nQ:"
_CHOICES = "\nAnswer Choices:"
_LLAMA = "llama rationale:"


@dataclass(frozen=True, kw_only=True)
class AuthorsRationales:
    """The parts of one string. A missing part is None."""

    flan: str | None
    flan_answer: int | None
    llama: str | None
    echo: str | None


def is_authors_layout(folder: Path) -> bool:
    return any(folder.glob("llm/*_CoT_*.json"))


def parse_pair(text: str) -> AuthorsRationales:
    """Split one string of `llm/<split>_CoT_<k>.json` into its parts."""
    head, echo_sign, tail = text.partition(_ECHO)
    if not echo_sign:
        head, _, llama = text.partition(_LLAMA)
        echo = None
    else:
        echo = tail.partition(_CHOICES)[0].strip()
        llama = tail.partition(_LLAMA)[2]
    end = _FLAN_END.search(head)
    flan = head[: end.start()] if end else head
    answer = LETTERS.find(end[1].lower()) if end else -1
    return AuthorsRationales(
        flan=flan.strip() or None,
        flan_answer=answer if answer >= 0 else None,
        llama=llama.strip() or None,
        echo=echo,
    )


def strings_of(folder: Path, split: str) -> Iterator[tuple[str, bool]]:
    """The strings of a split, over its files in numeric order. True marks the first string behind a missing file."""
    files = sorted((_number(path), path) for path in folder.glob(f"llm/{split}_CoT_*.json"))
    expected = 0
    for number, path in files:
        behind_gap, expected = number != expected, number + 1
        for place, item in enumerate(read_array(path), start=1):
            if not isinstance(item, str):
                raise UsageProblem(f"{path}, item {place}: expected a string, found {type(item).__name__}.")
            yield item, behind_gap and place == 1


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    if not re.fullmatch(r"\d{1,6}", digits, re.ASCII):
        raise UsageProblem(f"{path}: expected a number at the end of the name, as in train_CoT_0.json.")
    return int(digits)


def write_rationales(folder: Path, split: str, questions: Iterator[Question], targets: Mapping[str, IO[str]]) -> int:
    """Join the strings of a split to its questions and write each teacher's as JSONL rows; the number of rows.

    Raises UsageProblem when there are more strings than questions, or a string repeats another question."""
    row = written = 0
    certain = True  # each string so far has repeated its question
    for text, behind_gap in strings_of(folder, split):
        pair = parse_pair(text)
        question = next(questions, None)
        row += 1
        if behind_gap and pair.echo is None:
            raise UsageProblem(
                f"{folder}, split {split}: a file is missing before row {row}, and the next one names no question."
            )
        while behind_gap and question is not None and not _repeats(pair, question):
            question = next(questions, None)
            row += 1
        if question is None:
            raise UsageProblem(
                f"{folder}, split {split}: there are more rationales than questions (from row {row} on)."
            )
        _check_echo(folder, split, row, question, pair)
        certain &= pair.echo is not None
        written += 1
        for teacher, rationale, answer in (("t5", pair.flan, pair.flan_answer), ("llama2", pair.llama, None)):
            line = {"id": question.key, "split": split, "rationale": rationale or "", "answer_index": answer}
            targets[teacher].write(json.dumps(line, ensure_ascii=False) + "\n")
    if written and not certain and next(questions, None) is not None:
        raise UsageProblem(
            f"{folder}, split {split}: there are more questions than rationales (from row {row + 1} on)."
        )
    return written


def _repeats(pair: AuthorsRationales, question: Question) -> bool:
    return pair.echo is not None and _squeezed(pair.echo) == _squeezed(question.text)


def _check_echo(folder: Path, split: str, row: int, question: Question, pair: AuthorsRationales) -> None:
    if pair.echo is None or _repeats(pair, question):
        return
    raise UsageProblem(
        f"{folder}, split {split}, row {row}: the rationale repeats another question ('{pair.echo[:60]}').",
        "The files are joined by their order: check that both are of the same version.",
    )


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()
