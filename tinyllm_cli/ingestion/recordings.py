"""The recordings stage: rationales in files, as jobs for elicitation.

Finds the splits and samples that the files hold, and unpacks the authors' layout. Storing the rationales is
elicitation's work, as with any other teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from backends.base import Request
from backends.recorded import RecordedTeacher
from tinyllm_cli.config import TeacherSpec, default_prefix
from tinyllm_cli.config.names import check_name
from tinyllm_cli.datasets.authors import TEACHERS, write_rationales
from tinyllm_cli.datasets.catalogue import Source
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store

_BACKEND = "recorded"


@dataclass(frozen=True, kw_only=True)
class RecordedFiles:
    """One teacher's files. `teacher_forcing`: whether the authors saw the gold answers."""

    teacher: str
    paths: list[Path]
    teacher_forcing: bool = True


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One teacher's files, and what they hold for a data set: split -> the set of rationales that they edit, None for
    rationales of their own. `rows` counts all rows of the files, `unmatched` the questions in them that the data set
    lacks. `teacher` is open."""

    spec: TeacherSpec
    teacher: RecordedTeacher
    splits: Mapping[str, RationaleSet | None]
    samples: int
    rows: int
    unmatched: int


@contextmanager
def opened(store: Store, dataset: str, files: RecordedFiles) -> Iterator[Recording]:
    """What the files hold for `dataset`; they are read once, for all splits, within the context.

    Raises UsageProblem when they hold nothing for it, or a row may belong to two questions, BadTeacherConfig when a
    row is wrong."""
    name = files.teacher
    check_name(name, "teacher", "Rename the file, or give another name: --rename FOUND=NAME")
    spec = TeacherSpec(
        name=name,
        backend=_BACKEND,
        options={"path": [str(path) for path in files.paths]},
        prefix=default_prefix(name),
        teacher_forcing=files.teacher_forcing,
    )
    with closing(RecordedTeacher(spec.options)) as recorded:
        contents = recorded.contents().values()
        _check_ids(store, dataset, name, recorded)
        splits = _matches(store, dataset, recorded)
        if not splits:
            raise UsageProblem(
                f"None of the rationales of {name} belongs to a question of {dataset}.",
                f"They are joined by id. Are they of another data set? {', '.join(path.name for path in files.paths)}",
            )
        yield Recording(
            spec=spec,
            teacher=recorded,
            splits={split: _edited(store, dataset, split, files) for split in splits},
            samples=max(content.samples for content in contents),
            rows=sum(content.rows for content in contents),
            unmatched=max(0, sum(content.questions for content in contents) - sum(splits.values())),
        )


def _edited(store: Store, dataset: str, split: str, files: RecordedFiles) -> RationaleSet | None:
    """The set of rationales that the teacher was asked for and that the files edit: the one that covers most questions,
    of equals the newest. None for a teacher whose rationales are recorded."""
    own = [
        one
        for one in store.rationales.variants(dataset, split)
        if one.teacher == files.teacher and one.teacher_forcing == files.teacher_forcing
    ]
    best = max(own, key=lambda one: (one.questions, one.latest), default=None)
    return None if best is None or store.batches.asking_of(best).backend == _BACKEND else best


def _check_ids(store: Store, dataset: str, teacher: str, recorded: RecordedTeacher) -> None:
    for key in store.questions.ambiguous_ids(dataset):
        if recorded.edition(Request(split="", key=key, messages=())) is not None:
            raise UsageProblem(
                f"The id '{key}' belongs to different questions in the splits of {dataset}, and {teacher}'s rationale"
                " for it names no split.",
                "Add a field `split` to its rows, or name the file by its split: TEACHER.train.jsonl",
            )


def _matches(store: Store, dataset: str, recorded: RecordedTeacher) -> dict[str, int]:
    """Questions of each split that have a rationale; splits without any are left out."""
    found = {
        split: sum(
            recorded.edition(Request(split=split, key=question.key, messages=())) is not None
            for question in store.questions.iterate(dataset, split)
        )
        for split in store.questions.splits(dataset)
    }
    return {split: count for split, count in found.items() if count}


@contextmanager
def files_beside(store: Store, source: Source) -> Iterator[Mapping[str, list[Path]]]:
    """The rationale files that came with a data set, by teacher; those of the authors' layout and of generated
    questions are written into a folder that lasts as long as the context."""
    with ExitStack() as stack:
        files = dict(source.rationale_files)
        if source.authors_folder is not None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            files |= _unpack(store, source.name, source.authors_folder, folder)
        if source.write_rationales is not None:
            files |= source.write_rationales(Path(stack.enter_context(TemporaryDirectory())))
        yield files


def _unpack(store: Store, dataset: str, authors_folder: Path, folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {name: [] for name in TEACHERS}
    for split in store.questions.splits(dataset):
        paths = {name: folder / f"{name}.{split}.jsonl" for name in TEACHERS}
        with ExitStack() as files:
            targets = {name: files.enter_context(path.open("w", encoding="utf-8")) for name, path in paths.items()}
            rows = write_rationales(authors_folder, split, store.questions.iterate(dataset, split), targets)
        if rows:
            for name, path in paths.items():
                found[name].append(path)
    return {name: paths for name, paths in found.items() if paths}
