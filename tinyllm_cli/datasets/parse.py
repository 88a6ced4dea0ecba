"""From a row to a Question: which columns hold what, and how an answer is written (index, letter, label, text)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.datasets.question import LETTERS, MAX_OPTIONS, MIN_OPTIONS, UNKNOWN, Question
from tinyllm_cli.errors import UsageProblem

FIELDS = ("id", "question", "options", "answer", "context")
ROW_NUMBER = "#"
"""As the column of `id`: number the rows."""
INDEX = "answer_index"
"""As the column of `answer`: digits are an index, whatever the options say. CSV can't tell 1 from "1"."""

_GUESSES: Mapping[str, Sequence[str]] = {
    "id": ("id", "key", "qid", "question_id"),
    "question": ("question", "text", "stem", "question_stem", "body"),
    "options": ("options", "choices"),
    "answer": (INDEX, "answer", "answerKey", "label"),
    "context": ("context", "passage"),
}


@dataclass(frozen=True, kw_only=True)
class Where:
    """A row's place, for messages."""

    file: str
    row: int

    def problem(self, field: str, text: str, hint: str = "") -> UsageProblem:
        return UsageProblem(f"{self.file}, row {self.row}, field '{field}': {text}", hint)


def parse_mapping(items: Sequence[str]) -> dict[str, str]:
    """`["question=stem", "options=a,b,c"]` -> {field: column}."""
    columns = {}
    for item in items:
        field, sign, column = item.partition("=")
        if not sign or field not in FIELDS or not column:
            raise UsageProblem(
                f"'{item}' is not a column mapping.",
                f"Write FIELD=COLUMN, with a field of: {', '.join(FIELDS)}.",
            )
        columns[field] = column
    return columns


def parse_row(
    row: Mapping[str, Any],
    where: Where,
    columns: Mapping[str, str],
    *,
    dataset: str,
    split: str,
    answer_required: bool = True,
) -> Question:
    """The row as a Question. Where no answer is required, a row without one gets UNKNOWN.

    Raises UsageProblem naming the row and the field that is missing or wrong."""
    if None in row:  # where csv puts cells that have no name above them
        raise UsageProblem(
            f"{where.file}, row {where.row}: it has more cells than there are names in the first line.",
            "Put texts that hold a comma into quotes.",
        )
    key = _text(where.row if columns.get("id") == ROW_NUMBER else _value(row, "id", columns, where), "id", where)
    text = _text(_value(row, "question", columns, where), "question", where).strip()
    if not text:
        raise where.problem("question", "it is empty.")
    options, labels = _options(row, columns, where)
    context = _value(row, "context", columns, where, required=False)
    answer = _answer(row, columns, where, required=answer_required)
    return Question(
        dataset=dataset,
        split=split,
        key=key,
        text=text,
        options=options,
        answer=UNKNOWN if answer is None else answer_index(answer, options, labels, where),
        context=_joined(context, where) if context else None,
    )


def answer_index(value: Any, options: Sequence[str], labels: Sequence[str], where: Where) -> int:
    """The option that `value` means: an index from 0, an option's label, its text, or its letter."""
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, int) and str(value) not in labels:
        if 0 <= value < len(options):
            return value
        raise where.problem("answer", f"{value} is not an index from 0 to {len(options) - 1}.")
    text = str(value).strip()
    for known in (labels, options):
        if list(known).count(text) > 1:
            raise where.problem(
                "answer", f"'{text[:80]}' is the text of more than one option.", "Say it by its letter."
            )
        if text in known:
            return list(known).index(text)
    letter = text.strip("().").lower()
    if len(letter) == 1 and letter in LETTERS[: len(options)]:
        return LETTERS.index(letter)
    if text.isdecimal() and int(text) < len(options):
        return int(text)
    if text.isdecimal():
        raise where.problem(
            "answer", f"{text[:20]} is not an index from 0 to {len(options) - 1}, and no option's text."
        )
    shown = ", ".join(repr(option) for option in options[:6])
    raise where.problem("answer", f"'{text[:80]}' is not among the options ({shown}).")


def has_column(row: Mapping[str, Any], field: str, columns: Mapping[str, str]) -> bool:
    """Whether the row has a column for `field` at all, filled or not."""
    return any(name in row for name in ([columns[field]] if field in columns else _GUESSES[field]))


def _value(
    row: Mapping[str, Any], field: str, columns: Mapping[str, str], where: Where, *, required: bool = True
) -> Any:
    names = [columns[field]] if field in columns else _GUESSES[field]
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    if not required:
        return None
    if any(name in row for name in names):
        raise where.problem(next(name for name in names if name in row), "it is empty.")
    if field == "question" and "rationale" in row:
        raise where.problem(
            "question", "it is missing, and there are rationales.",
            "Of which teacher, for which data set? tinyllm import PATH --teacher NAME --dataset NAME",
        )  # fmt: skip
    hint = f"The row has: {', '.join(map(str, row))}. Say which column it is: --map {field}=COLUMN"
    if field == "id":
        hint += f", or --map id={ROW_NUMBER} to number the rows"
    raise where.problem(columns.get(field, field), "it is missing.", hint + ".")


def _joined(context: Any, where: Where) -> str:
    """A context in paragraphs is one text."""
    paragraphs = context if isinstance(context, (list, tuple)) else [context]
    return "\n".join(_text(paragraph, "context", where) for paragraph in paragraphs)


def _answer(row: Mapping[str, Any], columns: Mapping[str, str], where: Where, *, required: bool) -> Any:
    value = _value(row, "answer", columns, where, required=required)
    is_index = columns.get("answer", INDEX) == INDEX and value == row.get(INDEX)
    return int(value) if is_index and isinstance(value, str) and value.strip().isdecimal() else value


def _options(
    row: Mapping[str, Any], columns: Mapping[str, str], where: Where
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, labels). A list of texts, `{"text": [...], "label": [...]}`, a list of `{"text", "label"}`, a JSON
    array in a string, or several columns named as `options=a,b,c`."""
    column = columns.get("options", "")
    raw: Any = _cells(row, column.split(","), where) if "," in column else _value(row, "options", columns, where)
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError as error:
            raise where.problem(
                "options", "the text is not a JSON array.", "Or name columns: --map options=a,b,c"
            ) from error
    labels: Sequence[Any] = ()
    if isinstance(raw, Mapping):
        raw, labels = raw.get("text"), raw.get("label") or ()
    elif isinstance(raw, Sequence) and raw and all(isinstance(item, Mapping) for item in raw):
        raw, labels = [item.get("text") for item in raw], [item.get("label") for item in raw]
    if not isinstance(raw, Sequence) or isinstance(raw, str) or any(item is None for item in raw):
        raise where.problem("options", "expected a list of texts.")
    options = tuple(_text(item, "options", where).strip() for item in raw)
    _check_options(options, where)
    if len(labels) not in (0, len(options)):
        raise where.problem("options", f"there are {len(options)} of them, and {len(labels)} labels.")
    return options, tuple(map(str, labels))


def _cells(row: Mapping[str, Any], names: Sequence[str], where: Where) -> list[Any]:
    """The options in several columns. Empty ones may follow the last option, never stand between two: the letters
    of the answers would mean other options."""
    for name in names:
        if name not in row:
            raise where.problem(name, "it is missing.", f"The row has: {', '.join(map(str, row))}.")
    cells = [row[name] for name in names]
    while cells and cells[-1] in (None, ""):
        cells.pop()
    for name, cell in zip(names, cells, strict=False):
        if cell in (None, ""):
            raise where.problem(name, "it is empty, but a later option is not.")
    return cells


def _text(value: Any, field: str, where: Where) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        raise where.problem(field, f"expected a text, found {'an object' if isinstance(value, Mapping) else 'a list'}.")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):x}"
        raise where.problem(field, f"{half} is half of a character, whose other half is missing.") from error
    return text


def _check_options(options: tuple[str, ...], where: Where) -> None:
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise where.problem("options", f"there are {len(options)}; a question has {MIN_OPTIONS} to {MAX_OPTIONS}.")
    if "" in options:
        raise where.problem("options", "one of them is empty.")
