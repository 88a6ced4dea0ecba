"""`tinyllm check`: is the database sound, and are its run folders there?"""

from __future__ import annotations

from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console


@guarded
def check(
    quick: Annotated[bool, typer.Option("--quick", help="Do not compare indexes with their tables.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check the database file, references between rows, and run folders: missing ones, and those without a run.

    The exit code is 1 if something is wrong.

    Example: tinyllm check
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        found = api.check(project, quick=quick)
    for one in found.problems:
        session.console.warn(one.text, one.hint)
    session.console.result(found)
    if found.problems:
        raise typer.Exit(1)
    session.console.say(f"{found.database}: no problem found, {found.runs} runs.")
