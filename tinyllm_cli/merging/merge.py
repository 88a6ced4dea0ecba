"""Merge other databases into one, each in one transaction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.files import belongs_to_database
from tinyllm_cli.merging.folders import IncomingFolders
from tinyllm_cli.store import Store
from tinyllm_cli.store.copies import open_copy
from tinyllm_cli.store.merging import Differences, TableCounts


@dataclass(frozen=True, kw_only=True)
class MergedRun:
    """A run of the other database: its `number` here, what that `was` there, and its folder here. `change`: it is new,
    a later state of the run here, or none."""

    number: int
    was: int
    change: Literal["new", "later", "none"]
    folder: str


@dataclass(frozen=True, kw_only=True)
class MergedStore:
    """What came from one database: counts by table, its runs, and the bytes of their folders that were copied.
    `samples`: replies that differ from the one here to the same request, kept as further samples."""

    path: str
    tables: dict[str, TableCounts]
    runs: tuple[MergedRun, ...]
    samples: int
    bytes: int

    @property
    def changes(self) -> int:
        """Rows that are new or were updated."""
        return sum(counts.new + counts.updated for counts in self.tables.values())


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """What came from each database, in order. `merged`: False for a dry run, in which each one is compared with the
    database as it is."""

    database: str
    merged: bool
    stores: tuple[MergedStore, ...]


def check_paths(database: Path, others: Sequence[Path]) -> None:
    """Raises UsageProblem when a file is named twice, also by way of a link, or is the database itself."""
    for other in others:
        if belongs_to_database(other, database):
            raise UsageProblem(f"{other} is the database to merge into, or a file of it.", "Name other databases.")
    for one, other in combinations(others, 2):
        if belongs_to_database(one, other) or (one.exists() and other.exists() and one.samefile(other)):
            also = "" if one == other else f", also as {other}"
            raise UsageProblem(f"{one} is named twice{also}.", "Name each database once.")


def merge(store: Store, path: Path, *, trial: bool = False, move: bool = False) -> MergedStore:
    """`merge_numbered`, without the numbers."""
    return merge_numbered(store, path, trial=trial, move=move)[0]


def merge_numbered(
    store: Store, path: Path, *, trial: bool = False, move: bool = False
) -> tuple[MergedStore, Mapping[int, int]]:
    """Take what is new in the database `path`, committed when this returns; with `trial`, only count. The file is not
    changed: a copy of it is read, migrated to this version. `move` takes the folders of its runs instead of copying
    them. Also returns the numbers of its evaluations, there and here.

    Raises UsageProblem when a data set or a teacher is another one there or its costs are in another currency, and Busy
    when another process trains a run that has a later state there."""
    store.runs.mark_killed()
    with _copied(store, path) as copy:
        _refuse(path, store.merging.differences(copy))
        folders = IncomingFolders(store=store, source=path, move=move)
        runs = [run for run in store.merging.coming_runs(copy) if run.change != "none"]
        size = sum(map(folders.bytes, runs))
        if trial:
            done = store.merging.take(copy, folders.place, trial=True)
        else:
            with folders.staged(runs):
                done = store.merging.take(copy, folders.place)
    kept = {run.id: run.folder for run in store.runs.everything()}
    merged = MergedStore(
        path=str(path), tables=done.tables, samples=done.samples, bytes=size,
        runs=tuple(
            MergedRun(
                number=run.number, was=run.was, change=run.change,
                folder=kept[run.number] if run.change == "none" else str(folders.target(run)),
            )
            for run in done.runs
        ),
    )  # fmt: skip
    return merged, done.evaluations


@contextmanager
def _copied(store: Store, path: Path) -> Iterator[Path]:
    """A migrated copy of a database, beside ours: the system's folder for temporary files may be small."""
    with tempfile.TemporaryDirectory(prefix=".tinyllm-merging-", dir=store.path.parent) as folder:
        copy = Path(folder) / "copy.db"
        open_copy(path, copy).close()
        yield copy


def _refuse(path: Path, found: Differences) -> None:
    if found.splits:
        one = found.splits[0]
        raise UsageProblem(
            f"The data set {one.dataset} is another one in {path}: {one.split} has {one.here} questions here and"
            f" {one.there} there, and '{one.key}' differs.",
            "Import the same version in both, or rename one:"
            f" {command_text('rename', 'dataset', one.dataset, 'NAME', '--db', path)}",
        )
    if found.teachers:
        teacher = found.teachers[0]
        settings = ", ".join(f"{name} is {here} here and {there} there" for name, here, there in teacher.settings)
        raise UsageProblem(
            f"The teacher {teacher.teacher} is another one in {path}: {settings}.",
            f"Rename one: {command_text('rename', 'teacher', teacher.teacher, 'NAME', '--db', path)}",
        )
    if found.currencies:
        here, there = found.currencies
        raise UsageProblem(
            f"Costs are in {here} here and in {there} in {path}: sums would mix them.",
            "Keep the databases apart: each has a report of its own.",
        )
