"""`tinyllm prune`: free disk space without losing results."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Yes
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import confirmed, show_pruning


@guarded
def prune(
    keep: Annotated[
        Literal["best"],
        typer.Option(help="Whose weights stay. best: of runs that differ only in the seed, the best on valid."),
    ] = "best",
    yes: Yes = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Delete the weights of finished runs, except the best ones. Records, metrics and model cards stay.

    A run without weights can't be evaluated or exported any more; the same distill command trains it again.

    Example: tinyllm prune --keep best
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        found = api.prune(
            project,
            confirm=lambda pruning: confirmed(session.console, lambda: show_pruning(session.console, pruning), yes=yes),
        )
    session.console.say("Deleted." if found.deleted else "Nothing was deleted.")
    session.console.result(found)
    session.console.next("tinyllm list runs")
