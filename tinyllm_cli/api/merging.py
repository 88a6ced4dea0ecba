"""`merge` and `split`: bring databases of several machines together, and divide one for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyllm_cli.api.project import Project
from tinyllm_cli.events import Finished, OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.merging.merge import MergedStore, MergeResult
    from tinyllm_cli.merging.split import SplitResult


def merge(
    project: Project, paths: Sequence[str | Path], *, dry_run: bool = False, on_event: OnEvent = ignore_events
) -> MergeResult:
    """Take what is new in other databases, each in one transaction. Rationales, verdicts, runs and predictions with the
    same content are stored once; runs get another number where theirs is taken, and their folders are copied. Emits
    each `MergedStore` when it is committed.

    Raises UsageProblem when a file is named twice, and when a data set or a teacher is another one in one of them, Busy
    when another process trains a run that has a later state there, and WorldProblem for a file that is no database."""
    from tinyllm_cli.merging.merge import MergeResult, check_paths
    from tinyllm_cli.merging.merge import merge as merge_one

    others = [Path(path).expanduser() for path in paths]
    check_paths(project.store.path, others)
    stores: list[MergedStore] = []
    for number, other in enumerate(others):
        on_event(Progress(label="merging", done=number, total=len(others), detail=other.name))
        stores.append(merge_one(project.store, other, trial=dry_run))
        on_event(Finished(value=stores[-1]))
    return MergeResult(database=str(project.store.path), merged=not dry_run, stores=tuple(stores))


def split(project: Project, shards: int, folder: str | Path | None = None) -> SplitResult:
    """Write databases that ask teachers about a share of the questions each, into `folder` (default: one beside the
    database). The database stays as it is; `merge` brings the shards back.

    Raises UsageProblem when a shard exists or there are fewer questions than shards, and Busy while a teacher is being
    asked."""
    from tinyllm_cli.merging.split import SplitResult
    from tinyllm_cli.merging.split import split as split_store

    path = project.store.path
    target = path.with_name(f"{path.stem}-shards") if folder is None else Path(folder).expanduser()
    made = split_store(project.store, target, shards)
    return SplitResult(database=str(path), questions=sum(one.questions for one in made), shards=made)
