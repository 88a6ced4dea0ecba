"""`activity`, `inventory`, `rename`, `delete`, `prune`, `backup`, `check`: care for a database and its run folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.events import Notice, OnEvent, ignore_events
from tinyllm_cli.store.renaming import Named

if TYPE_CHECKING:
    from tinyllm_cli.maintenance.activity import Activity
    from tinyllm_cli.maintenance.checks import StoreCheck
    from tinyllm_cli.maintenance.inventory import Inventory, Part
    from tinyllm_cli.maintenance.pruning import Pruning
    from tinyllm_cli.maintenance.removal import Kind, Removal
    from tinyllm_cli.store.relations import Relation

_NOUN = {"dataset": "data set", "teacher": "teacher"}


@dataclass(frozen=True, kw_only=True)
class RenameResult:
    """A renaming. `rows` were changed."""

    kind: Named
    old: str
    new: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class BackupResult:
    """A copy of the database, without the folder of runs."""

    path: str
    bytes: int
    runs_folder: str | None


def inventory(project: Project, part: Part | None = None) -> Inventory:
    """What the database holds, with rows and disk use: one part, or all."""
    from tinyllm_cli.maintenance.inventory import PARTS
    from tinyllm_cli.maintenance.inventory import inventory as collect

    project.store.runs.mark_killed()
    project.store.experiments.mark_killed()
    return collect(project.store, PARTS if part is None else (part,))


def rename(project: Project, kind: Named, old: str, new: str, *, on_event: OnEvent = ignore_events) -> RenameResult:
    """Rename a data set or a teacher in everything that refers to it: questions, rationales, runs, evaluations, plans.

    Raises UsageProblem for an unknown or a taken name, and Busy while a process uses it."""
    from tinyllm_cli.config.names import check_name
    from tinyllm_cli.experiments.availability import edition_of

    store = project.store
    known = store.questions.names() if kind == "dataset" else [one.name for one in store.inventory.teachers()]
    if old not in known:
        raise UsageProblem(f"There is no {_NOUN[kind]} '{old}'.", f"There are: {choices(known)}.")
    check_name(new, _NOUN[kind])
    if new in known:
        raise UsageProblem(f"There is a {_NOUN[kind]} '{new}' already.", "Choose another name.")
    store.runs.mark_killed()
    store.elicitations.mark_killed()
    store.experiments.mark_killed()

    def editions() -> dict[str, str]:
        return {name: edition_of(store, name, project.settings) for name in store.questions.names()}

    before = editions()

    def changed() -> dict[str, str]:
        renamed = {old: new} if kind == "dataset" else {}
        after = editions()
        return {edition: after[renamed.get(name, name)] for name, edition in before.items()}

    rows = store.renaming.rename(kind, old, new, changed)
    defined = project.settings.datasets if kind == "dataset" else project.settings.teachers
    if old in defined:
        on_event(
            Notice(
                message=f"The settings still define the {_NOUN[kind]} {old}.",
                hint=f"Rename it there as well, or a command that names {old} brings it back.",
            )
        )
    return RenameResult(kind=kind, old=old, new=new, rows=rows)


def delete(project: Project, kind: Kind, names: Sequence[str] = (), *, confirm: Callable[[Removal], bool]) -> Removal:
    """Delete data sets, teachers or runs with everything that depends on them, run folders included. `confirm` gets
    what would be deleted; nothing is when it returns False. A folder that is not provably a run's own stays.

    Raises UsageProblem for an unknown name, and Busy while a process uses some of it."""
    from tinyllm_cli.maintenance.removal import remove, selected

    wanted = selected(project.store, kind, names)
    found = remove(project.store, kind, wanted, trial=True)
    return remove(project.store, kind, wanted, trial=False) if confirm(found) else found


def prune(project: Project, *, confirm: Callable[[Pruning], bool]) -> Pruning:
    """Delete the weights of finished runs that are not the best of their arm (runs that differ only in the seed).
    Records stay. `confirm` gets what would be deleted; nothing is when it returns False."""
    from tinyllm_cli.maintenance.pruning import prune as thin_out

    found = thin_out(project.store, trial=True)
    return thin_out(project.store, trial=False) if found.pruned and confirm(found) else found


def backup(project: Project, path: Path, *, replace: bool = False) -> BackupResult:
    """Copy the database to one file, consistently while other processes write. With `replace`, an existing file is
    replaced when the copy is complete.

    Raises UsageProblem when the file exists, or is the database."""
    from tinyllm_cli.files import belongs_to_database
    from tinyllm_cli.training.checkpoint import runs_root

    store = project.store
    if belongs_to_database(path, store.path):
        raise UsageProblem(f"{path} is the database itself, or a file of it.", "Give the backup another name.")
    if (path.exists() or path.is_symlink()) and not replace:
        raise UsageProblem(f"{path} exists.", "Give another name, or replace it with --replace.")
    if path.exists() and not path.is_file():
        raise UsageProblem(f"{path} is not a regular file.", "Give another name.")
    size = store.upkeep.backup(path)
    root = runs_root(store.path)
    return BackupResult(path=str(path), bytes=size, runs_folder=str(root) if root.is_dir() else None)


def check(project: Project, *, quick: bool = False) -> StoreCheck:
    """Check the file's integrity, its references, and the folders of runs. `quick`: without comparing indexes with
    their tables."""
    from tinyllm_cli.maintenance.checks import check_store

    return check_store(project.store, quick=quick)


def activity(project: Project, *, recent: int = 5) -> Activity:
    """What runs on the database now, with rates and time left, and the `recent` latest elicitations, trainings and
    plans that ended. What was killed is recorded as killed first."""
    from tinyllm_cli.maintenance.activity import activity as collect

    store = project.store
    store.runs.mark_killed()
    store.elicitations.mark_killed()
    store.experiments.mark_killed()
    return collect(store, recent)


def tables(project: Project) -> tuple[Relation, ...]:
    """The tables and views of the database, with what they and their columns mean."""
    from tinyllm_cli.store.relations import relations

    return tuple(relations(project.store))
