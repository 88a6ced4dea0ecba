"""`tinyllm import`: bring your own questions, and rationales that were recorded elsewhere, into the database."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded
from tinyllm_cli.cli.views.elicit import drive

if TYPE_CHECKING:
    from tinyllm_cli.datasets.catalogue import Source
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
        typer.Option(
            "--map",
            help="FIELD=COLUMN for id, question, options, answer, context, split. Dots reach into objects"
            " (question=question.stem). May be repeated.",
        ),
    ] = None,
    options: Annotated[
        str | None, typer.Option(help="The options of every question, with commas: yes,no,maybe.")
    ] = None,
    answers_from: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="The number of the first option, 0 or 1.", show_default="0, with a warning"),
    ] = None,
    split_off: Annotated[
        list[str] | None,
        typer.Option(help="SPLIT=SHARE: draw a share of a single file's rows, as test=0.2. May be repeated."),
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
            help="Whether the authors of the rationales saw the gold answers.",
        ),
    ] = True,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Import a data set of your own, with the recorded rationales beside it.

    Reads JSONL, JSON, CSV, TSV and parquet; rationales/TEACHER.SPLIT.jsonl beside the questions; the folders of the
    TinyLLM authors' repository, one or all; and the organisers' JSON of BioASQ task B.

    Example: tinyllm import my-questions/ --name mine
    """
    from tinyllm_cli.datasets.catalogue import from_paths
    from tinyllm_cli.datasets.layout import Layout, parse_mapping, parse_options, parse_shares
    from tinyllm_cli.errors import UsageProblem

    session = Session(db, config, Console(json=json, quiet=quiet))
    if (teacher is None) != (dataset is None):
        raise UsageProblem(
            "--teacher and --dataset go together.", "They say whose rationales PATH holds, and for what."
        )
    if teacher and (name or column or rename or options or answers_from is not None or split_off):
        raise UsageProblem(
            "--name, --map, --rename, --options, --answers-from and --split-off are for a data set, and --teacher says"
            " that PATH holds rationales.",
            "Leave them out; rows of rationales need the fields id and rationale.",
        )
    layout = Layout(
        columns=parse_mapping(column or []),
        options=parse_options(options) if options is not None else (),
        answers_from=answers_from,
        split_off=parse_shares(split_off or []),
    )
    with closing(session.open_store()) as store:
        importer = _Importer(session, store, teacher_forcing, _parse_renames(rename or []))
        if teacher and dataset:
            results = [importer.rationales(path, teacher, dataset)]
        else:
            sources = from_paths(path.expanduser(), layout, name)
            importer.check_renames(sources)
            results = [importer.dataset(source) for source in sources]
    session.console.result(results[0] if len(results) == 1 else {"datasets": results})
    last = results[-1]
    named = shlex.quote(last["dataset"])
    session.console.next(
        f"tinyllm audit --dataset {named}" if last["teachers"] else f"tinyllm elicit --teacher NAME --dataset {named}"
    )


@dataclass(frozen=True)
class _Importer:
    """What the imports of one command share. `renames` maps a teacher that is found to its name."""

    session: Session
    store: Store
    teacher_forcing: bool
    renames: dict[str, str]

    def dataset(self, source: Source) -> dict[str, Any]:
        """Import a data set, and the rationales beside it."""
        from tinyllm_cli.ingestion.ingest import ingest
        from tinyllm_cli.ingestion.recordings import files_beside

        console = self.session.console
        with console.meter(f"reading {source.name}") as meter:
            ingested = ingest(self.store, source, lambda rows: meter(rows, 0))
        sizes = ", ".join(f"{split} {count}" for split, count in ingested.splits.items())
        console.say(f"{ingested.name}: {sizes}" + ("" if ingested.fresh else " (unchanged)"))
        for warning in ingested.warnings:
            console.warn(warning)
        _warn(console, self.store, ingested.name)
        teachers = []
        with files_beside(self.store, source) as files:
            for found, paths in files.items():
                teachers += self._elicit(ingested.name, self.renames.get(found, found), paths)
        return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}

    def rationales(self, path: Path, teacher: str, dataset: str) -> dict[str, Any]:
        """Import a file of one teacher's rationales for a data set in the database."""
        from tinyllm_cli.errors import UsageProblem
        from tinyllm_cli.ingestion.ingest import ingest_named

        if path.is_dir():
            raise UsageProblem(f"{path} is a folder; with --teacher, PATH is one file of rationales.")
        ingested = ingest_named(self.store, dataset, self.session.settings)
        teachers = self._elicit(ingested.name, teacher, [path.expanduser()])
        return {"dataset": ingested.name, "splits": ingested.splits, "teachers": teachers}

    def check_renames(self, sources: list[Source]) -> None:
        """Raises UsageProblem for a teacher to rename that none of the sources has."""
        from tinyllm_cli.datasets.authors import TEACHERS
        from tinyllm_cli.errors import UsageProblem, choices

        found = {name for source in sources for name in source.rationale_files}
        found |= set(TEACHERS) if any(source.authors_folder for source in sources) else set()
        unknown = sorted(set(self.renames) - found)
        if unknown:
            raise UsageProblem(
                f"--rename {unknown[0]}={self.renames[unknown[0]]}: there are no rationales of '{unknown[0]}'.",
                f"There are rationales of: {choices(found)}.",
            )

    def _elicit(self, dataset: str, teacher: str, paths: list[Path]) -> list[dict[str, Any]]:
        """Bring one teacher's files into the store, split by split."""
        from backends.base import Sampling
        from tinyllm_cli.elicitation.requests import Job
        from tinyllm_cli.ingestion.recordings import RecordedFiles, opened
        from tinyllm_cli.records.elicitation import Recipe

        console = self.session.console
        files = RecordedFiles(teacher=teacher, paths=paths, teacher_forcing=self.teacher_forcing)
        done = []
        with opened(self.store, dataset, files) as recording:
            if recording.unmatched:
                lost, rows = recording.unmatched, recording.rows
                console.say(f"{teacher}: {lost} of the questions in its {rows} rows are not in {dataset}.")
            for split, edits in recording.splits.items():
                if edits is not None:
                    console.note(f"{teacher} has rationales for {dataset}/{split}: these replace the ones they edit.")
                job = Job(
                    dataset=dataset,
                    split=split,
                    spec=recording.spec,
                    recipe=Recipe(icl=0),
                    sampling=Sampling(),
                    samples=recording.samples,
                    edits=edits,
                )
                result = drive(console, self.store, job, recording.teacher)
                done.append({"split": split, "unmatched": recording.unmatched, **result})
        return done


def _warn(console: Console, store: Store, dataset: str) -> None:
    """What is likely to be a mistake in the file."""
    profiles = store.questions.profiles(dataset)
    if all(profile.gold[0] == 0 for profile in profiles) and sum(profile.questions for profile in profiles) >= _ENOUGH:
        console.warn(
            f"In {dataset} the first option is never the right one.",
            "Numbers are read as counted from 0. If the first option is 1, import again with --answers-from 1.",
        )
    for one in store.questions.repeated(dataset):
        if one.disagree:
            console.warn(
                f"{one.disagree} {one.split} questions of {dataset} occur twice, with two right options: {one.key}."
            )
        elif one.again:
            console.note(f"{one.again} {one.split} questions of {dataset} occur more than once, such as {one.key}.")


def _parse_renames(items: list[str]) -> dict[str, str]:
    from tinyllm_cli.errors import UsageProblem

    pairs = [item.partition("=") for item in items]
    for found, sign, name in pairs:
        if not (found and sign and name):
            raise UsageProblem(f"--rename: '{found}{sign}{name}' is not of the form FOUND=NAME.")
    return {found: name for found, _, name in pairs}
