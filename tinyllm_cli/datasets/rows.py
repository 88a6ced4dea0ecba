"""Rows of a user's file, streamed: JSONL, JSON arrays, CSV, TSV and parquet, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends.row_files import TEXT_FORMATS, holds_questions, is_windows_text, read_text_rows, suffix_of
from backends.user_files import UnreadableFile, open_binary, read_text
from tinyllm_cli.errors import UsageProblem, WorldProblem

FORMATS = (*TEXT_FORMATS, ".parquet")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def format_of(path: Path) -> str | None:
    """`.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet`, seen through a trailing `.gz`; None for anything else."""
    suffix = suffix_of(path)
    return suffix if suffix in FORMATS else None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of `path` as dictionaries, one at a time.

    Raises UsageProblem or WorldProblem naming the file and, where there is one, the row."""
    kind = format_of(path)
    if suffix_of(path) in _SPREADSHEETS:
        raise UsageProblem(f"{path} is a spreadsheet, which tinyllm does not read.", "Save the sheet as CSV (UTF-8).")
    if kind is None:
        raise UsageProblem(
            f"{path} is not a file that tinyllm reads.", f"Formats: {', '.join(FORMATS)}, also with .gz."
        )
    with _file_errors(path):
        rows = _parquet(path) if kind == ".parquet" else read_text_rows(path, windows=True)
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise UsageProblem(f"{path}, row {number}: expected an object, found {type(row).__name__}.")
            yield row


def read_array(path: Path) -> Iterator[Any]:
    """The items of a JSON array, whatever they are, one at a time."""
    with _file_errors(path):
        yield from read_text_rows(path)


def read_text_file(path: Path) -> str:
    """A small text, whole.

    Raises UsageProblem or WorldProblem naming the file."""
    with _file_errors(path):
        return read_text(path)


def is_object_of_questions(path: Path) -> bool:
    """Whether the file is one object that begins with a list called questions, as BioASQ's are."""
    with _file_errors(path):
        return holds_questions(path)


def reading_notes(path: Path) -> tuple[str, ...]:
    """What a user should know of how the file is read."""
    with _file_errors(path):
        if is_windows_text(path):
            return (f"{path.name} is not UTF-8, so it is read as Windows-1252: check letters with accents.",)
    return ()


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import glob

    from datasets import disable_progress_bars, load_dataset
    from datasets.utils.logging import CRITICAL, set_verbosity

    with open_binary(path):  # a regular file that can be read
        pass
    disable_progress_bars()
    set_verbosity(CRITICAL)  # the error holds what it would log
    try:
        yield from load_dataset("parquet", data_files=glob.escape(str(path)), split="train", streaming=True)
    except ValueError as error:  # pyarrow's, for a file that is no parquet
        raise UnreadableFile(f"it is not a readable parquet file ({str(error).splitlines()[0]})") from error


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageProblem(f"There is no file {path}.") from error
    except (UnicodeDecodeError, UnreadableFile, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageProblem(f"{path} can't be read: {error}.") from error
    except OSError as error:
        raise WorldProblem(f"{path} can't be read: {error}.") from error
