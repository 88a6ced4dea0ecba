"""A data set's folder: which file holds which split, and whose recorded rationales are beside the questions."""

from __future__ import annotations

import re
from pathlib import Path

from backends.row_files import SPLIT_NAMES
from tinyllm_cli.datasets.rows import format_of
from tinyllm_cli.errors import UsageProblem


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files in a folder that are called after a split, or else those whose names end in one, as `riddle_train.json`
    in the authors' folders."""
    data_files = [path for path in sorted(folder.iterdir()) if format_of(path) and not path.is_dir()]
    found: dict[str, list[Path]] = {}
    for exact in (True, False):
        for path in data_files:
            stem = path.name.split(".")[0].lower()
            split = SPLIT_NAMES.get(stem) if exact else split_in(stem)
            if split:
                found.setdefault(split, []).append(path)
        if found:
            break
    return found


def split_in(stem: str) -> str | None:
    """The split that a file's name is or ends in: `test`, `quiz_test`."""
    return SPLIT_NAMES.get(re.split(r"[_\-]", stem.lower())[-1])


def rationale_files(folder: Path) -> dict[str, list[Path]]:
    """`rationales/TEACHER.SPLIT.jsonl[.gz]` (or .json, .csv, .tsv) beside the questions, by teacher."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("rationales/*")):
        kind = format_of(path)
        if kind == ".parquet":
            raise UsageProblem(
                f"{path} can't be read: recorded rationales are .jsonl, .json, .csv or .tsv.", "Convert it, or move it."
            )
        if kind:
            stem = path.name.removesuffix(".gz").rpartition(".")[0]
            teacher, _, split = stem.rpartition(".")
            found.setdefault(teacher if split.lower() in SPLIT_NAMES else stem, []).append(path)  # gpt-4.1 has a dot
    return found


def plain_name(path: Path) -> str:
    return path.resolve().name.split(".")[0] or "data"
