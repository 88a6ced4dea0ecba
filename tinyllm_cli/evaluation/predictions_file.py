"""The file of answers that `predict` writes: a JSON object for each line, appended so that a killed run can resume.

Lines are written whole and synced; an incomplete last line is removed before the file is read again.
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
    """The fields of a line that resuming and counting need."""

    question_hash: str
    option: int | None
    correct: bool | None


def resume(path: Path, stamp: Mapping[str, str]) -> dict[str, PredictionLine]:
    """The lines of an earlier run by id, of several with one id the last; the file exists when this returns.
    `stamp` has the fields that are equal in every line: who answered, and how.

    Raises UsageProblem when the file has other content, or answers with another stamp."""
    path.touch()  # a folder without write permission is an error before any time is spent
    found = {}
    for number, row, whole in _rows(path):
        if not isinstance(row, dict) or not {"id", "question_hash", *stamp} <= set(row):
            raise UsageProblem(f"{path}, line {number}: this is not a file of answers.", _HINT)
        if any(row[name] != value for name, value in stamp.items()):
            raise UsageProblem(
                f"{path} has answers by {row['by']} ({row['scoring']}), with another model or other settings.",
                _HINT,
            )
        if whole:
            found[str(row["id"])] = _line(row)
    cut_torn_line(path)  # only after every line above has been recognized
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
    """(number, parsed line, whether it is complete) of each line; None for one that is not JSON. The incomplete last
    line of a killed run, which begins as our lines do, is left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            whole = line.endswith(b"\n")
            try:
                yield number, json.loads(line), whole
            except ValueError:
                if whole or not line.startswith(_START[: len(line)]):
                    yield number, None, whole
