"""`tinyllm compare`: runs side by side."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.completion import run_numbers
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.compare import show_comparison
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import UsageProblem, command_text


@guarded
def compare(
    runs: Annotated[list[int], typer.Argument(help="Numbers of two runs or more.", autocompletion=run_numbers)],
    questions: Annotated[int, typer.Option(min=0, help="How many differing questions to show.")] = 10,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare runs: the settings that differ, accuracies with paired tests, and questions with different outcomes.

    Example: tinyllm compare 3 7
    """
    if len(set(runs)) < 2:
        raise UsageProblem("A comparison takes two runs or more.", f"For example: {command_text('compare', 3, 7)}")
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        found = api.compare_runs(project, runs, questions=questions)
    show_comparison(session.console, found)
    session.console.result(found)
    if found.questions:
        first = found.questions[0]
        session.console.next(
            shlex.join(["tinyllm", "inspect", first.key, "--dataset", first.dataset, "--split", first.split])
        )
    elif not found.accuracies:
        session.console.next(f"tinyllm eval --run {found.runs[0].id}")
