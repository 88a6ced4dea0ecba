"""What travels between the machines, as tar files: a small database with the folders of its runs, and a student.

A package that comes back has the state of its runs, so that another node can continue it.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.config import Settings, TeacherSpec
from tinyllm_cli.records.experiments import ExperimentCell
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.merge_tables import training
from tinyllm_cli.students.saving import is_student
from tinyllm_cli.training.checkpoint import runs_root, state_folder
from tinyllm_cli.training.model_card import escaped

DATABASE, CONFIG, STUDENT = "tinyllm.db", "tinyllm.toml", "student"
_SENT = ("model", "revision")  # of a teacher's options: what an evaluation reads
_UNFINISHED = (".new-", ".old")
_CARD = "README.md"
__all__ = ["CONFIG", "DATABASE", "STUDENT", "Renaming", "pack_again", "pack_for", "pack_student", "unpack"]


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """The paths of a student that was sent: on the `node`, and at `home`."""

    home: str
    node: str


def pack_for(store: Store, settings: Settings, cell: ExperimentCell, target: Path) -> None:
    """Write what a cell reads: its data set with all that is known about its questions, and runs of the same training,
    to be resumed, or the run to evaluate."""
    runs = [run for run in store.runs.everything() if _belongs(run, cell)]
    named = (cell.distill and cell.distill.dataset, cell.evaluate and cell.evaluate.dataset)
    dataset = next(name for name in (*named, *(run.dataset for run in runs)) if name)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, _tar(target) as tar:
        path = Path(folder) / DATABASE
        with open_store(path) as small:
            root = runs_root(path)
            small.merging.take(
                store.path, lambda run: str(root / Path(run.was_folder).name),
                portion=training(dataset, [run.id for run in runs]),
            )  # fmt: skip
        tar.add(path, DATABASE)
        _add_text(tar, CONFIG, settings_text(settings))
        for run in runs:
            for one in (Path(run.folder), state_folder(Path(run.folder))):
                if one.is_dir():
                    tar.add(one, f"{root.name}/{one.name}")


def _belongs(run: Run, cell: ExperimentCell) -> bool:
    """Whether a cell may continue, or is to evaluate, a run."""
    if cell.distill is None:
        return cell.evaluate is not None and cell.evaluate.run == run.id
    wanted = cell.distill
    same = (run.dataset, run.student, run.seed) == (wanted.dataset, wanted.student, wanted.seed)
    alpha = {name: weight for name, weight in wanted.alpha.items() if weight > 0}
    there = is_student(Path(run.folder)) or state_folder(Path(run.folder)).is_dir()
    return same and bool(run.folder) and there and ({k: v for k, v in run.alpha.items() if v > 0} == alpha)


def pack_student(student: str, target: Path) -> None:
    """Write a local student, a folder or a file."""
    with _tar(target) as tar:
        tar.add(student, f"{STUDENT}/{Path(student).name}")


def pack_again(folder: Path, target: Path, student: Renaming | None, *, ended: bool) -> bool:
    """Write the package of a cell that works, or has worked, in `folder`. In it a run that trains is stopped, and the
    student has the name that it has at home. False, and no file, while a student is being saved; what a process that
    has `ended` left half saved stays here, and then an OSError, such as of a full disk, is raised."""
    database = folder / DATABASE
    root = runs_root(database)
    before = sorted(_names(root))
    whole = [name for name in before if not any(end in name for end in _UNFINISHED)]
    if whole != before and not ended:
        return False
    with tempfile.TemporaryDirectory(dir=folder, prefix="pack-") as draft:
        copy = Path(draft) / DATABASE
        with open_store(database) as store:
            store.upkeep.backup(copy)
        with open_store(copy) as store:
            for run in store.runs.everything():
                if run.state == "running":
                    store.runs.finish(run.id, "stopped", run.metrics, "it continues on another node")
            if student is not None:
                store.runs.rename_student(student.node, student.home)
        try:
            with _tar(target) as tar:
                tar.add(copy, DATABASE)
                tar.add(folder / CONFIG, CONFIG)
                for name in sorted(whole, key=lambda name: not name.startswith(".")):  # states before students
                    _add_folder(tar, root / name, f"{root.name}/{name}", student)
        except OSError:  # a state or a student was replaced meanwhile
            target.unlink(missing_ok=True)
            if ended:
                raise
            return False
    if sorted(_names(root)) != before:
        target.unlink(missing_ok=True)
        return False
    return True


def unpack(package: Path, folder: Path) -> None:
    """Write the files of a package into `folder`."""
    with tarfile.open(package) as tar:
        tar.extractall(folder, filter="data")


def settings_text(settings: Settings) -> str:
    """Of tinyllm.toml what a training or an evaluation reads, without keys, URLs and files of data sets."""
    lines: list[str] = []
    for name, spec in settings.teachers.items():
        if spec.source is not None:
            lines += [f"[teachers.{json.dumps(name, ensure_ascii=False)}]", *_assignments(_sent(spec)), ""]
    if settings.gates:
        lines += ["[gates]", *_assignments(settings.gates)]
    return "\n".join(lines) + "\n"


def _sent(spec: TeacherSpec) -> Mapping[str, object]:
    return {
        "backend": spec.backend, "prefix": spec.prefix,
        **{name: spec.options[name] for name in _SENT if isinstance(spec.options.get(name), str)},
    }  # fmt: skip


def _assignments(values: Mapping[str, object]) -> Sequence[str]:
    """TOML: JSON's texts, numbers, lists of these, true and false are written alike."""
    return [f"{json.dumps(name)} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def _names(root: Path) -> Iterator[str]:
    """Folders of runs and states; not the locks beside them."""
    return (one.name for one in root.iterdir() if one.is_dir()) if root.is_dir() else iter(())


def _tar(target: Path) -> tarfile.TarFile:
    return tarfile.open(target, "w")


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _add_folder(tar: tarfile.TarFile, folder: Path, name: str, student: Renaming | None) -> None:
    """A folder of a run or a state, without what is being written. The card names the student as it is at home."""
    tar.add(folder, name, filter=lambda info: None if "/.new-" in info.name or info.name == f"{name}/{_CARD}" else info)
    card = folder / _CARD
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        if student is not None:
            for here, there in ((student.node, student.home), (escaped(student.node), escaped(student.home))):
                text = text.replace(here, there)
        _add_text(tar, f"{name}/{_CARD}", text)
