"""`tinyllm push`: publish a student or rationales on a model hub."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Config,
    DatasetWithRationales,
    Db,
    Debug,
    Gates,
    Json,
    Quiet,
    RunNumber,
    TeacherFilter,
    Yes,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.publishing import confirmed
from tinyllm_cli.errors import UsageProblem


@guarded
def push(
    to: Annotated[str, typer.Option(help="The repository, such as hub:me/my-student.")],
    what: Annotated[
        Literal["student", "rationales"], typer.Option(help="student: of a run; rationales: of a data set.")
    ] = "student",
    run: RunNumber = None,
    dataset: DatasetWithRationales = None,
    teacher: TeacherFilter = None,
    gates: Gates = True,
    license: Annotated[
        str | None, typer.Option(help="The licence of what is published, such as apache-2.0.", show_default="none")
    ] = None,
    source_license: Annotated[
        list[str] | None,
        typer.Option(help="NAME=LICENCE of the data set, a teacher or the base model, for the card. Repeatable."),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Who can read a new repository.",
                     show_default="private; an existing repository keeps its visibility"),
    ] = None,
    yes: Yes = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Publish a student or rationales on the Hugging Face hub, or on the hub that HF_ENDPOINT names.

    It shows the repository, every file with its size, and asks. A student is uploaded as safetensors, tokenizer and
    configuration, rationales as one JSONL file per teacher. The card states the sources and their licences as you give
    them, gates, costs, and results with intervals. The token is HF_TOKEN, from the environment or .env; it is never
    stored.

    Example: tinyllm push --to hub:me/my-student --license apache-2.0
    """
    _check(what, run, dataset, teacher)
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project, session.console.events() as on_event:
        done = api.push(
            project, to, what=what, run=run, dataset=dataset, teachers=teacher or (), gates=gates, license=license,
            source_licenses=_pairs(source_license or []), private=private,
            confirm=lambda planned: confirmed(session.console, planned, yes=yes), on_event=on_event,
        )  # fmt: skip
    session.console.say(f"Published: {done.url}" if done.commit else "Nothing was published.")
    session.console.result(done)


def _check(what: str, run: int | None, dataset: str | None, teacher: list[str] | None) -> None:
    if what == "student" and (dataset or teacher):
        raise UsageProblem(
            "--dataset and --teacher choose rationales.", "Add --what rationales, or choose a student with --run."
        )
    if what == "rationales" and run is not None:
        raise UsageProblem("--run chooses a student.", "Choose rationales with --dataset and --teacher.")


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, license = text.rpartition("=")
        if not equals or not name:
            raise UsageProblem(f"--source-license {text} has no name and licence.", "For example: obqa=apache-2.0")
        pairs[name] = license
    return pairs
