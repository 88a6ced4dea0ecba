"""`tinyllm info`: versions, devices and paths of this installation."""

from __future__ import annotations

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.info import show_info


@guarded
def info(
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show versions, devices and paths for a bug report; of environment variables only the names, so no keys.

    Example: tinyllm info --json
    """
    console = Console(json=json, quiet=quiet)
    found = api.info(db=db, config=config)
    show_info(console, found)
    console.result(found)
