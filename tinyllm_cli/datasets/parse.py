"""From a row to a Question: which columns hold what, and how an answer is written (index, letter, label, text)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.datasets.layout import FIELDS, INDEX, ROW_NUMBER, Layout, lookup
from tinyllm_cli.datasets.question import LETTERS, MAX_OPTIONS, MIN_OPTIONS, UNKNOWN, Question
from tinyllm_cli.errors import UsageProblem, command_text


@dataclass(frozen=True, kw_only=True)
class Where:
    """A row's place, for messages. `numbers` counts the answers that are read as numbers from 0 by default."""

    file: str
    row: int
    numbers: Counter[int] | None = None

    def problem(self, field: str, text: str, hint: str = "") -> UsageProblem:
        return UsageProblem(f"{self.file}, row {self.row}, field '{field}': {text}", hint)


def parse_row(
    row: Mapping[str, Any], where: Where, layout: Layout, *, dataset: str, split: str, answer_required: bool = True
) -> Question:
    """The row as a Question. Where no answer is required, a row without one gets UNKNOWN.

    Raises UsageProblem naming the row and the fields that are missing or wrong."""
    _check_columns(row, where, layout, answer_required=answer_required)
    numbered = layout.columns.get("id") == ROW_NUMBER
    key = _text(where.row if numbered else _value(row, "id", layout, where), "id", where)
    text = _text(_value(row, "question", layout, where), "question", where).strip()
    if not text:
        raise where.problem("question", "it is empty.")
    options, labels = _options(row, layout, where)
    context = _value(row, "context", layout, where, required=False)
    answer, answers_from = _answer(row, layout, where, required=answer_required)
    return Question(
        dataset=dataset,
        split=split,
        key=key,
        text=text,
        options=options,
        answer=UNKNOWN if answer is None else answer_index(answer, options, labels, where, answers_from),
        context=_joined(context, where) if context else None,
    )


def answer_index(
    value: Any, options: Sequence[str], labels: Sequence[str], where: Where, answers_from: int | None = None
) -> int:
    """The option that `value` means: a number (from `answers_from`, 0 when None), an option's label, its text, its
    letter, or true and false."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and str(value) not in labels:
        return _numbered(value, options, where, answers_from)
    text = str(value).strip()
    for known in (labels, options):
        if list(known).count(text) > 1:
            raise where.problem(
                "answer", f"'{text[:80]}' is the text of more than one option.", "Give its letter instead."
            )
        if text in known:
            return list(known).index(text)
    letter = text.strip("().").lower()
    if len(letter) == 1 and letter in LETTERS[: len(options)]:
        return LETTERS.index(letter)
    if re.fullmatch(r"\d{1,9}(?:\.0+)?", text, re.ASCII):
        return _numbered(int(text.partition(".")[0]), options, where, answers_from)
    return _truth(text, options, where)


def _numbered(number: int, options: Sequence[str], where: Where, answers_from: int | None) -> int:
    """The index of the option with this number. Without `answers_from`, a number that is another option's text may mean
    either."""
    index = number - (answers_from or 0)
    last = len(options) - 1 + (answers_from or 0)
    if not 0 <= index < len(options):
        hint = (
            "Do the numbers begin with 1? Add --answers-from 1." if not answers_from and index == len(options) else ""
        )
        raise where.problem(
            "answer", f"{number} is not an index from {answers_from or 0} to {last}, and no option's text.", hint
        )
    if answers_from is None and str(number) in options and options[index] != str(number):
        raise where.problem(
            "answer",
            f"{number} may be an index or the option '{number}'.",
            "If answers are indexes, say where they begin: --answers-from 0, or --answers-from 1.",
        )
    if answers_from is None and where.numbers is not None:
        where.numbers[number] += 1
    return index


def _truth(text: str, options: Sequence[str], where: Where) -> int:
    """An option in another case, or yes and no for true and false."""
    spellings = {"true": ("true", "yes"), "false": ("false", "no")}.get(text.casefold(), (text.casefold(),))
    for spelling in spellings:
        found = [index for index, option in enumerate(options) if option.casefold() == spelling]
        if len(found) == 1:
            return found[0]
    if text.isdecimal():
        raise where.problem(
            "answer", f"{text[:20]} is not an index from 0 to {len(options) - 1}, and no option's text."
        )
    shown = ", ".join(repr(option[:80]) for option in options[:6])
    raise where.problem("answer", f"'{text[:80]}' is not among the options ({shown}).")


def _check_columns(row: Mapping[str, Any], where: Where, layout: Layout, *, answer_required: bool) -> None:
    """All missing columns in one message."""
    if None in row:  # where csv puts cells that have no name above them
        raise UsageProblem(
            f"{where.file}, row {where.row}: it has more cells than there are names in the first line.",
            "Put texts that hold a comma into quotes.",
        )
    given = {"id"} if layout.columns.get("id") == ROW_NUMBER else set()
    given |= {"options"} if layout.options or "," in layout.columns.get("options", "") else set()
    required = [name for name in FIELDS[: 4 if answer_required else 3] if name not in given]
    missing = [name for name in required if not layout.has(row, name)]
    if not missing:
        return
    if "question" in missing and "rationale" in row:
        raise where.problem(
            "question", "it is missing, and there are rationales.",
            "Of which teacher, for which data set?"
            f" {command_text('import', 'PATH', '--teacher', 'NAME', '--dataset', 'NAME')}",
        )  # fmt: skip
    ways = " ".join(f"--map {name}=COLUMN" for name in missing)
    hint = f"The row has: {', '.join(map(str, row))}. Name the column: {ways}"
    if "id" in missing:
        hint += f", or --map id={ROW_NUMBER} to number the rows"
    names = [layout.columns.get(name, name) for name in missing]
    if len(names) == 1:
        raise where.problem(names[0], "it is missing.", hint + ".")
    listed = ", ".join(f"'{name}'" for name in names)
    raise UsageProblem(f"{where.file}, row {where.row}, fields {listed}: they are missing.", hint + ".")


def _value(row: Mapping[str, Any], name: str, layout: Layout, where: Where, *, required: bool = True) -> Any:
    """The first cell of the field that is not empty."""
    columns = layout.names(name)
    for column in columns:
        value = lookup(row, column)
        if value is not None and value != "":
            return value
    if required:
        raise where.problem(next((column for column in columns if column in row), columns[0]), "it is empty.")
    return None


def _joined(context: Any, where: Where) -> str:
    """A context in paragraphs is one text."""
    paragraphs = context if isinstance(context, (list, tuple)) else [context]
    return "\n".join(_text(paragraph, "context", where) for paragraph in paragraphs)


def _answer(row: Mapping[str, Any], layout: Layout, where: Where, *, required: bool) -> tuple[Any, int | None]:
    """The answer as it is written, and where its numbers begin. The column answer_index holds indexes from 0."""
    value = _value(row, "answer", layout, where, required=required)
    if layout.columns.get("answer", INDEX) != INDEX or value != row.get(INDEX):
        return value, layout.answers_from
    is_number = isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII)
    return int(value) if is_number else value, layout.answers_from or 0


def _options(row: Mapping[str, Any], layout: Layout, where: Where) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, labels). A list of texts, `{"text": [...], "label": [...]}`, `{"A": text, "B": text}`, a list of
    `{"text", "label"}`, one of these as JSON in a string, several columns as `options=a,b,c`, or the layout's own."""
    if layout.options:
        return layout.options, ()
    column = layout.columns.get("options", "")
    raw: Any = _cells(row, column.split(","), where) if "," in column else _value(row, "options", layout, where)
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise where.problem(
                "options", "the text is not a JSON array.", "Or name columns: --map options=a,b,c"
            ) from error
    labels: Any = ()
    if not (isinstance(raw, list) and all(isinstance(item, str) for item in raw)):  # most are plain
        raw, labels = _with_labels(raw, where)
    options = tuple(_text(item, "options", where).strip() for item in raw)
    _check_options(options, where)
    if len(labels) not in (0, len(options)):
        raise where.problem("options", f"there are {len(options)} of them, and {len(labels)} labels.")
    return options, tuple(map(str, labels))


def _with_labels(raw: Any, where: Where) -> tuple[Sequence[Any], Sequence[Any]]:
    """(texts, labels) of an object, or of a list whose items may be objects."""
    labels: Any = ()
    if isinstance(raw, Mapping) and ("text" in raw or "label" in raw):
        raw, labels = raw.get("text"), raw.get("label") or ()
    elif isinstance(raw, Mapping):
        raw, labels = list(raw.values()), list(raw)
    elif isinstance(raw, Sequence) and raw and all(isinstance(item, Mapping) for item in raw):
        raw, labels = [item.get("text") for item in raw], [item.get("label") for item in raw]
    if any(not isinstance(part, Sequence) or isinstance(part, str) or None in part for part in (raw, labels)):
        raise where.problem("options", "expected a list of texts.")
    return raw, labels


def _cells(row: Mapping[str, Any], names: Sequence[str], where: Where) -> list[Any]:
    """The options in several columns. Empty ones may follow the last option, but not come between two: the letters of
    the answers would mean other options."""
    missing = [name for name in names if name not in row and lookup(row, name) is None]
    if missing:
        raise where.problem(", ".join(missing), "it is missing.", f"The row has: {', '.join(map(str, row))}.")
    cells = [lookup(row, name) for name in names]
    while cells and cells[-1] in (None, ""):
        cells.pop()
    for name, cell in zip(names, cells, strict=False):
        if cell in (None, ""):
            raise where.problem(name, "it is empty, but a later option is not.")
    return cells


def _text(value: Any, field: str, where: Where) -> str:
    if not isinstance(value, str) and isinstance(value, (Mapping, list, tuple)):
        raise where.problem(field, f"expected a text, found {'an object' if isinstance(value, Mapping) else 'a list'}.")
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except UnicodeDecodeError as error:
        raise where.problem(field, "expected a text, found bytes that are not UTF-8.") from error
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):x}"
        raise where.problem(field, f"{half} is half of a character, whose other half is missing.") from error
    return text


def _check_options(options: tuple[str, ...], where: Where) -> None:
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise where.problem("options", f"there are {len(options)}; a question has {MIN_OPTIONS} to {MAX_OPTIONS}.")
    if "" in options:
        raise where.problem("options", "one of them is empty.")
