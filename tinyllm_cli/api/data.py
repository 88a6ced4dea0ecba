"""`import_questions` and `import_rationales`: the user's own questions and recorded rationales into the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.elicitation.results import TeacherElicitation
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Notice, OnEvent, Progress, ignore_events


@dataclass(frozen=True, kw_only=True)
class RecordedRationales(TeacherElicitation):
    """One teacher's recorded rationales for one split. `unmatched`: its questions that the data set lacks."""

    split: str
    unmatched: int


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """`splits`: questions by split. `changed`: False when the database held exactly this already."""

    dataset: str
    splits: dict[str, int]
    changed: bool
    teachers: tuple[RecordedRationales, ...]


class ImportOptions(TypedDict, total=False):
    """Keywords of `import_questions`."""

    name: str | None
    """The data set's name; default: the folder's or file's name."""

    columns: Mapping[str, str]
    """Field -> column, for id, question, options, answer, context."""

    renames: Mapping[str, str]
    """Teacher found beside the questions -> its name in the database."""

    teacher_forcing: bool
    """Whether the recorded rationales' authors saw the gold answers; default: True."""


def import_questions(
    project: Project, path: str | Path, *, on_event: OnEvent = ignore_events, **options: Unpack[ImportOptions]
) -> ImportResult:
    """Import a file or a folder of questions, with the recorded rationales beside it.

    Raises UsageProblem for a wrong row, naming file, row and field, and for a name that another data set has."""
    from tinyllm_cli.datasets.catalogue import from_path
    from tinyllm_cli.ingestion.ingest import ingest, likely_mistakes
    from tinyllm_cli.ingestion.recordings import files_beside

    source = from_path(Path(path).expanduser(), options.get("columns", {}), options.get("name"))
    label = f"reading {source.name}"
    ingested = ingest(project.store, source, lambda rows: on_event(Progress(label=label, done=rows)))
    for notice in likely_mistakes(project.store, ingested.name):
        on_event(notice)
    renames = options.get("renames", {})
    teachers: list[RecordedRationales] = []
    with files_beside(project.store, source) as files:
        for found, paths in files.items():
            teachers += _record(
                project, ingested.name, renames.get(found, found), paths, options.get("teacher_forcing", True), on_event
            )
    return ImportResult(dataset=ingested.name, splits=ingested.splits, changed=ingested.fresh, teachers=tuple(teachers))


def import_rationales(
    project: Project, path: str | Path, teacher: str, dataset: str, *, teacher_forcing: bool = True,
    on_event: OnEvent = ignore_events,
) -> ImportResult:  # fmt: skip
    """Import one file of a teacher's recorded rationales for a data set in the database.

    Raises UsageProblem when no row belongs to the data set, or a row is wrong."""
    from tinyllm_cli.ingestion.ingest import ingest_named

    file = Path(path).expanduser()
    if file.is_dir():
        raise UsageProblem(f"{file} is a folder; with --teacher, PATH is one file of rationales.")
    ingested = ingest_named(project.store, dataset, project.settings)
    teachers = _record(project, ingested.name, teacher, [file], teacher_forcing, on_event)
    return ImportResult(dataset=ingested.name, splits=ingested.splits, changed=False, teachers=tuple(teachers))


def _record(
    project: Project, dataset: str, teacher: str, paths: list[Path], teacher_forcing: bool, on_event: OnEvent
) -> list[RecordedRationales]:
    """Store one teacher's files, split by split."""
    from backends.base import Sampling
    from tinyllm_cli.elicitation.budget import Budget
    from tinyllm_cli.elicitation.requests import Job
    from tinyllm_cli.elicitation.session import AlwaysConsent, ElicitationSession
    from tinyllm_cli.ingestion.recordings import opened
    from tinyllm_cli.records.elicitation import Recipe

    session = ElicitationSession(store=project.store, budget=Budget(), consent=AlwaysConsent(), on_event=on_event)
    done = []
    with opened(project.store, dataset, teacher, paths, teacher_forcing=teacher_forcing) as recording:
        if recording.unmatched:
            on_event(
                Notice(
                    message=f"{teacher}: {recording.unmatched} of the questions in its {recording.rows} rows are not in"
                    f" {dataset}."
                )
            )
        for split in recording.splits:
            job = Job(
                dataset=dataset, split=split, spec=recording.spec, recipe=Recipe(icl=0), sampling=Sampling(),
                samples=recording.samples,
            )  # fmt: skip
            counts = session.elicit(job, recording.teacher)
            done.append(RecordedRationales.of(teacher, counts, split=split, unmatched=recording.unmatched))
    return done
