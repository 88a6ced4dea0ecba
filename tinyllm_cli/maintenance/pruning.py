"""Free disk space: keep the weights of the best run of each arm, and the records of all.

An arm is a set of runs that differ only in their seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.files import to_disk
from tinyllm_cli.maintenance.run_folders import CARD, has_student, run_folder_of, size_of, weight_files
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.saving import STUDENT_FILE


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """`kept` runs keep their weights: the best of each arm by valid accuracy, the newest where there is none. `pruned`
    ones lose them: `bytes` on the disk. `foreign` ones stay, since their folder can't be shown to be their own."""

    kept: tuple[int, ...]
    pruned: tuple[int, ...]
    foreign: tuple[int, ...]
    bytes: int
    deleted: bool


def prune(store: Store, *, trial: bool) -> Pruning:
    """Delete the weights of finished runs that are not the best of their arm; with `trial`, only say which. The model
    card stays in the folder. Runs that are not finished keep everything."""
    store.runs.mark_killed()
    runs = [run for run in store.runs.everything() if run.state == "done" and has_student(run)]
    kept = [max(arm, key=_merit) for arm in _arms(runs)]
    others = [run for run in runs if run not in kept]
    own = [run for run in others if (found := run_folder_of(run, store.path)) is not None and not found.foreign]
    freed = 0
    for run in own:
        files = list(weight_files(run))
        freed += sum(map(size_of, files))
        if not trial:
            _delete(files, Path(run.folder))
    return Pruning(
        kept=tuple(run.id for run in kept), pruned=tuple(run.id for run in own),
        foreign=tuple(run.id for run in others if run not in own), bytes=freed, deleted=not trial,
    )  # fmt: skip


def _arms(runs: Iterable[Run]) -> list[list[Run]]:
    arms: dict[str, list[Run]] = {}
    for run in runs:
        settings = replace(run.settings, train=replace(run.settings.train, seed=0), environment=None)
        key = canonical([run.method, run.student, run.dataset, dict(run.alpha), dict(run.sources), settings.to_json()])
        arms.setdefault(key, []).append(run)
    return list(arms.values())


def _merit(run: Run) -> tuple[float, int]:
    return (-1.0 if run.valid_accuracy is None else run.valid_accuracy, run.id)


def _delete(files: Sequence[Path], folder: Path) -> None:
    """The file that makes the folder a student first, so that it is none after a kill."""
    assert (folder / CARD).is_file()
    for path in sorted(files, key=lambda one: one.name != STUDENT_FILE):
        path.unlink()
    to_disk(folder)
