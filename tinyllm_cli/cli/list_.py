"""`tinyllm list`: what the database holds, with rows and disk use, and what works on it now."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.activity import show_activity
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import show_inventory


@guarded
def list_contents(
    part: Annotated[
        Literal["datasets", "teachers", "runs", "plans", "activity"] | None,
        typer.Argument(
            help="Only these; activity: what runs now, with rates and time left, and what ended last.",
            show_default="all but activity",
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List data sets, teachers, runs and plans of experiments, with their rows and disk use; or what runs now.

    Example: tinyllm list runs, or while others work: tinyllm list activity
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        if part == "activity":
            running = api.activity(project)
            show_activity(session.console, running)
            session.console.result(running)
            session.console.next("tinyllm view")
            return
        found = api.inventory(project, part)
    show_inventory(session.console, found)
    session.console.result(found)
    session.console.next("tinyllm report")
