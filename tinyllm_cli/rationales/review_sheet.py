"""The review sheet: a CSV file in which people judge rationales without a database.

A cell that a spreadsheet would take for a formula begins with an apostrophe, which reading removes. Each row has a
check over its rationale and the text that was shown, so that a verdict never lands on another text.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tinyllm_cli.config.names import check_name
from tinyllm_cli.datasets.question import canonical, option_line
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.records.human_verdicts import DECISIONS, HumanVerdict, ReviewableRationale

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NEEDED = ("id", "text", "verdict", "sheet", "check")
_UNBLIND = ("teacher", "gates", "findings")

Known = Callable[[Sequence[int]], Mapping[int, ReviewableRationale]]
"""The stored rationales among these, by ID."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """A rationale to review. `text` is what is judged: the teacher's text after the repairs of the gates. `gates` and
    `findings` are their verdict and their reasons."""

    rationale: ReviewableRationale
    text: str
    gates: str
    findings: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedRow:
    """A row that can't be imported. Rows are numbered as a spreadsheet does: the head is row 1."""

    row: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class SheetContent:
    """The verdicts of a sheet, in its order. `blank`: rows without a verdict."""

    verdicts: tuple[HumanVerdict, ...]
    refused: tuple[RefusedRow, ...]
    blank: int


def sheet_text(rows: Sequence[SheetRow], *, blind: bool, reviewer: str = "") -> str:
    """The sheet as CSV, with empty columns for a verdict; `blind`: without teachers and gates. The same rows make the
    same sheet."""
    checks = [_check(row.rationale, row.text) for row in rows]
    number = hashlib.sha256(canonical(checks).encode()).hexdigest()[:12]
    out = io.StringIO()
    names = _columns(blind)
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for row, check in zip(rows, checks, strict=True):
        question = row.rationale.question
        cells = {
            "id": str(row.rationale.id), "dataset": question.dataset, "split": question.split, "key": question.key,
            "context": question.context or "", "question": question.text,
            "options": "\n".join(option_line(place, text) for place, text in enumerate(question.options)),
            "answer": option_line(question.answer, question.gold), "teacher": row.rationale.teacher,
            "gates": row.gates, "findings": row.findings, "text": row.text, "reviewer": reviewer, "sheet": number,
            "check": check,
        }  # fmt: skip
        writer.writerow({name: escaped(cells.get(name, "")) for name in names})
    return out.getvalue()


def _columns(blind: bool) -> tuple[str, ...]:
    shown = () if blind else _UNBLIND
    return ("id", "dataset", "split", "key", "context", "question", "options", "answer", *shown, "text", "verdict",
            "reason", "edited", "reviewer", "time", "sheet", "check")  # fmt: skip


def escaped(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    quoted = text.startswith("'") and text[1:2] in (*_FORMULAS, "'")
    return f"'{text}" if text.startswith(_FORMULAS) or quoted else text


def unescaped(cell: str) -> str:
    """The text of a cell; the inverse of `escaped`."""
    return cell[1:] if cell.startswith("'") and cell[1:2] in (*_FORMULAS, "'") and len(cell) > 1 else cell


def _check(rationale: ReviewableRationale, text: str) -> str:
    content = canonical([rationale.id, rationale.question.hash, rationale.text, text])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_sheet(path: Path, known: Known, *, reviewer: str | None = None) -> SheetContent:
    """The verdicts of a sheet that people filled in. `reviewer` is for rows that name none.

    A verdict is as old as its row's `time`, or else as the file: as its last change. Raises UsageProblem for a file
    that is no review sheet."""
    rows = [{str(name): unescaped(cell or "") for name, cell in row.items() if name} for row in _cells(path)]
    missing = [name for name in _NEEDED if rows and name not in rows[0]]
    if missing:
        raise UsageProblem(
            f"{path} is not a review sheet: it has no column '{missing[0]}'.",
            f"Make one with: {command_text('review', 'export', 'sheet.csv')}",
        )
    reader = _Reader(path, known([id for row in rows if (id := _number(row["id"])) is not None]), reviewer)
    verdicts: list[HumanVerdict] = []
    refused: list[RefusedRow] = []
    blank = 0
    for place, row in enumerate(rows, start=2):
        if not any(row.get(name, "").strip() for name in ("verdict", "reason", "edited")):
            blank += 1
            continue
        try:
            verdicts.append(reader.verdict(row))
        except UsageProblem as problem:
            refused.append(RefusedRow(row=place, reason=str(problem)))
    return SheetContent(verdicts=tuple(verdicts), refused=tuple(refused), blank=blank)


def _cells(path: Path) -> Iterator[Mapping[Any, Any]]:
    yield from read_rows(path)


class _Reader:
    """Reads rows of one sheet; every fault of a row is a UsageProblem."""

    def __init__(self, path: Path, known: Mapping[int, ReviewableRationale], reviewer: str | None) -> None:
        self._known = known
        self._reviewer = reviewer
        self._saved = min(datetime.now(UTC), datetime.fromtimestamp(path.stat().st_mtime, UTC))
        self._seen: set[tuple[int, str]] = set()

    def verdict(self, row: Mapping[str, str]) -> HumanVerdict:
        id = _number(row["id"])
        rationale = None if id is None else self._known.get(id)
        if rationale is None:
            raise UsageProblem(f"this database has no rationale '{row['id']}'")
        text = _unchanged(rationale, row)
        said = row["verdict"].strip().lower()
        decision = next((one for one in DECISIONS if one == said), None)
        if decision is None:
            raise UsageProblem(f"'{row['verdict']}' is no verdict; write {', '.join(DECISIONS)}")
        reason, edited = row.get("reason", "").strip() or None, row.get("edited", "")
        if (decision == "edit") != bool(edited.strip()):
            raise UsageProblem(
                "'edit' needs a text in the column 'edited'" if decision == "edit"
                else f"it has an edited text, and the verdict '{decision}'; write edit"
            )  # fmt: skip
        if decision == "reject" and reason is None:
            raise UsageProblem("'reject' needs a reason in the column 'reason'")
        if decision == "accept" and not text.strip():
            raise UsageProblem("an empty text can't be accepted; write reject or edit")
        who = row.get("reviewer", "").strip() or self._reviewer
        if who is None:
            raise UsageProblem("it names no reviewer; fill in the column 'reviewer', or give --reviewer NAME")
        check_name(who, "reviewer")
        if (rationale.id, who) in self._seen:
            raise UsageProblem(f"{who} has another row on rationale {rationale.id} above")
        self._seen.add((rationale.id, who))
        learned = {"accept": text, "edit": edited.strip(), "reject": None}[decision]
        return HumanVerdict(
            rationale=rationale.id, reviewer=who, at=self._time(row.get("time", "").strip()), verdict=decision,
            text=learned, reason=reason, sheet=row["sheet"].strip(),
        )  # fmt: skip

    def _time(self, typed: str) -> str:
        if not typed:
            return self._saved.isoformat(timespec="milliseconds")
        try:
            found = datetime.fromisoformat(typed)
            found = found.astimezone(UTC)  # without a zone: this machine's
        except (ValueError, OverflowError, OSError):
            raise UsageProblem(f"'{typed}' is no time; write it as 2026-11-30T14:05, or leave it empty") from None
        if found > datetime.now(UTC):
            raise UsageProblem(f"the time '{typed}' is in the future")
        return found.isoformat(timespec="milliseconds")


def _unchanged(rationale: ReviewableRationale, row: Mapping[str, str]) -> str:
    """The text that was shown; a spreadsheet may have written its line ends in another way."""
    cell = row["text"]
    for text in (cell, cell.replace("\r\n", "\n"), cell.replace("\r\n", "\n").replace("\r", "\n")):
        if _check(rationale, text) == row["check"].strip():
            return text
    raise UsageProblem(
        "its text, id or check was changed, or it is of another database; write a new text into the column 'edited'"
    )


def _number(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
