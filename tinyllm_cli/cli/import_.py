"""`tinyllm import`: bring your own questions, and rationales that were recorded elsewhere, into the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.elicit import show_part
from tinyllm_cli.datasets.layout import parse_mapping, parse_options, parse_shares
from tinyllm_cli.datasets.procedural.problem import FamilyName
from tinyllm_cli.errors import UsageProblem, WorldProblem, command_text

if TYPE_CHECKING:
    from tinyllm_cli.api.data import ImportResult, ProceduralOptions


@guarded
def import_data(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A file, a folder with train/valid/test files, or a file of rationales. Not with --procedural."
        ),
    ] = None,
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
    procedural: Annotated[
        FamilyName | None,
        typer.Option(help="Generate the questions of this family, with the rationales of its rule-based teachers."),
    ] = None,
    train: Annotated[int | None, typer.Option(min=0, help="Generated training questions.", show_default="2000")] = None,
    valid: Annotated[
        int | None, typer.Option(min=0, help="Generated validation questions.", show_default="200")
    ] = None,
    test: Annotated[int | None, typer.Option(min=0, help="Generated test questions.", show_default="400")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="People (coin-flip), words (last-letters), objects (shuffled-objects: 3, 5 or 7) or moves"
            " (date-understanding) in a generated question.",
            show_default="6, 4, 3, 4",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generator.", show_default="0")] = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Import a data set of your own, with the recorded rationales beside it.

    Reads JSONL, JSON, CSV, TSV and parquet; rationales/TEACHER.SPLIT.jsonl beside the questions; the folders of the
    TinyLLM authors' repository, one or all; and the organisers' JSON of BioASQ task B.

    With --procedural, the questions are generated and PATH is omitted. The same parameters give the same questions.

    Example: tinyllm import my-questions/ --name mine
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    if (teacher is None) != (dataset is None):
        raise UsageProblem(
            "--teacher and --dataset go together.", "They name whose rationales PATH holds, and for what."
        )
    if teacher is not None and (name or column or rename or options or answers_from is not None or split_off):
        raise UsageProblem(
            "--name, --map, --rename, --options, --answers-from and --split-off are for a data set, and --teacher says"
            " that PATH holds rationales.",
            "Remove them; rows of rationales need the fields id and rationale.",
        )
    generation = {"train": train, "valid": valid, "test": test, "size": size, "seed": seed}
    generated = {name: value for name, value in generation.items() if value is not None}
    given = {"PATH": path, "--teacher": teacher, "--map": column, "--rename": rename, "--options": options,
             "--answers-from": answers_from, "--split-off": split_off,
             "--no-teacher-forcing": None if teacher_forcing else True}  # fmt: skip
    _check_kind(procedural, generated, [name for name, value in given.items() if value is not None])
    with session.project(create=True) as project, console.events(partial(show_part, console)) as on_event:
        results: tuple[ImportResult, ...]
        if path is None:
            chosen = cast("ProceduralOptions", {"name": name, **generated})
            results = (api.import_procedural(project, str(procedural), on_event=on_event, **chosen),)
        elif teacher is not None and dataset is not None:
            results = (
                api.import_rationales(
                    project, path, teacher, dataset, teacher_forcing=teacher_forcing, on_event=on_event
                ),
            )
        else:
            results = api.import_folder(
                project, path, name=name, columns=parse_mapping(column or []),
                options=parse_options(options) if options is not None else (), answers_from=answers_from,
                split_off=parse_shares(split_off or []), renames=_parse_renames(rename or []),
                teacher_forcing=teacher_forcing, on_event=on_event,
            )  # fmt: skip
    for found in results if teacher is None else ():
        sizes = ", ".join(f"{split} {count}" for split, count in found.splits.items())
        console.say(f"{found.dataset}: {sizes}" + ("" if found.changed else " (unchanged)"))
    console.result(results[0] if len(results) == 1 else {"datasets": [asdict(found) for found in results]})
    if teacher is not None:
        _check_imported(results[0])
    if not teacher_forcing and not any(found.teachers for found in results):
        console.note("No rationales were found, so --no-teacher-forcing had no effect.")
    last = results[-1]
    following = ["audit"] if last.teachers else ["elicit", "--teacher", "NAME"]
    console.next(command_text(*following, "--dataset", last.dataset))


def _check_imported(found: ImportResult) -> None:
    """Raises WorldProblem when no row of a teacher's file could be used."""
    for one in found.teachers:
        if one.failed and not one.has_rationales:
            raise WorldProblem(
                f"No rationale of {one.teacher} could be imported: {one.reason}.",
                "Correct the file and import it again.",
            )


def _check_kind(procedural: str | None, generated: Mapping[str, int], given: Sequence[str]) -> None:
    """Raises UsageProblem for options of generated questions without --procedural, for other ones (`given`) with it,
    and when nothing says what to import."""
    if procedural is None and generated:
        raise UsageProblem(f"--{next(iter(generated))} is for generated questions.", "Add --procedural FAMILY.")
    if procedural is None and "PATH" not in given:
        raise UsageProblem("There is nothing to import.", "Give a PATH, or --procedural FAMILY.")
    if procedural is not None and given:
        raise UsageProblem(f"{given[0]} and --procedural exclude each other.", "Generated questions need no file.")


def _parse_renames(items: list[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in items]
    for found, sign, name in pairs:
        if not (found and sign and name):
            raise UsageProblem(f"--rename: '{found}{sign}{name}' is not of the form FOUND=NAME.")
    if twice := [found for found, count in Counter(found for found, _, _ in pairs).items() if count > 1]:
        raise UsageProblem(f"--rename names '{twice[0]}' twice.", "Give each teacher one name.")
    return {found: name for found, _, name in pairs}
