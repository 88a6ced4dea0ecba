"""`tinyllm audit`: problems of questions and rationales, before a training costs hours."""

from __future__ import annotations

from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Choose,
    Config,
    Db,
    Debug,
    Gates,
    Json,
    PerQuestion,
    Quiet,
    Rationales,
    UsefulnessModel,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.audit import show_audit
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import command_text

_DEFAULT_STUDENT = "google/flan-t5-small"


@guarded
def audit(
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="A data set. Repeatable.", show_default="all with rationales"),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            "--student", "-s", help="Whose tokenizer measures lengths: a hub name, a folder, a .gguf file, or smollm2.",
            show_default=f"{_DEFAULT_STUDENT}, where it is available",
        ),
    ] = None,
    max_input: Annotated[int, typer.Option(min=8, help="The student's longest input in tokens.")] = 1024,
    max_target: Annotated[int, typer.Option(min=2, help="The student's longest target in tokens.")] = 256,
    gates: Gates = True,
    rationales: Rationales = "forced",
    per_question: PerQuestion = None,
    choose: Choose = None,
    usefulness_model: UsefulnessModel = None,
    sample: Annotated[
        int,
        typer.Option(min=0, help="Read the rationales of this many questions of each split, drawn at random; 0: of all."
                     " What the database can count is always counted on all."),
    ] = 10_000,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 when a check reports an error.")] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A check whose findings --strict ignores, such as duplicates. Repeatable."),
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the student.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Check questions and rationales before training: missing, unfit or truncated rationales, leaks from the test
    split.

    Example: tinyllm audit --dataset riddle --student smollm2
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project, session.console.events() as on_event:
        found = api.audit(
            project, datasets=dataset or (), student=student, max_input=max_input, max_target=max_target, gates=gates,
            rationales=rationales, per_question=per_question, choose=choose, usefulness_model=usefulness_model,
            sample=sample or None, allowed=allow or (), must_measure=strict, trust_remote_code=trust_remote_code,
            on_event=on_event,
        )  # fmt: skip
    show_audit(session.console, found)
    session.console.result(found.as_json())
    place = "--dataset", found.surveys[0].dataset
    session.console.next(f"{command_text('inspect', 'QUESTION', *place)}, or {command_text('distill', *place)}")
    if strict and found.errors:
        raise typer.Exit(1)
