"""`tinyllm find`: questions by their words and by what became of them."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.completion import dataset_names, run_numbers, teacher_names
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, MaxTarget, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.find import show_found


@guarded
def find(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words of the question and its options.", show_default="any question")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="In this data set.", autocompletion=dataset_names)
    ] = None,
    split: Annotated[Literal["train", "valid", "test"] | None, typer.Option(help="In this split.")] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", "-t", help="With a rationale of this teacher.", autocompletion=teacher_names),
    ] = None,
    verdict: Annotated[
        Literal["kept", "repaired", "rejected", "not judged"] | None,
        typer.Option(help="With a rationale of this verdict: a person's, else the stored one of the gates."),
    ] = None,
    found_by: Annotated[
        str | None,
        typer.Option("--gate", help="With a rationale in which this gate found something; human: a person decided."),
    ] = None,
    outcome: Annotated[
        Literal["right", "wrong", "mixed", "not answered"] | None,
        typer.Option(help="Evaluated answers: all right, all wrong, or mixed, where the methods disagree."),
    ] = None,
    run: Annotated[
        int | None,
        typer.Option("--run", help="--outcome of the answers of this run.", autocompletion=run_numbers),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find questions by their words, their rationales' verdicts and the answers to them; all options apply together.

    --teacher, --verdict and --gate are about one and the same rationale.

    Example: tinyllm find --dataset obqa --teacher llama2 --verdict rejected, or: tinyllm find --outcome mixed
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        found = api.search_questions(
            project, limit=limit, words=" ".join(words or ()), dataset=dataset, split=split, teacher=teacher,
            verdict=verdict, gate=found_by, outcome=outcome, run=run, max_target=max_target,
        )  # fmt: skip
    show_found(session.console, found)
    session.console.result(found)
    if found.questions:
        first = found.questions[0]
        session.console.next(
            shlex.join(["tinyllm", "inspect", first.key, "--dataset", first.dataset, "--split", first.split])
        )
