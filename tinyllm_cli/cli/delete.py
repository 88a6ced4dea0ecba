"""`tinyllm delete`: remove data sets, teachers or runs with all that depends on them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Yes
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import confirmed, show_removal


@guarded
def delete(
    kind: Annotated[
        Literal["dataset", "teacher", "run", "failed-runs"],
        typer.Argument(help="dataset, teacher, run or failed-runs.", show_default=False),
    ],
    names: Annotated[
        list[str] | None, typer.Argument(help="Names in full, or numbers of runs.", show_default=False)
    ] = None,
    yes: Yes = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Delete data sets, teachers or runs with everything that depends on them.

    It shows what would be deleted and asks. A data set takes its rationales, runs, run folders and evaluations with it,
    except questions of other data sets; a teacher its rationales; a run its folder and evaluations. A folder that is
    not provably a run's own stays. It refuses while another process uses some of it.

    Example: tinyllm delete run 3 4, or: tinyllm delete failed-runs
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project:
        found = api.delete(
            project, kind, names or [],
            confirm=lambda removal: confirmed(session.console, lambda: show_removal(session.console, removal), yes=yes),
        )  # fmt: skip
    session.console.say("Deleted." if found.deleted else "Nothing was deleted.")
    session.console.result(found)
    session.console.next("tinyllm list")
