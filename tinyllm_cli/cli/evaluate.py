"""`tinyllm eval`: accuracy of students, of any model, and of teachers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.completion import dataset_names, teacher_names
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    AnyModel,
    Config,
    Db,
    Debug,
    Json,
    MaxInput,
    QuestionLimit,
    Quiet,
    RunNumber,
    Split,
    TrustRemoteCode,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console

if TYPE_CHECKING:
    from tinyllm_cli.api.evaluation import EvaluationResult


@guarded
def evaluate(
    run: RunNumber = None,
    model: AnyModel = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="A teacher, by its replies without teacher-forcing.", autocompletion=teacher_names),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="A data set.", show_default="the run's", autocompletion=dataset_names),
    ] = None,
    split: Split = "test",
    scoring: Annotated[
        Literal["rank", "generate", "both", "explain"] | None,
        typer.Option(
            help="rank: the most likely option; generate: greedy text matched to an option; explain: the student writes"
            " a rationale and answers.",
            show_default="both; explain for a student that explains first",
        ),
    ] = None,
    explain_as: Annotated[
        str | None,
        typer.Option(
            help="With explain: the teacher in whose style the student explains.",
            show_default="that with the highest alpha", autocompletion=teacher_names,
        ),
    ] = None,
    votes: Annotated[
        int, typer.Option(min=1, help="With explain: answer by the majority of K sampled rationales.")
    ] = 1,
    limit: QuestionLimit = None,
    max_input: MaxInput = None,
    trust_remote_code: TrustRemoteCode = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Measure accuracy, with chance, majority class, interval and unparseable answers. Keeps every prediction.

    Example: tinyllm eval --run 3 --split test
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    create = model is not None and dataset is not None
    with session.project(create=create) as project, console.events() as on_event:
        done = api.evaluate(
            project, run=run, model=model, teacher=teacher, dataset=dataset, split=split, scoring=scoring,
            explain_as=explain_as, votes=votes, limit=limit,
            max_input=max_input, trust_remote_code=trust_remote_code, on_event=on_event,
        )  # fmt: skip
    _show(console, done)
    console.next("tinyllm report --html report.html")


def _show(console: Console, done: list[EvaluationResult]) -> None:
    from tinyllm_cli.report.terminal import accuracy_tables

    for table in accuracy_tables([one.result for one in done]):
        console.show(table)
    for one in done:
        if one.inputs_cut:
            console.say(f"{one.inputs_cut} inputs exceeded the limit and were truncated ({one.result.scoring}).")
    console.result({"evaluations": [{"id": one.id, **asdict(one.result)} for one in done]})
