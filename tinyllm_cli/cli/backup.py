"""`tinyllm backup`: a consistent copy of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import size


@guarded
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing file.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Copy the database to one file. The copy is consistent, even while other processes write, and the file appears
    when it is complete.

    The students are in the folder of runs beside the database, which you copy with any other tool.

    Example: tinyllm backup backups/monday.db
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        done = api.backup(project, file, replace=replace)
    session.console.say(f"{done.path}: {size(done.bytes)}.")
    if done.runs_folder is not None:
        session.console.note(f"The students are not part of it: {done.runs_folder}")
    session.console.result(done)
