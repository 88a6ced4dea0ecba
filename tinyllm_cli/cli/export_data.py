"""`tinyllm export-data`: questions with selected rationales, for other trainers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.api.training import DistillOptions
from tinyllm_cli.cli.completion import dataset_names
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Choose,
    Config,
    Db,
    Debug,
    Gates,
    Icl,
    Json,
    MaxTarget,
    PerQuestion,
    Quiet,
    Rationales,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console

_choice = partial(typer.Option, rich_help_panel="Which rationales, as for distill")


@guarded
def export_data(
    out: Annotated[Path, typer.Option(help="The folder to create.")],
    form: Annotated[
        Literal["messages", "prompt-completion", "alpaca", "llama-factory", "columns"],
        typer.Option("--format", help="For TRL: messages or prompt-completion. columns: question and rationale apart."),
    ] = "messages",
    files: Annotated[
        Literal["jsonl", "parquet", "hf"], typer.Option(help="hf: a folder for datasets.load_from_disk.")
    ] = "jsonl",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="A data set.", show_default="the only one with rationales",
                     autocompletion=dataset_names),
    ] = None,
    alpha: Annotated[
        str | None, _choice(help="Teachers and their weights.", show_default="1 for every teacher with rationales")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions of train and of valid.")] = None,
    gates: Gates = True,
    usefulness: Annotated[
        Literal["none", "weight", "filter"], _choice(help="weight: in the column weight; filter: drop useless ones.")
    ] = "none",
    usefulness_model: Annotated[
        str | None, _choice(help="Whose usefulness scores.", show_default="the only model that scored")
    ] = None,
    samples: Annotated[
        int | None, _choice(min=1, help="Use the best K of several samples per question.", show_default="all")
    ] = None,
    icl: Icl = None,
    rationales: Rationales = "forced",
    per_question: PerQuestion = None,
    choose: Choose = None,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Write questions with the rationales that distill would learn, to train with other tools.

    A row of train ends with a rationale and the gold answer; the rows of valid and test have the answer alone. Gates,
    human verdicts, selection and splits are those of distill with the same options. README.md names the sources; for
    llama-factory there is a dataset_info.json. The folder lm-eval has the test split as a task for
    lm-evaluation-harness, which loads offline with its --include_path.

    Example: tinyllm export-data --dataset obqa --format alpaca --out obqa-alpaca
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    options = DistillOptions(
        alpha=alpha, dataset=dataset, limit=limit, gates=gates, usefulness=usefulness,
        usefulness_model=usefulness_model, samples=samples, icl=icl, rationales=rationales,
        per_question=per_question, choose=choose, settings={"max_target": max_target},
    )  # fmt: skip
    with session.project(create=dataset is not None) as project, session.console.events() as on_event:
        done = api.export_data(project, out, form=form, files=files, on_event=on_event, **options)
    counts = ", ".join(f"{count} rows of {split}" for split, count in done.rows.items())
    session.console.say(f"{done.folder}: {counts}.")
    for teacher, record in done.rationales.items():
        session.console.say(f"  {teacher}: {record['rationales']} rationales for {record['questions']} questions")
    if done.tasks:
        session.console.say(f"  {Path(done.folder) / 'lm-eval'}: the test split as lm-evaluation-harness task"
                            f" {done.tasks[0]} ({done.tasks[1]} for encoder-decoder models)")  # fmt: skip
    session.console.result(done)
