"""The file of answers that `predict` writes: a JSON object a line, appended so that a killed run can go on.

Lines are written whole and synced; a line that a kill tore is cut off before the file is read again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.files import cut_torn_line

_HINT = "Choose another --out, or move that file away."
_START = b'{"id": '


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionLine:
    """What going on and counting need of a line."""

    question_hash: str
    option: int | None
    correct: bool | None


def resume(path: Path, stamp: Mapping[str, str]) -> dict[str, PredictionLine]:
    """The lines of an earlier run by id, of several with one id the last; the file is there when this returns.
    `stamp` is what every line says of who answered and how.

    Raises UsageProblem when the file holds anything else, or answers that were made in another way."""
    path.touch()  # a folder that can't be written to shows before any time is spent
    found = {}
    for number, row, whole in _rows(path):
        if not isinstance(row, dict) or not {"id", "question_hash", *stamp} <= set(row):
            raise UsageProblem(f"{path}, line {number}: this is not a file of answers.", _HINT)
        if any(row[name] != value for name, value in stamp.items()):
            raise UsageProblem(
                f"{path} holds answers by {row['by']} ({row['scoring']}), made with another model or other settings.",
                _HINT,
            )
        if whole:
            found[str(row["id"])] = _line(row)
    cut_torn_line(path)  # not before everything above it has turned out to be ours
    return found


def append(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, PredictionLine]:
    """Write `rows`; they are on the disk when this returns."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    return {str(row["id"]): _line(row) for row in rows}


def _line(row: Mapping[str, Any]) -> PredictionLine:
    return PredictionLine(question_hash=row["question_hash"], option=row.get("option"), correct=row.get("correct"))


def _rows(path: Path) -> Iterator[tuple[int, Any, bool]]:
    """Lines, parsed, and whether they have their end; what isn't JSON is None. Left out is what a kill left of a line
    of ours: it begins as ours do and breaks off."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            whole = line.endswith(b"\n")
            try:
                yield number, json.loads(line), whole
            except ValueError:
                if whole or not line.startswith(_START[: len(line)]):
                    yield number, None, whole
