"""What a database holds, with rows and disk use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.maintenance.run_folders import has_student, is_thinned, run_folder_of, size_of
from tinyllm_cli.records.runs import Run, RunState
from tinyllm_cli.store import Store
from tinyllm_cli.store.inventory import DatasetItem, PlanItem, TeacherItem
from tinyllm_cli.training.checkpoint import runs_root

Part = Literal["datasets", "teachers", "runs", "plans"]
PARTS: tuple[Part, ...] = ("datasets", "teachers", "runs", "plans")


@dataclass(frozen=True, kw_only=True)
class RunItem:
    """A run. `student_files` says whether its weights are on the disk: `pruned` ones were deleted by `prune`. `bytes`
    includes the state of a run that can be resumed."""

    id: int
    method: str
    student: str
    dataset: str
    alpha: dict[str, float]
    seed: int
    state: RunState
    valid_accuracy: float | None
    started: str
    student_files: Literal["present", "pruned", "missing"]
    folder: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a database holds. `bytes` is the size of its file with the write-ahead log, `runs_bytes` that of all in its
    folder of runs. Costs are in `currency`, an ISO 4217 code; null while there are none. Parts that were not asked for
    are null."""

    database: str
    bytes: int
    runs_bytes: int
    currency: str | None
    datasets: tuple[DatasetItem, ...] | None
    teachers: tuple[TeacherItem, ...] | None
    runs: tuple[RunItem, ...] | None
    plans: tuple[PlanItem, ...] | None


def inventory(store: Store, parts: tuple[Part, ...]) -> Inventory:
    """These parts of a database's inventory."""
    files = [store.path, *(store.path.with_name(f"{store.path.name}{end}") for end in ("-wal", "-shm"))]
    root = runs_root(store.path)
    return Inventory(
        database=str(store.path),
        bytes=sum(size_of(path) for path in files if path.exists()),
        runs_bytes=size_of(root) if root.is_dir() else 0,
        currency=store.currency.code(),
        datasets=tuple(store.inventory.datasets()) if "datasets" in parts else None,
        teachers=tuple(store.inventory.teachers()) if "teachers" in parts else None,
        runs=tuple(_run(store, run) for run in store.runs.everything()) if "runs" in parts else None,
        plans=tuple(store.inventory.plans()) if "plans" in parts else None,
    )


def _run(store: Store, run: Run) -> RunItem:
    found = run_folder_of(run, store.path)
    return RunItem(
        id=run.id, method=run.method, student=run.student, dataset=run.dataset, alpha=dict(run.alpha), seed=run.seed,
        state=run.state, valid_accuracy=run.valid_accuracy, started=run.started,
        student_files="present" if has_student(run) else "pruned" if is_thinned(run) else "missing",
        folder=run.folder, bytes=found.bytes if found else 0,
    )  # fmt: skip
