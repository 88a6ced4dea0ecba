"""The files of a report: what they may replace, and writing them whole.

A report replaces an earlier report and nothing else: never the database, never a file of the user's.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.files import belongs_to_database, write_whole
from tinyllm_cli.report.audit_section import AuditSection
from tinyllm_cli.report.collect import Report
from tinyllm_cli.report.csv_files import NAMES, csv_text, files

MANIFEST = "tinyllm-report.json"
"""In a folder of CSV files: which of them are a report's."""

MARK = "Made by tinyllm report"
"""In the first lines of every page, Markdown and LaTeX file of a report."""

_BEGINNING = 200


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where to write a report: `csv` is a folder, the others are files."""

    html: Path | None = None
    md: Path | None = None
    latex: Path | None = None
    csv: Path | None = None

    def check(self, database: Path) -> None:
        """Raises UsageProblem where an output is the database, another output, or a file that is no report's;
        WorldProblem where its folder is missing."""
        taken: dict[Path, str] = {}
        for option, path in self._paths():
            if belongs_to_database(path, database):
                raise UsageProblem(f"{option} {path} is the database.", "Choose another file.")
            if path.resolve() in taken:
                raise UsageProblem(f"{option} and {taken[path.resolve()]} write to the same file, {path}.")
            taken[path.resolve()] = option
        for option, path in self._files():
            if path.is_dir():
                raise UsageProblem(f"{option} takes a file, and {path} is a folder.")
            if not path.parent.is_dir():
                raise WorldProblem(f"{path} can't be written: there is no folder {path.parent}.")
            if path.is_file() and not _is_report(path):
                raise UsageProblem(
                    f"{path} exists and is not a tinyllm report, so that {option} does not replace it.",
                    "Choose another name, or delete it.",
                )
        if self.csv is not None:
            self._check_folder(self.csv)

    def _check_folder(self, folder: Path) -> None:
        if folder.is_file() or folder.suffix.lower() == ".csv":
            other = folder.with_suffix("")
            other = folder.with_name(f"{folder.stem}-tables") if other.is_file() else other
            raise UsageProblem(
                f"--csv takes a folder, not {folder}: the tables have different columns.",
                f"For example: --csv {shlex.quote(str(other))}",
            )
        own = _listed(folder)
        foreign = sorted(name for name in NAMES if (folder / name).exists() and name not in own)
        if foreign:
            raise UsageProblem(
                f"{folder / foreign[0]} exists and is not of an earlier report, so that --csv does not replace it.",
                "Choose another folder, or move the file.",
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        options = (("--html", self.html), ("--md", self.md), ("--latex", self.latex))
        return ((option, path) for option, path in options if path is not None)

    def _paths(self) -> Iterator[tuple[str, Path]]:
        yield from self._files()
        if self.csv is not None:
            yield from (("--csv", self.csv / name) for name in (*NAMES, MANIFEST))

    def write(self, report: Report, audit: AuditSection | None) -> Iterator[Path]:
        """Each file whole, and what was written. `check` comes first.

        Raises WorldProblem, with the file's name, where one can't be written."""
        from tinyllm_cli.report.html import html_page
        from tinyllm_cli.report.latex import latex
        from tinyllm_cli.report.markdown import markdown
        from tinyllm_cli.report.sheets import sheets

        if self.html is not None:
            yield _written(self.html, html_page(report, audit))
        if self.md is not None:
            yield _written(self.md, markdown(sheets(report)))
        if self.latex is not None:
            yield _written(self.latex, latex(sheets(report)))
        if self.csv is not None and _write_folder(self.csv, report):
            yield self.csv


def _write_folder(folder: Path, report: Report) -> bool:
    """The tables that have rows; those of an earlier report are deleted where they have none now. The manifest lists
    every file before it is there and until it is gone. False where there are no rows."""
    texts: Mapping[str, str] = {f"{name}.csv": csv_text(rows) for name, rows in files(report).items() if rows}
    own = _listed(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorldProblem(f"{folder} can't be made: {error.strerror}.") from error
    if texts or own:
        _written(folder / MANIFEST, _manifest({*texts, *own}))
    for name in sorted(own - texts.keys()):
        (folder / name).unlink(missing_ok=True)
    for name, text in texts.items():
        _written(folder / name, text)
    if own - texts.keys():
        _written(folder / MANIFEST, _manifest(texts))
    return bool(texts)


def _manifest(names: object) -> str:
    return json.dumps({"about": MARK, "files": sorted(names)}, indent=1) + "\n"  # type: ignore[call-overload]


def _listed(folder: Path) -> set[str]:
    """The files that an earlier report wrote into a folder; other names in a manifest are not ours to touch."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError, RecursionError) as error:
        raise WorldProblem(f"{folder / MANIFEST} can't be read.", "Choose another folder, or delete it.") from error
    names = found.get("files") if isinstance(found, dict) and found.get("about") == MARK else None
    if not isinstance(names, list):
        raise UsageProblem(f"{folder / MANIFEST} is not of a tinyllm report.", "Choose another folder, or delete it.")
    return {name for name in names if name in NAMES}


def _is_report(path: Path) -> bool:
    """An empty file may be replaced too: there is nothing in it to lose."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError as error:
        raise WorldProblem(f"{path} can't be read: {error.strerror}.") from error
    return not beginning or MARK.encode() in beginning


def _written(path: Path, text: str) -> Path:
    try:
        write_whole(path, text)
    except OSError as error:
        raise WorldProblem(f"{path} can't be written: {error.strerror}.") from error
    return path
