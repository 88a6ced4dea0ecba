"""`import_questions`, `import_rationales`, `import_procedural`: questions and recorded rationales into the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from tinyllm_cli.api.project import Project
from tinyllm_cli.elicitation.results import TeacherElicitation
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.events import Notice, OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.datasets.catalogue import Source
    from tinyllm_cli.ingestion.recordings import RecordedFiles


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
    """Field -> column, for id, question, options, answer, context, split; dots reach into objects."""

    options: Sequence[str]
    """The options of every question, where the rows have none."""

    answers_from: int | None
    """The number of the first option, 0 or 1; default: 0, with a warning where 1 is likely."""

    split_off: Mapping[str, float]
    """Split -> share of a single file's rows, drawn with seed 0."""

    renames: Mapping[str, str]
    """Teacher found beside the questions -> its name in the database."""

    teacher_forcing: bool
    """Whether the recorded rationales' authors saw the gold answers; default: True."""


def import_questions(
    project: Project, path: str | Path, *, on_event: OnEvent = ignore_events, **options: Unpack[ImportOptions]
) -> ImportResult:
    """Import a file or a folder of questions, with the recorded rationales beside it.

    Raises UsageProblem for a wrong row, naming file, row and field, for a name that another data set has, and for a
    folder of several data sets."""
    results = import_folder(project, path, on_event=on_event, **options)
    if len(results) != 1:
        raise UsageProblem(f"{path} holds {len(results)} data sets.", "Use import_folder; all of them are imported.")
    return results[0]


def import_folder(
    project: Project, path: str | Path, *, on_event: OnEvent = ignore_events, **options: Unpack[ImportOptions]
) -> tuple[ImportResult, ...]:
    """Import the data set at `path`, or every data set in the folders inside it.

    Raises UsageProblem as `import_questions`."""
    from tinyllm_cli.datasets.catalogue import from_paths
    from tinyllm_cli.datasets.layout import Layout

    layout = Layout(
        columns=options.get("columns", {}),
        options=tuple(options.get("options", ())),
        answers_from=options.get("answers_from"),
        split_off=options.get("split_off", {}),
    )
    sources = from_paths(Path(path).expanduser(), layout, options.get("name"))
    renames = options.get("renames", {})
    _check_renames(renames, sources)
    return tuple(
        _import(project, source, renames, options.get("teacher_forcing", True), on_event) for source in sources
    )


class ProceduralOptions(TypedDict, total=False):
    """Keywords of `import_procedural`."""

    name: str | None
    """The data set's name; default: the family's name."""

    train: int
    """Training questions; default: 2000."""

    valid: int
    """Validation questions; default: 200."""

    test: int
    """Test questions; default: 400."""

    size: int | None
    """People, words, objects or moves in a question; default: the family's."""

    seed: int
    """Seed of the generator; default: 0."""


def import_procedural(
    project: Project, family: str, *, on_event: OnEvent = ignore_events, **options: Unpack[ProceduralOptions]
) -> ImportResult:
    """Generate the questions of a family, such as `coin-flip`, with the rationales of its rule-based teachers. The
    parameters are the data set's source: the same ones again change nothing.

    Raises UsageProblem for an unknown family, a size that it lacks, more questions than it has, and for a name that
    another data set has."""
    from tinyllm_cli.datasets.procedural.generate import parameters, source

    defaults = {"train": 2000, "valid": 200, "test": 400}
    counts = {split: cast(int, options.get(split, count)) for split, count in defaults.items()}
    chosen = parameters(family, counts, size=options.get("size"), seed=options.get("seed", 0))
    return _import(project, source(chosen, options.get("name")), {}, False, on_event)


def _import(
    project: Project, source: Source, renames: Mapping[str, str], teacher_forcing: bool, on_event: OnEvent
) -> ImportResult:
    from tinyllm_cli.ingestion.ingest import ingest, likely_mistakes
    from tinyllm_cli.ingestion.recordings import RecordedFiles, files_beside

    label = f"reading {source.name}"
    ingested = ingest(project.store, source, lambda rows: on_event(Progress(label=label, done=rows)))
    for warning in ingested.warnings:
        on_event(Notice(message=warning, warning=True))
    for notice in likely_mistakes(project.store, ingested.name):
        on_event(notice)
    if "test" not in ingested.splits:
        on_event(
            Notice(
                message=f"{ingested.name} has no test split, which `tinyllm eval` needs.",
                hint='Add rows with "split": "test", or a file of that name to a folder; or import a single file again'
                " with --split-off test=0.2.",
            )
        )
    teachers: list[RecordedRationales] = []
    with files_beside(project.store, source) as found:
        for name, paths in found.items():
            files = RecordedFiles(teacher=renames.get(name, name), paths=paths, teacher_forcing=teacher_forcing)
            teachers += _record(project, ingested.name, files, on_event)
    return ImportResult(dataset=ingested.name, splits=ingested.splits, changed=ingested.fresh, teachers=tuple(teachers))


def _check_renames(renames: Mapping[str, str], sources: Sequence[Source]) -> None:
    """Raises UsageProblem for a teacher to rename that none of the sources has."""
    from tinyllm_cli.datasets.authors import TEACHERS

    found = {name for source in sources for name in source.rationale_files}
    found |= set(TEACHERS) if any(source.authors_folder for source in sources) else set()
    unknown = sorted(set(renames) - found)
    if unknown:
        raise UsageProblem(
            f"--rename {unknown[0]}={renames[unknown[0]]}: there are no rationales of '{unknown[0]}'.",
            f"There are rationales of: {choices(found)}.",
        )


def import_rationales(
    project: Project, path: str | Path, teacher: str, dataset: str, *, teacher_forcing: bool = True,
    on_event: OnEvent = ignore_events,
) -> ImportResult:  # fmt: skip
    """Import one file of a teacher's recorded rationales for a data set in the database.

    Raises UsageProblem when no row belongs to the data set, or a row is wrong."""
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.ingestion.recordings import RecordedFiles

    file = Path(path).expanduser()
    if file.is_dir():
        raise UsageProblem(f"{file} is a folder; with --teacher, PATH is one file of rationales.")
    ingested = ingest_named(project.store, dataset, project.settings)
    files = RecordedFiles(teacher=teacher, paths=[file], teacher_forcing=teacher_forcing)
    teachers = _record(project, ingested.name, files, on_event)
    return ImportResult(dataset=ingested.name, splits=ingested.splits, changed=False, teachers=tuple(teachers))


def _record(project: Project, dataset: str, files: RecordedFiles, on_event: OnEvent) -> list[RecordedRationales]:
    """Store one teacher's files, split by split."""
    from backends.base import Sampling
    from tinyllm_cli.elicitation.budget import Budget
    from tinyllm_cli.elicitation.job import Job
    from tinyllm_cli.elicitation.session import AlwaysConsent, ElicitationSession
    from tinyllm_cli.ingestion.recordings import opened
    from tinyllm_cli.records.elicitation import Recipe

    session = ElicitationSession(store=project.store, budget=Budget(), consent=AlwaysConsent(), on_event=on_event)
    teacher, done = files.teacher, []
    with opened(project.store, dataset, files) as recording:
        if recording.unmatched:
            lost, rows = recording.unmatched, recording.rows
            on_event(Notice(message=f"{teacher}: {lost} of the questions in its {rows} rows are not in {dataset}."))
        for split, edits in recording.splits.items():
            if edits is not None:
                message = f"{teacher} has rationales for {dataset}/{split}: these replace the ones they edit."
                on_event(Notice(message=message))
            job = Job(
                dataset=dataset, split=split, spec=recording.spec, recipe=Recipe(icl=0), sampling=Sampling(),
                samples=recording.samples, edits=edits,
            )  # fmt: skip
            counts = session.elicit(job, recording.teacher)
            done.append(RecordedRationales.of(teacher, counts, split=split, unmatched=recording.unmatched))
    return done
