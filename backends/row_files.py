"""Rows of a user's text file, streamed: JSONL, JSON arrays, CSV and TSV, plain or gzipped.

Questions and recorded rationales come in the same formats, so both are read here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from backends.user_files import MAX_LENGTH, WINDOWS, UnreadableFile, encoding_of, lines, open_text

__all__ = ["SPLIT_NAMES", "TEXT_FORMATS", "holds_questions", "is_windows_text", "read_text_rows", "suffix_of"]

TEXT_FORMATS = (".jsonl", ".json", ".csv", ".tsv")
SPLIT_NAMES = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "val": "valid",
    "test": "test",
}
"""Other names of the splits, in lower case -> the names used here."""

_CHUNK = 1 << 16
_decode = json.JSONDecoder().raw_decode


def suffix_of(path: Path) -> str:
    """The last suffix of the name in lower case, without a `.gz` behind it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_text_rows(path: Path, *, windows: bool = False) -> Iterator[Any]:
    """The rows of a JSONL, JSON, CSV or TSV file; any JSON value may be a row. With `windows`, a table that is no UTF-8
    is read as Windows-1252; say so to the user (`is_windows_text`).

    Raises UnreadableFile, UnicodeDecodeError, csv.Error, OSError, or EOFError and zlib.error for a damaged archive."""
    if suffix_of(path) in (".csv", ".tsv"):
        with open_text(path, encoding_of(path, fallback=WINDOWS if windows else None)) as text:
            yield from _table(lines(text), "\t" if suffix_of(path) == ".tsv" else None)
        return
    with _scanning(path) as scanner:
        if scanner.peek() == "[" or scanner.begins_with_questions():
            yield from scanner.array()
            return
        if not scanner.peek() and suffix_of(path) == ".json":
            raise UnreadableFile("it is not valid JSON: it is empty")
    with open_text(path, encoding_of(path)) as text:
        yield from _json_lines(text)


def holds_questions(path: Path) -> bool:
    """Whether a JSON file is one object that begins with a list called questions, as BioASQ's are."""
    if suffix_of(path) != ".json":
        return False
    with _scanning(path) as scanner:
        return scanner.begins_with_questions()


def is_windows_text(path: Path) -> bool:
    """Whether a table is no UTF-8, so that it is read as Windows-1252."""
    return suffix_of(path) in (".csv", ".tsv") and encoding_of(path, fallback=WINDOWS) == WINDOWS


def _table(rows: Iterator[str], delimiter: str | None) -> Iterator[dict[str | None, Any]]:
    """Rows by the names in the first line. Its separator is that of all: a comma, else a semicolon or a tab."""
    head = next(rows, "")
    delimiter = delimiter or next((other for other in ";\t" if other in head and "," not in head), ",")
    reader = csv.DictReader(chain([head], rows), delimiter=delimiter)
    names = [name for name in reader.fieldnames or () if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UnreadableFile(f"two columns are called '{twice}'; rename one of them")
    yield from reader


def _json_lines(text: TextIO) -> Iterator[Any]:
    for number, line in enumerate(lines(text), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except RecursionError as error:
            raise UnreadableFile(f"line {number} is nested too deeply") from error
        except ValueError as error:
            raise UnreadableFile(f"line {number}: this is not JSON ({error})") from error
        yield row


@contextmanager
def _scanning(path: Path) -> Iterator[_Scanner]:
    with open_text(path, encoding_of(path)) as text:
        yield _Scanner(text)


class _Scanner:
    """Reads one JSON value after the other, with no more of the text in memory than the current value."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text, self._at = "", 0

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def array(self) -> Iterator[Any]:
        """The items of the array that comes next."""
        self._expect("[")
        if self.peek() == "]":
            return
        while True:
            yield self._value()
            if self.peek() == "]":
                return
            self._expect(",")

    def begins_with_questions(self) -> bool:
        """Whether an object comes next whose first key is questions; moves behind that key."""
        if self.peek() != "{":
            return False
        self._at += 1
        if self.peek() != '"' or self._value() != "questions":
            return False
        self._expect(":")
        return self.peek() == "["

    def _expect(self, character: str) -> None:
        if self.peek() != character:
            raise UnreadableFile(f"it is not valid JSON (expected '{character}', found '{self.peek()}')")
        self._at += 1

    def _value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except RecursionError as error:
                raise UnreadableFile("it is nested too deeply") from error
            except json.JSONDecodeError as error:
                broken = error.pos < len(self._text) - _CHUNK and not error.msg.startswith("Unterminated")
                if broken or not self._more():
                    raise UnreadableFile(f"it is not valid JSON ({error.msg})") from error
                continue
            except ValueError as error:  # a number of thousands of digits
                raise UnreadableFile(f"it holds a number that can't be read ({error})") from error
            if end < len(self._text) or not self._more():  # a number may continue behind the end
                self._at = end
                return value

    def _more(self) -> bool:
        """Read on, as much as there is already; False at the end."""
        left = len(self._text) - self._at
        if left > MAX_LENGTH:
            raise UnreadableFile(f"one of its values is longer than {MAX_LENGTH >> 20} MiB, or not valid JSON")
        more = self._file.read(max(_CHUNK, left))
        if more:
            self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
