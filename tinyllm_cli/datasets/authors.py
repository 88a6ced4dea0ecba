"""The layout of the TinyLLM authors' repository: questions by split, and both teachers' rationales in one string.

    train.json                array (or JSONL) of {id, question, choices, answer}
    llm/train_CoT_0.json      array of "<rationale> Thus, the answer is (x) <text>\\n\\nQ: <question>\\n
                              Answer Choices:\\n(a) ... llama rationale: <rationale>", in the order of the rows

The order is all that joins the two, so the question that each string repeats is compared with the row's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
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
    """One string taken apart. A part that is missing is None."""

    flan: str | None
    flan_answer: int | None
    llama: str | None
    echo: str | None


def is_authors_layout(folder: Path) -> bool:
    return any(folder.glob("llm/*_CoT_*.json"))


def parse_pair(text: str) -> AuthorsRationales:
    """Take one string of `llm/<split>_CoT_<k>.json` apart."""
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


def strings_of(folder: Path, split: str) -> Iterator[str]:
    """The strings of a split, over its files in numeric order."""
    files = sorted(folder.glob(f"llm/{split}_CoT_*.json"), key=lambda path: int(path.stem.rpartition("_")[2]))
    for path in files:
        for number, item in enumerate(read_array(path), start=1):
            if not isinstance(item, str):
                raise UsageProblem(f"{path}, item {number}: expected a string, found {type(item).__name__}.")
            yield item


def write_rationales(folder: Path, split: str, questions: Iterator[Question], targets: Mapping[str, IO[str]]) -> int:
    """Join the strings of a split to its questions and write each teacher's as JSONL rows; the number of rows.

    Raises UsageProblem when the counts differ or a string repeats another question."""
    strings = strings_of(folder, split)
    first = next(strings, None)
    if first is None:
        return 0
    rows = 0
    missing = object()
    chained = chain((first,), strings)
    for rows, (question, text) in enumerate(zip_longest(questions, chained, fillvalue=missing), start=1):
        if not isinstance(question, Question) or not isinstance(text, str):
            more = "rationales than questions" if isinstance(text, str) else "questions than rationales"
            raise UsageProblem(f"{folder}, split {split}: there are more {more} (from row {rows} on).")
        pair = parse_pair(text)
        _check_echo(folder, split, rows, question, pair)
        for teacher, rationale, answer in (("t5", pair.flan, pair.flan_answer), ("llama2", pair.llama, None)):
            row = {"id": question.key, "split": split, "rationale": rationale or "", "answer_index": answer}
            targets[teacher].write(json.dumps(row, ensure_ascii=False) + "\n")
    return rows


def _check_echo(folder: Path, split: str, row: int, question: Question, pair: AuthorsRationales) -> None:
    if pair.echo is None or _squeezed(pair.echo) == _squeezed(question.text):
        return
    raise UsageProblem(
        f"{folder}, split {split}, row {row}: the rationale speaks of another question ('{pair.echo[:60]}').",
        "The files are joined by their order alone: check that both are of the same version.",
    )


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()
