"""Check a database and its run folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyllm_cli.errors import command_text
from tinyllm_cli.maintenance.run_folders import has_student, is_thinned, size_of
from tinyllm_cli.store import Store
from tinyllm_cli.training.checkpoint import runs_root, state_folder

_NUMBERED = re.compile(r"\.?\d+-")


@dataclass(frozen=True, kw_only=True)
class StoreProblem:
    """Something that is wrong: `integrity` (damaged file), `reference` (rows that refer to missing rows),
    `missing-folder` (a finished run without its student) or `orphaned-folder` (in the folder of runs, and of no
    run)."""

    kind: Literal["integrity", "reference", "missing-folder", "orphaned-folder"]
    text: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class StoreCheck:
    """The problems of a database, none when it is sound."""

    database: str
    runs: int
    problems: tuple[StoreProblem, ...]


def check_store(store: Store, *, quick: bool) -> StoreCheck:
    """Check the file, references and run folders; `quick`: without comparing indexes with their tables."""
    store.runs.mark_killed()
    damage = list(_integrity(store, quick=quick))
    rest = [] if damage else [*_references(store), *_missing(store), *_orphaned(store)]
    return StoreCheck(
        database=str(store.path), runs=0 if damage else len(store.runs.everything()), problems=(*damage, *rest)
    )


def _integrity(store: Store, *, quick: bool) -> Iterator[StoreProblem]:
    for text in store.upkeep.damage(quick=quick):
        yield StoreProblem(kind="integrity", text=f"The file is damaged: {text}.", hint="Restore a backup.")


def _references(store: Store) -> Iterator[StoreProblem]:
    for table, parent, count in store.upkeep.dangling():
        yield StoreProblem(
            kind="reference", text=f"{count} rows of {table} refer to rows of {parent} that do not exist.",
            hint="Another program wrote to the file. Restore a backup.",
        )  # fmt: skip


def _missing(store: Store) -> Iterator[StoreProblem]:
    for run in store.runs.everything():
        if run.state == "done" and not has_student(run) and not is_thinned(run):
            yield StoreProblem(
                kind="missing-folder", text=f"Run {run.id} has no student at {run.folder or 'any place'}.",
                hint=f"Copy its folder there, or delete the run: {command_text('delete', 'run', run.id)}",
            )  # fmt: skip


def _orphaned(store: Store) -> Iterator[StoreProblem]:
    root = runs_root(store.path)
    known = {path for run in store.runs.everything() if run.folder for path in _names(Path(run.folder))}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        ours = path.is_dir() and not path.is_symlink() and _NUMBERED.match(path.name)
        if ours and path not in known and not _half_written(path, known):
            yield StoreProblem(
                kind="orphaned-folder", text=f"{path} belongs to no run ({size_of(path)} bytes).",
                hint="Delete it if you do not need it.",
            )  # fmt: skip


def _names(folder: Path) -> tuple[Path, Path]:
    return folder, state_folder(folder)


def _half_written(path: Path, known: set[Path]) -> bool:
    """Of a student that is being saved, or whose process was killed then: the next one clears it up."""
    owner = re.sub(r"^\.(.*)\.(?:new-.*|old)$", r"\1", path.name)
    return owner != path.name and path.with_name(owner) in known
