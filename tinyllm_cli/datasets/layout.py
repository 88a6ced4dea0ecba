"""How a user's rows are laid out: which columns hold what, options that all rows share, where answers count from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tinyllm_cli.datasets.question import MAX_OPTIONS, MIN_OPTIONS, SPLITS, canonical
from tinyllm_cli.errors import UsageProblem

FIELDS = ("id", "question", "options", "answer", "context", "split")
ROW_NUMBER = "#"
"""As the column of `id`: number the rows."""
INDEX = "answer_index"
"""As the column of `answer`: digits are an index, whatever the options say. CSV can't tell 1 from "1"."""

GUESSES: Mapping[str, Sequence[str]] = {
    "id": ("id", "key", "qid", "question_id"),
    "question": ("question", "text", "stem", "question_stem", "body"),
    "options": ("options", "choices"),
    "answer": (INDEX, "answer", "answerKey", "label"),
    "context": ("context", "passage"),
    "split": ("split",),
}
"""The columns that a field is looked for in when none is mapped."""

_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`columns` maps a field to its column, with dots for a field inside an object. `options` are those of every row.
    `answers_from` is the number of the first option, 0 or 1; None means 0, where that is plausible. `split_off` maps a
    split to its share of a single file's rows."""

    columns: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    answers_from: int | None = None
    split_off: Mapping[str, float] = field(default_factory=dict)

    def names(self, name: str) -> Sequence[str]:
        """The columns in which a field may be."""
        return [self.columns[name]] if name in self.columns else GUESSES[name]

    def has(self, row: Mapping[str, Any], name: str) -> bool:
        """Whether the row has a column for a field at all, filled or not."""
        return any(column in row or lookup(row, column) is not None for column in self.names(name))

    def describe(self) -> str:
        """One spelling for one layout, for fingerprints."""
        return canonical({name: value for name, value in asdict(self).items() if value not in ({}, (), None)})


NO_LAYOUT = Layout()


def lookup(row: Mapping[str, Any], column: str) -> Any:
    """The cell of a column, or of a field inside an object for `question.stem`; None when there is none."""
    if column in row or "." not in column:
        return row.get(column)
    value: Any = row
    for part in column.split("."):
        value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is _MISSING:
            return None
    return value


def parse_mapping(items: Sequence[str]) -> dict[str, str]:
    """`["question=stem", "options=a,b,c"]` -> {field: column}."""
    columns: dict[str, str] = {}
    for item in items:
        name, sign, column = item.partition("=")
        if not sign or name not in FIELDS or not column:
            raise UsageProblem(
                f"'{item}' is not a column mapping.",
                f"Write FIELD=COLUMN, with a field of: {', '.join(FIELDS)}.",
            )
        if columns.get(name, column) != column:
            raise UsageProblem(f"--map names two columns for {name}: {columns[name]} and {column}.")
        columns[name] = column
    return columns


def parse_options(text: str) -> tuple[str, ...]:
    """`yes,no,maybe` -> the options of every question."""
    options = tuple(option.strip() for option in text.split(","))
    if "" in options or len(set(options)) < len(options) or not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise UsageProblem(
            f"--options '{text}' is not a list of {MIN_OPTIONS} to {MAX_OPTIONS} different texts.",
            "Write them with commas: --options yes,no,maybe",
        )
    return options


def parse_shares(items: Sequence[str]) -> dict[str, float]:
    """`["test=0.2", "valid=0.1"]` -> {split: share of the rows}."""
    shares: dict[str, float] = {}
    for item in items:
        split, _, share = item.partition("=")
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if split not in SPLITS[1:] or not 0 < value < 1 or split in shares:
            raise UsageProblem(
                f"--split-off '{item}' is not a share of the rows.",
                "Write SPLIT=SHARE, once each: --split-off test=0.2",
            )
        shares[split] = value
    if sum(shares.values()) >= 1:
        raise UsageProblem("--split-off leaves no question for train.", "The shares must sum to less than 1.")
    return shares
