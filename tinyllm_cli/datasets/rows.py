"""Rows of a user's file, streamed: JSONL, JSON arrays, CSV and parquet, plain or gzipped."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from backends.csv_files import csv_rows
from tinyllm_cli.errors import UsageProblem, WorldProblem

FORMATS = (".jsonl", ".json", ".csv", ".parquet")


def format_of(path: Path) -> str | None:
    """`.jsonl`, `.json`, `.csv` or `.parquet`, seen through a trailing `.gz`; None for anything else."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of `path` as dictionaries, one at a time.

    Raises UsageProblem or WorldProblem naming the file and, where there is one, the row."""
    kind = format_of(path)
    if kind is None:
        raise UsageProblem(
            f"{path} is not a file that tinyllm reads.", f"Formats: {', '.join(FORMATS)}, also with .gz."
        )
    with _file_errors(path):
        if kind == ".parquet":
            yield from _parquet(path)
            return
        with _open(path) as file:
            reader = {".csv": _csv, ".jsonl": _jsonl, ".json": _json}[kind]
            for number, row in enumerate(reader(path, file), start=1):
                if not isinstance(row, dict):
                    raise UsageProblem(f"{path}, row {number}: expected an object, found {type(row).__name__}.")
                yield row


def read_array(path: Path) -> Iterator[Any]:
    """The items of a JSON array, whatever they are, one at a time."""
    with _file_errors(path), _open(path) as file:
        yield from _json(path, file)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _jsonl(path: Path, file: IO[bytes]) -> Iterator[Any]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageProblem(f"{path}, line {number}: this is not JSON ({error}).") from error
        yield row


def _json(path: Path, file: IO[bytes]) -> Iterator[Any]:
    """An array of rows, `{"questions": [...]}` (BioASQ), or, under a .json name, JSONL after all."""
    import ijson

    start = _skip_byte_order_mark(file)
    first = _first_byte(file, start)
    prefix = "item" if first == b"[" else "questions.item"
    if first == b"{" and not _has_questions_key(file, start):
        yield from _jsonl(path, file)
        return
    try:
        yield from ijson.items(file, prefix, use_float=True)
    except ijson.common.JSONError as error:
        raise UsageProblem(f"{path} is not valid JSON ({str(error).splitlines()[0]}).") from error


def _skip_byte_order_mark(file: IO[bytes]) -> int:
    """Move behind the mark that Windows tools write first; the place where the text begins."""
    start = len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    file.seek(start)
    return start


def _first_byte(file: IO[bytes], start: int) -> bytes:
    while (byte := file.read(1)) and byte.isspace():
        pass
    file.seek(start)
    return byte


def _has_questions_key(file: IO[bytes], start: int) -> bool:
    """Whether this is one object with a list of questions: the key opens the file."""
    head = file.read(200).split(b":", 1)[0]
    file.seek(start)
    return b'"questions"' in head


def is_object_of_questions(path: Path) -> bool:
    """Whether the file is one object that begins with a list called questions, as BioASQ's are."""
    if format_of(path) != ".json":
        return False
    with _file_errors(path), _open(path) as file:
        start = _skip_byte_order_mark(file)
        return _first_byte(file, start) == b"{" and _has_questions_key(file, start)


def _csv(path: Path, file: IO[bytes]) -> Iterator[Any]:
    import io

    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield from csv_rows(text)


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import glob

    from datasets import disable_progress_bars, load_dataset
    from datasets.utils.logging import CRITICAL, set_verbosity

    disable_progress_bars()
    set_verbosity(CRITICAL)  # what it would log is in the error as well
    try:
        yield from load_dataset("parquet", data_files=glob.escape(str(path)), split="train", streaming=True)
    except ValueError as error:  # what pyarrow raises for a file that only has the name
        raise UsageProblem(f"{path} is not a readable parquet file ({error}).") from error


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageProblem(f"There is no file {path}.") from error
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageProblem(f"{path} can't be read: {error}.") from error
    except OSError as error:
        raise WorldProblem(f"{path} can't be read: {error}.") from error
