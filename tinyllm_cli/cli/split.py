"""`tinyllm split`: databases for machines that elicit on their own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import size


@guarded
def split(
    shards: Annotated[int, typer.Option(min=2, max=1000, help="How many.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write into.", show_default="tinyllm-shards, beside the database")
    ] = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Split the questions among databases for machines without a network. This database stays as it is.

    `tinyllm elicit` in a shard asks about its share of the questions, with the same prompts as here. A shard has all
    data sets, and the rationales and verdicts of its share; runs and results stay here. `tinyllm merge` brings the
    shards back: nothing is lost and nothing is asked twice.

    Example: tinyllm split --shards 8
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        done = api.split(project, shards, out)
    for one in done.shards:
        session.console.say(f"{one.path}: {one.questions} questions, {one.rationales} rationales, {size(one.bytes)}.")
    session.console.result(done)
    paths = [one.path for one in done.shards]
    session.console.next(f"tinyllm elicit in each, then tinyllm merge {shlex.quote(str(Path(paths[0]).parent))}/*.db")
