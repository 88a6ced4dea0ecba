"""`tinyllm rename`: another name for a data set or a teacher."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console


@guarded
def rename(
    kind: Annotated[Literal["dataset", "teacher"], typer.Argument(help="dataset or teacher.", show_default=False)],
    old: Annotated[str, typer.Argument(help="Its name, in full.", show_default=False)],
    new: Annotated[str, typer.Argument(help="The new name.", show_default=False)],
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rename a data set or a teacher in everything that refers to it: questions, rationales, runs, evaluations, plans.

    Commands in the records stay as they were typed, and run folders keep their names.

    Example: tinyllm rename dataset questions quiz
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project, session.console.events() as on_event:
        done = api.rename(project, kind, old, new, on_event=on_event)
    session.console.say(f"{old} is now {new}: {done.rows} rows changed.")
    session.console.result(done)
    session.console.next(shlex.join(["tinyllm", "list", f"{kind}s"]))
