"""The folders of runs on the disk: which files are a run's own, how large they are, and how they are deleted.

A folder is a run's own only if it is in the database's folder of runs and its model card states when this run started:
another database, or an older copy of this one, may have a run of the same number.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.records.runs import Run
from tinyllm_cli.students.saving import is_student
from tinyllm_cli.training.checkpoint import runs_root, state_folder

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A run's folder. `bytes` includes its state for resuming. `foreign`: why it can't be shown to be the run's own;
    empty if it is."""

    run: int
    path: str
    bytes: int
    foreign: str = ""


def run_folder_of(run: Run, database: Path) -> RunFolder | None:
    """The folder of a run and of its state; None where neither exists."""
    if not run.folder:
        return None
    folder = Path(run.folder)
    existing = [one for one in (folder, state_folder(folder)) if one.is_symlink() or one.exists()]
    if not existing:
        return None
    return RunFolder(
        run=run.id, path=str(folder), bytes=sum(map(size_of, existing)), foreign=_foreign(run, folder, database)
    )


def _foreign(run: Run, folder: Path, database: Path) -> str:
    if folder.parent.resolve() != runs_root(database):
        return f"it is not in {runs_root(database).name}, beside the database"
    if not folder.name.startswith(f"{run.id}-"):
        return "its name is not this run's"
    for one in (folder, state_folder(folder)):
        if one.is_symlink() or (one.exists() and not one.is_dir()):
            return f"{one.name} is a link or a file"
    if not folder.exists() or not any(folder.iterdir()):
        return ""
    card = folder / CARD
    if card.is_symlink() or not card.is_file():
        return f"it has no {CARD} of the run"
    if f"| started | {run.started} |" not in card.read_text(encoding="utf-8", errors="replace"):
        return f"its {CARD} is of another run"
    return ""


def has_student(run: Run) -> bool:
    """Whether the weights of a run are there."""
    return bool(run.folder) and is_student(Path(run.folder))


def is_thinned(run: Run) -> bool:
    """Whether `prune` left only the card."""
    folder = Path(run.folder)
    return bool(run.folder) and not has_student(run) and (folder / CARD).is_file()


def delete_folder(found: RunFolder) -> None:
    """Delete a run's own folder and state."""
    assert not found.foreign
    folder = Path(found.path)
    for one in (state_folder(folder), folder):
        if one.exists():
            shutil.rmtree(one)


def weight_files(run: Run) -> Iterator[Path]:
    """The files of a student except its card. Folders in it, such as exports, are not the run's."""
    for path in sorted(Path(run.folder).iterdir()):
        if path.name != CARD and path.is_file() and not path.is_symlink():
            yield path


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files of a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_symlink() or not one.is_dir())
