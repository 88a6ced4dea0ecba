"""The Datasette plugin: the routes of the pages, the middleware around the app, and labels for tables."""

from __future__ import annotations

import json
import re
import sqlite3
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tinyllm_cli.api import Project
from tinyllm_cli.errors import TinyLLMError, UsageProblem
from tinyllm_cli.view import render
from tinyllm_cli.view.access import CSRF, PAGE_POLICY, WRITES, Access, inline_scripts, own_write
from tinyllm_cli.view.page import Html, Json, PageRequest, Reply
from tinyllm_cli.view.pages import PAGES, SLOW
from tinyllm_cli.view.workers import Workers

_TAG = re.compile(r"<[^>]*>")
_MOST_BYTES = 1 << 20
"""Of a request's body."""

DATABASE = "store"
"""The database's name in Datasette's addresses, whatever the file is called."""


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """What the app serves. `token` is that of this start; `reviewer` is proposed on the review page."""

    db: Path
    config: Path | None
    token: str
    cookie: str
    reviewer: str
    labels: Mapping[str, Any]


class Plugin:
    """The hooks. `quick` threads answer most pages, the `slow` ones those that may take seconds."""

    __name__ = "tinyllm-view"

    def __init__(self, settings: ViewSettings) -> None:
        self._settings = settings
        self._quick = Workers(settings.db, settings.config, 4)
        self._slow = Workers(settings.db, settings.config, 3)

    def register_routes(self) -> list[tuple[str, Any]]:
        """The pages before Datasette's own, so that `/` is ours."""
        pages = [
            (rf"^{path}$", partial(_serve, page, self._slow if path in SLOW else self._quick, self._settings))
            for path, page in PAGES.items()
        ]
        return [*pages, (r"^/-/view/(?P<name>[\w.-]+)$", _file)]

    def skip_csrf(self, scope: Any) -> bool:
        """Of the app's own changes `access` checks the token."""
        return own_write(scope)

    def asgi_wrapper(self) -> Callable[[Any], Access]:
        """The middleware."""
        from datasette.app import app_root

        scripts = inline_scripts(Path(app_root) / "datasette" / "templates")
        return lambda app: Access(app, token=self._settings.token, cookie=self._settings.cookie, inline_scripts=scripts)

    def menu_links(self) -> list[dict[str, str]]:
        """The way from Datasette's pages back to ours."""
        return [{"href": path, "label": title} for path, title in render.MENU[:-1]]

    def handle_exception(self, request: Any, exception: Exception) -> Any:
        """An error page of ours. Datasette's own prints each error with all local variables, also a wrong address."""
        from datasette.utils.asgi import Response

        status = int(getattr(exception, "status", 500))
        if status >= 500:
            traceback.print_exception(exception)
        message = " ".join(_TAG.sub(" ", str(getattr(exception, "message", exception))).split())
        message = message if status < 500 else "Something unexpected happened."
        if request.path.endswith(".json"):
            return Response.json({"ok": False, "error": message, "status": status}, status=status)
        problem = UsageProblem(message, "The server's terminal shows more." if status >= 500 else "")
        page = Html(template="problem.html.j2", title="Problem", values={"problem": problem}, status=status)
        asked = PageRequest(path=request.path, args={}, writes=False)
        return Response.html(render.html(page, asked, self._settings.db.name, ""), status=status)

    def close(self) -> None:
        """Wait for what is being answered."""
        self._quick.close()
        self._slow.close()


def register(settings: ViewSettings) -> Plugin:
    """The plugin, known to Datasette."""
    from datasette import hookimpl
    from datasette.plugins import pm

    for hook in (
        Plugin.register_routes, Plugin.skip_csrf, Plugin.asgi_wrapper, Plugin.menu_links, Plugin.handle_exception
    ):  # fmt: skip
        hookimpl(hook)
    made = Plugin(settings)
    pm.unregister(name="datasette.handle_exception")
    pm.register(made, Plugin.__name__)
    return made


async def _serve(
    page: Callable[[Project, PageRequest], Reply], workers: Workers, settings: ViewSettings, request: Any
) -> Any:
    from datasette.utils.asgi import Response

    try:
        asked = PageRequest(
            path=request.path, args=PageRequest.args_of(request.query_string), writes=request.scope[WRITES],
            csrf=request.scope[CSRF], body=await _body(request),
        )  # fmt: skip
    except ValueError as error:
        return Response(str(error), status=400, content_type="text/plain; charset=utf-8")

    def work(project: Project) -> tuple[str, int, str]:
        reply = _replied(page, project, asked)
        if isinstance(reply, Html):
            text = render.html(reply, asked, project.store.path.name, settings.reviewer)
            return text, reply.status, "text/html; charset=utf-8"
        assert isinstance(reply, Json)
        value = asdict(reply.value) if is_dataclass(reply.value) and not isinstance(reply.value, type) else reply.value
        return json.dumps(value, ensure_ascii=False), reply.status, "application/json; charset=utf-8"

    text, status, kind = await workers.run(work)
    headers = {"content-security-policy": PAGE_POLICY, "cache-control": "no-store"}
    return Response(text, status=status, content_type=kind, headers=headers)


def _replied(page: Callable[[Project, PageRequest], Reply], project: Project, asked: PageRequest) -> Reply:
    """The page's reply, or what went wrong in words."""
    from tinyllm_cli.store import explain

    try:
        return page(project, asked)
    except sqlite3.Error as error:
        problem: TinyLLMError = explain(error, project.store.path)
    except TinyLLMError as error:
        problem = error
    status = 400 if isinstance(problem, UsageProblem) else 503
    if asked.body or asked.path.endswith(".json"):
        return Json(value={"error": str(problem), "hint": problem.hint}, status=status)
    return Html(template="problem.html.j2", title="Problem", values={"problem": problem}, status=status)


async def _body(request: Any) -> dict[str, Any]:
    """The JSON object of a POST, empty otherwise.

    Raises ValueError for other content."""
    if request.method != "POST":
        return {}
    content, more = b"", True
    while more:
        message = await request.receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if len(content) > _MOST_BYTES:
            raise ValueError("The request is too large.")
    value = json.loads(content or b"{}")
    if not isinstance(value, dict):
        raise ValueError("The request is no JSON object.")
    return value


async def _file(request: Any) -> Any:
    from datasette.utils.asgi import NotFound, Response

    found = render.file(request.url_vars["name"])
    if found is None:
        raise NotFound("There is no such file.")
    return Response(found.text, content_type=found.kind, headers={"cache-control": "no-cache"})
