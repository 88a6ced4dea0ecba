"""`tinyllm merge`: bring databases together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.merge import show_merged


@guarded
def merge(
    others: Annotated[
        list[Path],
        typer.Argument(metavar="OTHER.db ...", help="Databases to merge into this one.", show_default=False),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what each file would bring to the database as it is.")
    ] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Merge other databases into this one, by content: what is identical is stored once. The files stay as they are.

    Runs get another number where theirs is taken, and their folders are copied. All human verdicts are kept; the latest
    counts. Each file is merged completely or not at all; merging it again changes nothing. A teacher of the same name
    with other settings, or another data set of the same name, is refused. The database is created if there is none.

    Example: tinyllm merge tinyllm-shards/*.db
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    show = partial(show_merged, session.console, trial=dry_run)
    with session.project(create=not dry_run) as project, session.console.events(show) as on_event:
        done = api.merge(project, others, dry_run=dry_run, on_event=on_event)
    if dry_run:
        session.console.note("Nothing was merged.")
    session.console.result(done)
    session.console.next("tinyllm list")
