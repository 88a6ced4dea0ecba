"""Recorded rationales: human experts, other tools, earlier batch jobs.

Reads JSONL, JSON, CSV or TSV rows (plain or gzipped) of `{id, rationale[, split][, answer_index]}` and joins them to
questions by the data set's own id, never by position. Rows go into a temporary SQLite index on disk, so memory does not
grow with the files.
"""

from __future__ import annotations

import csv
import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from backends import take
from backends.base import Answer, BadTeacherConfig, Completion, Failure, Outcome, Request, Sampling
from backends.row_files import SPLIT_NAMES, read_text_rows
from backends.user_files import UnreadableFile

__all__ = ["Contents", "RecordedTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "path": str | list,
    "id_field": "id",
    "rationale_field": "rationale",
    "split_field": "split",
    "answer_field": "answer_index",
}
_MOST = 1_000_000  # the largest answer index
_PAGE = 100  # rationales that are committed together
RecordedRow = tuple[str, str, str, int | None]  # split ('' = any), id, rationale, answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Numbers of rows and of distinct ids, and the most rows of one id."""

    rows: int
    questions: int
    samples: int


class RecordedTeacher:
    """Settings: `path` (a file, or a list of files), and the names of the fields when they differ. Several rows
    for one question count as its samples 0, 1, 2... in the order of the file."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        options = take(settings, "recorded", _SETTINGS)
        if not options["path"]:
            raise BadTeacherConfig(
                "A recorded teacher needs the file that holds its rationales.",
                'Give `path = "rationales.jsonl"` in its table of tinyllm.toml.',
            )
        paths = options["path"] if isinstance(options["path"], list) else [options["path"]]
        self._paths = [Path(path).expanduser() for path in paths]
        self._fields = options
        self._index: sqlite3.Connection | None = None

    def identity(self) -> Mapping[str, str]:
        return {"model": "recorded", "revision": ""}  # each rationale has its own edition

    def describe(self) -> Mapping[str, Any]:
        return {"files": [path.name for path in self._paths]}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        while page := list(islice(stream, _PAGE)):
            yield [(request, _outcome(self._find(request))) for request in page]

    def edition(self, request: Request) -> str | None:
        row = self._find(request)
        return None if row is None else hashlib.sha256(f"{row[0]}\0{row[1]}".encode()).hexdigest()[:12]

    def contents(self) -> Mapping[str, Contents]:
        """Contents of the files, by split ('' for rows of any split)."""
        rows = self._open().execute(
            "SELECT split, count(*), count(DISTINCT id), max(sample) + 1 FROM recorded GROUP BY split"
        )
        return {split: Contents(rows=total, questions=ids, samples=most) for split, total, ids, most in rows}

    def _find(self, request: Request) -> tuple[str, int | None] | None:
        """The recorded (rationale, answer). A row that names the split takes precedence over one for any split."""
        query = (
            "SELECT rationale, answer FROM recorded WHERE id = ? AND split IN (?, '') AND sample = ?"
            " ORDER BY split DESC LIMIT 1"
        )
        row: tuple[str, int | None] | None = (
            self._open().execute(query, (request.key, request.split, request.sample)).fetchone()
        )
        return row

    def _open(self) -> sqlite3.Connection:
        if self._index is None:
            self._index = self._build_index()
        return self._index

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _build_index(self) -> sqlite3.Connection:
        index = sqlite3.connect("")  # an unnamed temporary database: on disk, gone when closed
        index.execute(
            "CREATE TABLE recorded (split TEXT, id TEXT, sample INTEGER, rationale TEXT, answer INTEGER,"
            " PRIMARY KEY (id, split, sample)) WITHOUT ROWID"
        )
        with index:
            for path in self._paths:
                for row in self._rows(path):
                    index.execute(
                        "INSERT INTO recorded SELECT ?1, ?2, coalesce(max(sample) + 1, 0), ?3, ?4 FROM recorded"
                        " WHERE id = ?2 AND split = ?1",
                        row,
                    )
        return index

    def _rows(self, path: Path) -> Iterator[RecordedRow]:
        with _reading(path):
            for number, record in enumerate(read_text_rows(path), start=1):
                yield self._row(path, number, record)

    def _row(self, path: Path, number: int, record: Any) -> RecordedRow:
        where = f"{path.name}, row {number}"
        if not isinstance(record, dict):
            raise BadTeacherConfig(f"{where}: expected an object with fields, found {type(record).__name__}.")
        if None in record:  # csv's key for cells without a name in the first line
            raise BadTeacherConfig(
                f"{where}: it has more cells than the first line has names.",
                "Put texts that contain a comma into quotes.",
            )
        key, text = (self._text(where, record, field) for field in ("id_field", "rationale_field"))
        if not key:
            raise BadTeacherConfig(f"{where}: its id is empty.")
        answer = record.get(self._fields["answer_field"])
        try:
            index = None if answer in (None, "") else _whole(answer)
        except (TypeError, ValueError, OverflowError) as error:
            shown = repr(answer)[:40]
            raise BadTeacherConfig(f"{where}: the answer index {shown} is not an option's number.") from error
        split = _split_of(record.get(self._fields["split_field"]), path)
        try:
            f"{split}{key}{text}".encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):x}"
            raise BadTeacherConfig(f"{where}: {half} is half of a surrogate pair, without its other half.") from error
        return split, key, text, index

    def _text(self, where: str, record: Mapping[str, Any], setting: str) -> str:
        """The text of a field; '' for null, which fails only its question."""
        field = self._fields[setting]
        if field not in record:
            raise BadTeacherConfig(
                f"{where}: there is no field '{field}'.",
                f"The row has {', '.join(map(str, record))}. Name yours with id_field and rationale_field.",
            )
        value = record[field]
        if isinstance(value, (dict, list)):
            kind = "an object" if isinstance(value, dict) else "a list"
            raise BadTeacherConfig(f"{where}, field '{field}': expected a text, found {kind}.")
        return "" if value is None else str(value)


def _split_of(stated: Any, path: Path) -> str:
    """The split that the row states, else the one in the file's name, else '' for any."""
    if stated not in (None, ""):
        return SPLIT_NAMES.get(str(stated).lower(), str(stated))
    return next((SPLIT_NAMES[part] for part in path.name.lower().split(".") if part in SPLIT_NAMES), "")


def _whole(value: Any) -> int:
    """2, "2" or 2.0. Raises ValueError for other values, such as 2.5 or true."""
    number = float(value)
    if not number.is_integer() or isinstance(value, bool) or abs(number) > _MOST:
        raise ValueError(value)
    return int(number)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises BadTeacherConfig, which names the file, for a file that can't be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadTeacherConfig(f"There is no file {path}.") from error
    except (OSError, EOFError, UnicodeDecodeError, UnreadableFile, csv.Error, zlib.error) as error:
        raise BadTeacherConfig(f"{path} can't be read: {error}.") from error


def _outcome(row: tuple[str, int | None] | None) -> Outcome:
    if row is None:
        return Failure(reason="no recorded rationale for this question")
    if not row[0].strip():
        return Failure(reason="the recorded rationale is empty")
    return Completion(text=row[0], answer=row[1], finish_reason="recorded")
