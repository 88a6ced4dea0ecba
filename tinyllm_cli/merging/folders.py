"""The folders of runs that come in with another database: copied beside this one before their rows are stored.

Copies wait under hidden names, outside of any transaction. They get their names when the rows are written.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tinyllm_cli.errors import Busy
from tinyllm_cli.files import to_disk
from tinyllm_cli.store import Store
from tinyllm_cli.store.merging import ComingRun
from tinyllm_cli.training.checkpoint import runs_root, state_folder

_ATTEMPTS = 3


@dataclass(kw_only=True)
class IncomingFolders:
    """Folders of runs from beside `source`, for the database of `store`. `move`: they are ours to take; otherwise they
    are copied."""

    store: Store
    source: Path
    move: bool = False
    _targets: dict[int, Path] = field(default_factory=dict)

    def target(self, run: ComingRun) -> Path:
        """Where the folder of a run will be: in the place of the earlier state, or under a name that is free."""
        if run.was not in self._targets:
            self._targets[run.was] = self._free(run)
        return self._targets[run.was]

    def bytes(self, run: ComingRun) -> int:
        """The size of the run's student and state."""
        return sum(file.lstat().st_size for folder in self._parts(run) for file in folder.rglob("*") if file.is_file())

    @contextmanager
    def staged(self, runs: list[ComingRun]) -> Iterator[None]:
        """Bring these folders to hidden names beside the database, and hold the locks of the runs here.

        Raises Busy when another process trains one of them."""
        with ExitStack() as held:
            for run in runs:
                if run.change == "later" and not held.enter_context(self.store.runs.claiming(run.number)):
                    raise Busy(f"Another process is training run {run.number}.", "Merge again when it has ended.")
            try:
                for run in runs:
                    self._stage(run)
                yield
            finally:
                for run in runs:
                    for waiting in self._waiting(run):
                        shutil.rmtree(waiting, ignore_errors=True)

    def place(self, run: ComingRun) -> str:
        """Give the staged folders of a run their names, and return the folder."""
        target = self.target(run)
        for waiting, final in zip(self._waiting(run), (target, state_folder(target)), strict=True):
            old = final.with_name(f".{final.name}.before-merge")
            shutil.rmtree(old, ignore_errors=True)
            if final.exists():
                final.rename(old)
            if waiting.exists():
                waiting.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        return str(target)

    def _free(self, run: ComingRun) -> Path:
        here = self.store.path.parent
        if run.change == "later" and run.folder:
            return here / run.folder
        name = Path(run.was_folder).name
        name = name.removeprefix(f"{run.was}-") if name else "run"
        taken = set(self._targets.values())
        numbered = (f"{run.number}-{name}{f'-{place}' if place > 1 else ''}" for place in count(1))
        folders = (runs_root(self.store.path) / one for one in numbered)
        return next(one for one in folders if one not in taken and not one.exists() and not state_folder(one).exists())

    def _parts(self, run: ComingRun) -> tuple[Path, ...]:
        """The existing folders of a run, beside its database: the student's and the state's."""
        if not run.was_folder:
            return ()
        folder = self.source.resolve().parent / run.was_folder
        return tuple(one for one in (folder, state_folder(folder)) if one.is_dir() and not one.is_symlink())

    def _waiting(self, run: ComingRun) -> tuple[Path, Path]:
        """Hidden names for student and state; the same ones after a kill."""
        name = hashlib.sha256(f"{self.source.resolve()} {run.was} {run.started}".encode()).hexdigest()[:16]
        root = runs_root(self.store.path)
        return root / f".merging-{name}", root / f".merging-{name}.state"

    def _stage(self, run: ComingRun) -> None:
        parts = self._parts(run)
        for part in parts:
            waiting = self._waiting(run)[int(part.name.startswith("."))]
            waiting.parent.mkdir(parents=True, exist_ok=True)
            if self.move:
                shutil.rmtree(waiting, ignore_errors=True)
                shutil.move(part, waiting)
            else:
                _copy(part, waiting)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder. A process that is training replaces its state meanwhile: then it is copied again."""
    for attempt in range(1, _ATTEMPTS + 1):
        shutil.rmtree(target, ignore_errors=True)
        with suppress(*(() if attempt == _ATTEMPTS else (shutil.Error, FileNotFoundError))):
            shutil.copytree(source, target, symlinks=True)
            break
    to_disk(*(file for file in target.rglob("*") if file.is_file() and not file.is_symlink()), target)
