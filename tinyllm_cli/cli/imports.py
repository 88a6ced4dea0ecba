"""`tinyllm import`: bring your own questions, and rationales that were recorded elsewhere, into the database."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.elicit import run_job
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.datasets.catalogue import Source
    from tinyllm_cli.elicit import Job
    from tinyllm_cli.store import Store


@guarded
def import_data(
    path: Annotated[
        Path, typer.Argument(help="A file, a folder with train/valid/test files, or a file of rationales.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call the data set.", show_default="the folder's name")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN for id, question, options, answer, context. May be repeated."),
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="FOUND=NAME: what to call a teacher whose rationales are found.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="PATH holds this teacher's rationales; needs --dataset.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="The data set in the database that the rationales of --teacher belong to."),
    ] = None,
    teacher_forcing: Annotated[
        bool,
        typer.Option(
            "--teacher-forcing/--no-teacher-forcing",
            help="Whether who wrote the rationales saw the gold answers.",
        ),
    ] = True,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring a data set of your own into the database, with the recorded rationales that lie beside it.

    Reads JSONL, JSON, CSV and parquet; rationales/TEACHER.SPLIT.jsonl beside the questions; the layout of the
    TinyLLM authors' repository; and the organisers' JSON of BioASQ task B.

    Example: tinyllm import my-questions/ --name mine
    """
    from tinyllm_cli.errors import UsageProblem

    session = Session(db, config, Console(json=json, quiet=quiet))
    if (teacher is None) != (dataset is None):
        raise UsageProblem(
            "--teacher and --dataset go together.", "They say whose rationales PATH holds, and for what."
        )
    with closing(session.open_store()) as store:
        if teacher and dataset:
            results = _import_rationales(session, store, path, teacher, dataset, teacher_forcing)
        else:
            results = _import_dataset(session, store, path, name, column or [], rename or [], teacher_forcing)
    session.console.result(results)
    session.console.next("tinyllm distill" if results["teachers"] else f"tinyllm elicit --dataset {results['dataset']}")


def _import_dataset(
    session: Session,
    store: Store,
    path: Path,
    name: str | None,
    columns: list[str],
    renames: list[str],
    teacher_forcing: bool,
) -> dict[str, Any]:
    from tinyllm_cli.datasets.catalogue import from_path
    from tinyllm_cli.datasets.parse import parse_mapping
    from tinyllm_cli.ingest import ingest

    source = from_path(path.expanduser(), parse_mapping(columns), name)
    names = _parse_renames(renames)
    with session.console.meter(f"reading {source.name}") as meter:
        ingested = ingest(store, source, lambda rows: meter(rows, 0))
    sizes = ", ".join(f"{split} {count}" for split, count in ingested.splits.items())
    session.console.say(f"{ingested.name}: {sizes}" + ("" if ingested.fresh else " (unchanged)"))
    teachers = []
    with ExitStack() as stack:
        files = dict(source.rationale_files)
        if source.authors_folder:
            files |= _unpack_authors(store, source, stack)
        for found, paths in files.items():
            for job in _jobs(ingested.name, ingested.splits, names.get(found, found), paths, teacher_forcing):
                teachers.append({"split": job.split, **run_job(session, store, job)})
    return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}


def _import_rationales(
    session: Session, store: Store, path: Path, teacher: str, dataset: str, teacher_forcing: bool
) -> dict[str, Any]:
    from tinyllm_cli.ingest import ingest_named

    ingested = ingest_named(store, dataset, session.settings)
    jobs = _jobs(ingested.name, ingested.splits, teacher, [path.expanduser()], teacher_forcing)
    teachers = [{"split": job.split, **run_job(session, store, job)} for job in jobs]
    return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}


def _jobs(dataset: str, splits: dict[str, int], teacher: str, paths: list[Path], teacher_forcing: bool) -> list[Job]:
    """A job for each split that the files speak of: `llama.train.jsonl` of train alone, `llama.jsonl` of train."""
    from backends.base import Sampling
    from tinyllm_cli.config import TeacherSpec, default_prefix
    from tinyllm_cli.elicit import RECORDED, Job
    from tinyllm_cli.prompts import Recipe

    spec = TeacherSpec(
        name=teacher,
        backend=RECORDED,
        options={"path": [str(path) for path in paths]},
        prefix=default_prefix(teacher),
        teacher_forcing=teacher_forcing,
    )
    named = {part for path in paths for part in path.name.split(".") if part in splits}
    return [
        Job(dataset=dataset, split=split, spec=spec, recipe=Recipe(icl=0), sampling=Sampling())
        for split in splits
        if split in (named or {"train"})
    ]


def _unpack_authors(store: Store, source: Source, stack: ExitStack) -> dict[str, list[Path]]:
    """Both teachers' rationales of the authors' layout, as recorded rows in temporary files."""
    import tempfile

    from tinyllm_cli.datasets.authors import TEACHERS, write_rationales
    from tinyllm_cli.store import questions as stored_questions

    assert source.authors_folder is not None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    found: dict[str, list[Path]] = {name: [] for name in TEACHERS}
    for split in stored_questions.splits(store, source.name):
        paths = {name: folder / f"{name}.{split}.jsonl" for name in TEACHERS}
        with ExitStack() as files:
            targets = {name: files.enter_context(path.open("w", encoding="utf-8")) for name, path in paths.items()}
            questions = stored_questions.iterate(store, source.name, split)
            rows = write_rationales(source.authors_folder, split, questions, targets)
        if rows:
            for name, path in paths.items():
                found[name].append(path)
    return {name: paths for name, paths in found.items() if paths}


def _parse_renames(items: list[str]) -> dict[str, str]:
    from tinyllm_cli.errors import UsageProblem

    pairs = [item.partition("=") for item in items]
    for found, sign, name in pairs:
        if not (found and sign and name):
            raise UsageProblem(f"--rename: '{found}{sign}{name}' is not of the form FOUND=NAME.")
    return {found: name for found, _, name in pairs}
