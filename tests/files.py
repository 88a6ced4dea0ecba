"""Files and rows: rows in files of every format that tinyllm reads, and what a query finds in a database."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = (
    "rows.jsonl",
    "rows.jsonl.gz",
    "rows.json",
    "rows.json.gz",
    "lines.json",
    "rows.csv",
    "rows.csv.gz",
    "rows.tsv",
    "rows.parquet",
)
"""File names, one for each format; `lines.json` is JSONL under a .json name."""


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write `rows` in the format that the name of `path` says. Lists become JSON arrays in CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _content(path, rows)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def _content(path: Path, rows: Sequence[dict[str, Any]]) -> bytes:
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows)), sink)
        return sink.getvalue()
    if plain.endswith((".csv", ".tsv")):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter="\t" if plain.endswith(".tsv") else ",")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        return text.getvalue().encode()
    if plain.endswith(".jsonl") or plain == "lines.json":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return json.dumps(list(rows), ensure_ascii=False, indent=1).encode()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def rows(folder: Path, query: str, db: str = "tinyllm.db") -> list[tuple[Any, ...]]:
    """Of a database that must be whole."""
    with closing(sqlite3.connect(folder / db)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return connection.execute(query).fetchall()
