"""Who may do what: requests of other hosts are refused, writes need the token of this start, and no page may load or
send anything elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from html import escape
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WRITES = "tinyllm_writes"
"""Key of the scope: whether the request carries the token."""

CSRF = "tinyllm_csrf"
"""Key of the scope: what a change on the app's own pages must send as the header X-CSRF; empty without the token."""

_HOSTS = ("127.0.0.1", "localhost", "::1")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self'{styles}; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_POLICY = _POLICY.format(scripts="", styles="")
"""Content-Security-Policy of the app's own pages: no inline script, no inline style, nothing from elsewhere."""


class Access:
    """ASGI middleware around the whole app. `cookie` is the name of the cookie that carries the token."""

    def __init__(self, app: App, *, token: str, cookie: str, inline_scripts: Iterable[str] = ()) -> None:
        self._app, self._token, self._cookie = app, token, cookie
        # Not Datasette's own: its cookie has one name for all ports, so that two apps would replace each other's.
        self._csrf = hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
        hashes = "".join(f" '{_hash(script)}'" for script in inline_scripts)
        self._policy = _POLICY.format(scripts=hashes, styles=" 'unsafe-inline'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = self._refused(scope, headers) or self._entered(scope)
        if answer is not None:
            await _send(send, *answer, policy=self._policy)
            return
        writes = self._has_token(headers)
        carried = {**scope, WRITES: writes, CSRF: self._csrf if writes else ""}
        await self._app(carried, receive, self._guarded(send))

    def _refused(self, scope: Scope, headers: dict[str, str]) -> _Answer | None:
        if _hostname(headers.get("host", "")) not in _HOSTS:  # another name that was pointed here: DNS rebinding
            return 421, "text/plain; charset=utf-8", "This server answers for 127.0.0.1 and localhost alone.", ()
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers["host"]:
            return _error("This request comes from another page.")
        if not self._has_token(headers):
            return _error("Changes need the token of this start: open the address that tinyllm view printed.")
        if own_write(scope) and not hmac.compare_digest(headers.get("x-csrf", "").encode(), self._csrf.encode()):
            return _error("The CSRF token is missing or wrong: reload the page.")
        return None

    def _entered(self, scope: Scope) -> _Answer | None:
        """Where the address carries the token, it becomes a cookie. The page reloads itself: a redirect of a link from
        elsewhere would not bring the strict cookie along."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is None or scope["method"] != "GET" or not _own_path(scope["path"]):
            return None
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _error("This is the address of an earlier start: open the one that tinyllm view printed.")
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        target = scope["path"] + (f"?{rest}" if rest else "")
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>tinyllm</title>'
            f'<meta http-equiv="refresh" content="0; url={escape(target)}">'
        )
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        return 200, "text/html; charset=utf-8", page, ((b"set-cookie", cookie.encode()),)

    def _has_token(self, headers: dict[str, str]) -> bool:
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        given = cookies.get(self._cookie)
        return given is not None and hmac.compare_digest(given.value.encode(), self._token.encode())

    def _guarded(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message.get("headers", [])}
                added = {"content-security-policy": self._policy, **_HEADERS}
                extra = [(name.encode(), value.encode()) for name, value in added.items() if name.encode() not in known]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        return guarded


def own_write(scope: Scope) -> bool:
    """Whether a request is a change on one of the app's own pages, for which the header X-CSRF is checked here; for the
    others Datasette checks its own token."""
    return bool(scope["path"] == "/review/verdict")


_Answer = tuple[int, str, str, tuple[tuple[bytes, bytes], ...]]
"""Status, content type, text, further headers."""


def _error(message: str) -> _Answer:
    return 403, "application/json", json.dumps({"error": message}), ()


async def _send(
    send: Send, status: int, kind: str, text: str, headers: tuple[tuple[bytes, bytes], ...], *, policy: str
) -> None:
    fixed = {"content-type": kind, "cache-control": "no-store", "content-security-policy": policy, **_HEADERS}
    pairs = [(name.encode(), value.encode()) for name, value in fixed.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*pairs, *headers]})
    await send({"type": "http.response.body", "body": text.encode()})


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _own_path(path: str) -> bool:
    """Whether a redirect to the path stays here: `//host` would not."""
    return path.startswith("/") and not path.startswith("//")


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def inline_scripts(templates: Path) -> list[str]:
    """The inline scripts of Datasette's own templates, which its pages may run: those without a placeholder, and the
    one whose only placeholder is a truth value."""
    found = {script for path in sorted(templates.glob("*.html")) for script in _INLINE.findall(path.read_text("utf-8"))}
    fixed = {script for script in found if "{{" not in script and "{%" not in script}
    flags = {script for script in found if script.count("{{") == 1 and "datasette_allow_facet" in script}
    values = [re.sub(r"\{\{.*?\}\}", value, script) for script in flags for value in ("true", "false")]
    return sorted([*fixed, *values])
