"""`tinyllm view`: a web app on the live database, on this machine alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Reviewer
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    from tinyllm_cli.view.server import Serving


@guarded
def view(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0: any that is free.")] = 8484,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    reviewer: Reviewer = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the database in a browser while other commands work on it: what runs now, questions with their rationales,
    reviews, runs and the report. Needs the extra `view`. Ends with Ctrl-C.

    The app answers on 127.0.0.1 only. Reading needs no password; a review needs the address that is printed, which
    holds a token of this start.

    Example: tinyllm view, or on another machine: tinyllm view --no-open, and there ssh -L 8484:127.0.0.1:8484 HOST
    """
    from tinyllm_cli.view.server import serve

    session = Session(db, config, Console(json=json, quiet=quiet))

    def started(app: Serving) -> None:
        session.console.say(f"{app.database}: {app.url}")
        session.console.result(app)
        session.console.note("Ctrl-C ends it.")
        sys.stdout.flush()
        if open_browser:
            import webbrowser

            webbrowser.open(app.url)

    try:
        serve(db, config, port=port, reviewer=_reviewer(reviewer), started=started)
    except KeyboardInterrupt:  # how it ends
        session.console.note("Ended. Verdicts that a browser could not send are sent after the next start.")


def _reviewer(typed: str | None) -> str:
    """Who reviews, as the page proposes it; empty for a user without a name who gives none."""
    from tinyllm_cli.rationales.review import reviewer_name

    try:
        return reviewer_name(typed)
    except UsageProblem:
        if typed is not None:
            raise
        return ""
