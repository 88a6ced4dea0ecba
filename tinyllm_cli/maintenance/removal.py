"""Delete data sets, teachers or runs: first what would go, then, after a confirmation, the rows and the folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from tinyllm_cli.errors import Busy, UsageProblem, WorldProblem, choices, command_text
from tinyllm_cli.maintenance.run_folders import RunFolder, delete_folder, run_folder_of
from tinyllm_cli.store import Store
from tinyllm_cli.store.removal import Selected

Kind = Literal["dataset", "teacher", "run", "failed-runs"]


@dataclass(frozen=True, kw_only=True)
class KeptFolder:
    """A run's folder that stays, since it can't be shown to be the run's own."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What is deleted: rows by table, the runs, their folders and `bytes` on the disk. `repeated` cells of experiments
    are planned again. `cost` is what the deleted rationales cost, in `currency`; null when unknown. `learners`: runs
    that learned from a deleted teacher; they stay."""

    kind: Kind
    names: tuple[str, ...]
    rows: dict[str, int]
    runs: tuple[int, ...]
    folders: tuple[str, ...]
    bytes: int
    kept_folders: tuple[KeptFolder, ...]
    repeated: int
    cost: float | None
    currency: str | None
    learners: tuple[int, ...]
    deleted: bool


def selected(store: Store, kind: Kind, names: Sequence[str]) -> Selected:
    """What the names mean; exact names, since nothing may be deleted by a beginning.

    Raises UsageProblem for an unknown one, and when there is nothing to delete."""
    store.runs.mark_killed()
    store.elicitations.mark_killed()
    store.experiments.mark_killed()
    if kind == "failed-runs":
        if names:
            raise UsageProblem(
                "delete failed-runs takes no name.", f"One run: {command_text('delete', 'run', 'NUMBER')}"
            )
        failed = [run.id for run in store.runs.everything() if run.state == "failed"]
        if not failed:
            raise UsageProblem("There are no failed runs.", f"See: {command_text('list', 'runs')}")
        return Selected(runs=failed)
    if not names:
        raise UsageProblem(f"Which {kind}?", f"See: {command_text('list', f'{kind}s')}")
    known = _known(store, kind)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageProblem(f"There is no {_NOUN[kind]} '{unknown[0]}'.", f"There are: {choices(known)}.")
    if kind == "run":
        return Selected(runs=sorted({int(name) for name in names}))
    return Selected(datasets=sorted(set(names))) if kind == "dataset" else Selected(teachers=sorted(set(names)))


_NOUN = {"dataset": "data set", "teacher": "teacher", "run": "run"}


def _known(store: Store, kind: Kind) -> list[str]:
    if kind == "dataset":
        return store.questions.names()
    if kind == "teacher":
        return [one.name for one in store.inventory.teachers()]
    return [str(run.id) for run in store.runs.everything()]


def remove(store: Store, kind: Kind, wanted: Selected, *, trial: bool) -> Removal:
    """Delete the rows, then the folders; with `trial`, only say what would be deleted.

    Raises Busy when another process uses some of it."""
    before = {run.id: run for run in store.runs.everything()}
    currency = store.currency.code()
    going = store.removal.runs_of(wanted)
    with _locked(store, [number for number in going if before[number].state != "done"]):
        found = [one for number in going if (one := run_folder_of(before[number], store.path)) is not None]
        shared = _shared(store, set(going))
        own = [one for one in found if not one.foreign and one.path not in shared]
        removed = store.removal.remove(wanted, trial=trial)
        if not trial:
            _delete(own)
    names = wanted.datasets or wanted.teachers or tuple(map(str, wanted.runs))
    return Removal(
        kind=kind, names=tuple(names), rows=removed.rows, runs=removed.runs,
        folders=tuple(one.path for one in own), bytes=sum(one.bytes for one in own),
        kept_folders=tuple(
            KeptFolder(path=one.path, reason=one.foreign or "another run has the same folder")
            for one in found if one not in own
        ),
        repeated=removed.repeated, cost=removed.cost, currency=currency,
        learners=tuple(
            number for number, run in before.items() if number not in going and set(run.sources) & set(wanted.teachers)
        ),
        deleted=not trial,
    )  # fmt: skip


@contextmanager
def _locked(store: Store, runs: Sequence[int]) -> Iterator[None]:
    """No other process begins to resume these runs in the block."""
    with ExitStack() as held:
        for number in runs:
            if not held.enter_context(store.runs.claiming(number)):
                raise Busy(f"Another process is training run {number}.", "Nothing was deleted.")
        yield


def _shared(store: Store, going: set[int]) -> set[str]:
    return {run.folder for run in store.runs.everything() if run.id not in going and run.folder}


def _delete(folders: Sequence[RunFolder]) -> None:
    for one in folders:
        try:
            delete_folder(one)
        except OSError as error:
            raise WorldProblem(
                f"The rows are deleted, but {one.path} can't be: {error.strerror or error}.", "Delete the folder."
            ) from error
