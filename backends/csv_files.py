"""CSV as spreadsheets write it, and the names of splits: for files of questions and of recorded rationales."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any, TextIO

SPLIT_NAMES = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "val": "valid",
    "test": "test",
}
"""Common names of a split -> the name used here."""


def csv_rows(file: TextIO) -> Iterator[dict[str | None, Any]]:
    """Rows by the names in the first line. Its separator applies to all: a comma, else a semicolon or a tab."""
    head = file.readline()
    separator = next((other for other in ";\t" if other in head and "," not in head), ",")
    yield from csv.DictReader(chain([head], file), delimiter=separator)
