"""From a name or a path to a source of questions: embedded, tinyllm.toml, hub, or files of the user's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from backends.row_files import SPLIT_NAMES
from tinyllm_cli.config import DatasetSpec, Settings
from tinyllm_cli.datasets.authors import is_authors_layout
from tinyllm_cli.datasets.bioasq import bioasq_questions
from tinyllm_cli.datasets.hub import HUB_DATASETS
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import SPLITS, Question, canonical
from tinyllm_cli.datasets.rows import format_of, is_object_of_questions, read_rows
from tinyllm_cli.errors import UsageProblem, choices


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set comes from. `fingerprint` changes when its content may have; `read` streams the questions."""

    name: str
    origin: str
    fingerprint: str
    read: Callable[[], Iterator[Question]]
    rationale_files: Mapping[str, list[Path]] = field(default_factory=dict)
    """Recorded rationales that lie beside the questions: teacher -> files."""

    authors_folder: Path | None = None


def known_names(settings: Settings) -> list[str]:
    return sorted({"everyday", "bioasq", *HUB_DATASETS, *settings.datasets})


def find_source(wanted: str, settings: Settings) -> Source | None:
    """The source called `wanted`, or the file or folder at that path; None when it is neither.

    Raises UsageProblem when the path holds nothing that can be read as a data set."""
    if wanted in settings.datasets:
        return _configured(settings.datasets[wanted])
    if wanted == "everyday":
        return everyday()
    if wanted in HUB_DATASETS:
        dataset = HUB_DATASETS[wanted]
        return Source(name=wanted, origin=dataset.source, fingerprint=dataset.source, read=dataset.questions)
    if wanted == "bioasq":
        raise UsageProblem(
            "BioASQ has no open copy on the hub.",
            "Get the task B training JSON from the organisers, then: tinyllm import training.json --name bioasq",
        )
    path = Path(wanted).expanduser()
    return from_path(path, {}) if path.exists() else None


def everyday() -> Source:
    """The embedded data set, written for this project."""
    folder = files("tinyllm_cli") / "data" / "everyday"
    paths = {split: Path(str(folder / f"{split}.jsonl")) for split in SPLITS}
    return _from_files("everyday", paths, {}, origin="embedded")


def from_path(path: Path, columns: Mapping[str, str], name: str | None = None) -> Source:
    """A file or folder of the user's. The name defaults to the folder's, or to the file's."""
    if not path.exists():
        raise UsageProblem(f"There is no file or folder {path}.")
    if path.is_dir():
        return _from_folder(path, columns, name or _plain_name(path))
    stem = path.name.split(".")[0]
    named = name or (_plain_name(path.parent) if stem.lower() in SPLIT_NAMES else stem)
    if is_object_of_questions(path):
        return Source(
            name=named,
            origin=str(path.resolve()),
            fingerprint=_fingerprint({"": path}, {}),
            read=lambda: bioasq_questions(path, named),
        )
    return _from_files(named, {_split_of(stem): path}, columns, origin=str(path.resolve()))


def _split_of(stem: str) -> str:
    """`test`, or a name that ends in it, such as `quiz_test`; train for any other."""
    return SPLIT_NAMES.get(re.split(r"[_\-]", stem.lower())[-1], "train")


def _configured(spec: DatasetSpec) -> Source:
    paths = {split: Path(path) for split, path in spec.splits.items()}
    missing = next((path for path in paths.values() if not path.exists()), None)
    if missing is not None:
        raise UsageProblem(f"tinyllm.toml, [datasets.{spec.name}]: there is no file {missing}.")
    return _from_files(spec.name, paths, spec.columns, origin="tinyllm.toml")


def _from_folder(folder: Path, columns: Mapping[str, str], name: str) -> Source:
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(path.name.split(".")[0].lower())
        if split and path.is_file() and format_of(path):
            if split in paths:
                raise UsageProblem(f"{folder} has two files for the split {split}: {paths[split].name}, {path.name}.")
            paths[split] = path
    if not paths:
        raise UsageProblem(
            f"{folder} holds no data set.",
            "Expected train.jsonl, valid.jsonl, test.jsonl (or .json, .csv, .parquet).",
        )
    return _from_files(
        name,
        paths,
        columns,
        origin=str(folder.resolve()),
        rationale_files=_rationale_files(folder),
        authors_folder=folder if is_authors_layout(folder) else None,
    )


def _rationale_files(folder: Path) -> dict[str, list[Path]]:
    """`rationales/TEACHER.SPLIT.jsonl[.gz]` (or .csv) beside the questions, by teacher."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("rationales/*")):
        kind = format_of(path)
        if kind in (".json", ".parquet"):
            raise UsageProblem(
                f"{path} can't be read: recorded rationales are .jsonl or .csv.", "Convert it, or move it."
            )
        if kind:
            stem = path.name.removesuffix(".gz").rpartition(".")[0]
            teacher, _, split = stem.rpartition(".")
            found.setdefault(teacher if split.lower() in SPLIT_NAMES else stem, []).append(path)  # gpt-4.1 has a dot
    return found


def _from_files(
    name: str,
    paths: Mapping[str, Path],
    columns: Mapping[str, str],
    *,
    origin: str,
    rationale_files: Mapping[str, list[Path]] | None = None,
    authors_folder: Path | None = None,
) -> Source:
    def read() -> Iterator[Question]:
        for split, path in paths.items():
            for number, row in enumerate(read_rows(path), start=1):
                where = Where(file=path.name, row=number)
                own = _stated_split(row, where) if len(paths) == 1 else None
                yield parse_row(row, where, columns, dataset=name, split=own or split)

    return Source(
        name=name,
        origin=origin,
        fingerprint=_fingerprint(paths, columns),
        read=read,
        rationale_files=rationale_files or {},
        authors_folder=authors_folder,
    )


def _stated_split(row: Mapping[str, Any], where: Where) -> str | None:
    stated = row.get("split")
    if stated in (None, ""):
        return None
    if str(stated).lower() not in SPLIT_NAMES:
        raise where.problem("split", f"'{stated}' is none of {', '.join(SPLIT_NAMES)}.")
    return SPLIT_NAMES[str(stated).lower()]


def _fingerprint(paths: Mapping[str, Path], columns: Mapping[str, str]) -> str:
    """Changes when a file may have, by its place, size and time, with the split that it is, and with the mapping. Reads
    no content."""
    stats = [
        [split, path.parent.name, path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for split, path in paths.items()
    ]
    return hashlib.sha256(canonical([stats, dict(columns)]).encode()).hexdigest()[:16]


def _plain_name(path: Path) -> str:
    return path.resolve().name.split(".")[0] or "data"


def unknown_dataset(wanted: str, settings: Settings, stored: list[str]) -> UsageProblem:
    return UsageProblem(
        f"There is no data set called '{wanted}', and no file or folder of that name.",
        f"Known: {choices({*known_names(settings), *stored})}. Your own: give its path, or a table in tinyllm.toml.",
    )
