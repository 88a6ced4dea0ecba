"""Start the app: a socket on 127.0.0.1, Datasette with our plugin, and uvicorn until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyllm_cli import api
from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.view.plugin import DATABASE, ViewSettings, register

_HOST = "127.0.0.1"
_FACETS: dict[str, dict[str, Any]] = {
    "rationales_readable": {"facets": ["dataset", "split", "teacher", "verdict"], "size": 20},
    "results": {"facets": ["dataset", "split", "method", "scoring"], "sort_desc": "evaluation"},
}


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A started app. `url` carries the token of this start: whoever has it may review."""

    url: str
    port: int
    database: str


def serve(db: Path, config: Path | None, *, port: int, reviewer: str, started: Callable[[Serving], None]) -> None:
    """Serve the database until Ctrl-C; `started` is called when the app answers.

    Raises UsageProblem without the extra `view`, and WorldProblem when the port is taken."""
    if find_spec("datasette") is None:
        raise UsageProblem("tinyllm view needs Datasette.", "Install it: pip install 'tinyllm-cli[view]'")
    with api.open_store(db, config=config, create=False) as project:  # also migrates it, and makes its log's files
        _ = project.settings  # a mistake in them is reported now
        store = project.store
        path, place, read_only = store.path, store.place, store.read_only
        labels = {one.name: one for one in api.tables(project)}
    listening = _listen(port)
    number = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    tables = {
        name: {
            "description": one.meaning,
            "columns": {column.name: column.meaning for column in one.columns if column.meaning},
            **_FACETS.get(name, {}),
        }
        for name, one in labels.items()
    }
    settings = ViewSettings(
        db=place, config=config, token=token, cookie=f"tinyllm_view_{number}", reviewer=reviewer, labels=tables
    )
    serving = Serving(url=f"http://{_HOST}:{number}/?token={token}", port=number, database=str(path))
    with listening:
        _run(settings, listening, read_only, lambda: started(serving))


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError as error:
        listening.close()
        raise WorldProblem(
            f"Port {port} can't be used ({error.strerror}).", "Give another with --port; 0 takes any that is free."
        ) from error
    return listening


def _run(settings: ViewSettings, listening: socket.socket, read_only: bool, started: Callable[[], None]) -> None:
    import uvicorn

    plugin = register(settings)
    app = _app(settings, read_only)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    served = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2, server_header=False
    )
    try:
        Server(served).run(sockets=[listening])
    finally:
        plugin.close()


def _app(settings: ViewSettings, read_only: bool) -> Any:
    """Datasette with the registered plugin, as an ASGI app. It only ever reads: a file that can't be written is opened
    as one that does not change, since SQLite could not make its log's files."""
    from datasette.app import Datasette
    from datasette.database import Database

    title = "tinyllm"
    served = Datasette(
        [], settings={"allow_download": False, "num_sql_threads": 3, "sql_time_limit_ms": 2000},
        metadata={"title": title, "databases": {DATABASE: {"tables": dict(settings.labels)}}},
    )  # fmt: skip
    served.remove_database("_memory")
    served.add_database(Database(served, path=str(settings.db), is_mutable=not read_only), name=DATABASE)
    return served.app()
