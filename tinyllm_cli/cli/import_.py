"""`tinyllm import`: bring your own questions, and rationales that were recorded elsewhere, into the database."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.elicit import drive

if TYPE_CHECKING:
    from tinyllm_cli.store import Store

_ENOUGH = 15
"""Questions of which the first option is never right by chance in one case of seventy, with four options."""


@guarded
def import_data(
    path: Annotated[
        Path, typer.Argument(help="A file, a folder with train/valid/test files, or a file of rationales.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call the data set.", show_default="the folder's or the file's name")
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
    if teacher and (name or column or rename):
        raise UsageProblem(
            "--name, --map and --rename are for a data set, and --teacher says that PATH holds rationales.",
            "Leave them out; rows of rationales need the fields id and rationale.",
        )
    with closing(session.open_store()) as store:
        if teacher and dataset:
            results = _import_rationales(session, store, path, teacher, dataset, teacher_forcing)
        else:
            results = _import_dataset(session, store, path, name, column or [], rename or [], teacher_forcing)
    session.console.result(results)
    named = shlex.quote(results["dataset"])
    session.console.next(
        f"tinyllm audit --dataset {named}"
        if results["teachers"]
        else f"tinyllm elicit --teacher NAME --dataset {named}"
    )


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
    from tinyllm_cli.ingestion.ingest import ingest
    from tinyllm_cli.ingestion.recordings import files_beside

    source = from_path(path.expanduser(), parse_mapping(columns), name)
    names = _parse_renames(renames)
    with session.console.meter(f"reading {source.name}") as meter:
        ingested = ingest(store, source, lambda rows: meter(rows, 0))
    sizes = ", ".join(f"{split} {count}" for split, count in ingested.splits.items())
    session.console.say(f"{ingested.name}: {sizes}" + ("" if ingested.fresh else " (unchanged)"))
    _warn(session.console, store, ingested.name)
    teachers = []
    with files_beside(store, source) as files:
        for found, paths in files.items():
            teachers += _elicit(session, store, ingested.name, names.get(found, found), paths, teacher_forcing)
    return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}


def _warn(console: Console, store: Store, dataset: str) -> None:
    """Of what is likely to be a mistake in the file."""

    profiles = store.questions.profiles(dataset)
    if all(profile.gold[0] == 0 for profile in profiles) and sum(profile.questions for profile in profiles) >= _ENOUGH:
        console.warn(
            f"In {dataset} the first option is never the right one.",
            "An answer that is a number is an index from 0. Counted from 1? Then write letters, or subtract 1.",
        )
    for one in store.questions.repeated(dataset):
        if one.disagree:
            console.warn(
                f"{one.disagree} {one.split} questions of {dataset} stand there with two right options: {one.key}."
            )
        elif one.again:
            console.note(
                f"{one.again} {one.split} questions of {dataset} stand there more than once, such as {one.key}."
            )


def _import_rationales(
    session: Session, store: Store, path: Path, teacher: str, dataset: str, teacher_forcing: bool
) -> dict[str, Any]:
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.ingestion.ingest import ingest_named

    if path.is_dir():
        raise UsageProblem(f"{path} is a folder; with --teacher, PATH is one file of rationales.")
    ingested = ingest_named(store, dataset, session.settings)
    teachers = _elicit(session, store, ingested.name, teacher, [path.expanduser()], teacher_forcing)
    return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}


def _elicit(
    session: Session, store: Store, dataset: str, teacher: str, paths: list[Path], teacher_forcing: bool
) -> list[dict[str, Any]]:
    """Bring one teacher's files into the store, split by split."""
    from backends.base import Sampling
    from tinyllm_cli.elicitation.requests import Job
    from tinyllm_cli.ingestion.recordings import opened
    from tinyllm_cli.records.elicitation import Recipe

    done = []
    with opened(store, dataset, teacher, paths, teacher_forcing=teacher_forcing) as recording:
        if recording.unmatched:
            session.console.say(
                f"{teacher}: {recording.unmatched} of the questions in its {recording.rows} rows are not in {dataset}."
            )
        for split in recording.splits:
            job = Job(
                dataset=dataset,
                split=split,
                spec=recording.spec,
                recipe=Recipe(icl=0),
                sampling=Sampling(),
                samples=recording.samples,
            )
            result = drive(session.console, store, job, recording.teacher)
            done.append({"split": split, "unmatched": recording.unmatched, **result})
    return done


def _parse_renames(items: list[str]) -> dict[str, str]:
    from tinyllm_cli.errors import UsageProblem

    pairs = [item.partition("=") for item in items]
    for found, sign, name in pairs:
        if not (found and sign and name):
            raise UsageProblem(f"--rename: '{found}{sign}{name}' is not of the form FOUND=NAME.")
    return {found: name for found, _, name in pairs}
