"""Who may do what with `tinyllm view`: other hosts, writes without the token, foreign pages; what pages may load."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.view.app import IMAGE, App
from tinyllm_cli.store import open_store

pytest.importorskip("datasette", reason="the extra view is not installed")


def cookie(app: App) -> str:
    status, headers, text = app.get(f"/review?token={app.token}")
    assert status == 200
    assert 'content="0; url=/review"' in text
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    return headers["set-cookie"].split(";")[0]


def csrf(app: App) -> str:
    _, _, text = app.get("/review", cookie=cookie(app))
    return text.split('name="csrf" content="')[1].split('"')[0]


def verdict(app: App, **changes: object) -> dict[str, object]:
    """The body of a valid verdict on the next rationale, with changes."""
    status, _, text = app.get("/review/queue.json?reviewer=ann")
    assert status == 200
    import json

    item = json.loads(text)["items"][0]
    _, _, page = app.get("/review")
    store = page.split('data-store="')[1].split('"')[0]
    body = {"store": store, "entry": "one", "verdict": "reject", "words": "wrong", "rationale": item["rationale"],
            "check": item["check"], "reviewer": "ann", "age": 0}  # fmt: skip
    return {**body, **changes}


def stored(folder: Path) -> int:
    with open_store(folder / "tinyllm.db") as store:
        return sum(map(len, store.human_verdicts.everything()))


def test_it_listens_on_loopback_alone(app: App) -> None:
    with socket.socket() as outside:
        outside.settimeout(2)
        own = socket.gethostbyname(socket.gethostname())
        if own.startswith("127."):
            own = "127.0.0.2"
        assert outside.connect_ex((own, app.port)) != 0


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::", "tinyllm.local:80"])
def test_other_host_names_are_refused(app: App, host: str) -> None:
    status, _, text = app.get("/", host=host)
    assert status == 421
    assert "toy" not in text
    for own in (f"localhost:{app.port}", "127.0.0.1:9999", "[::1]:9999"):  # a forwarded port has another number
        assert app.get("/", host=own)[0] == 200


def test_a_write_needs_token_csrf_token_and_the_own_page(app: App, folder: Path) -> None:
    body, path = verdict(app), "/review/verdict"
    token, secret = cookie(app), csrf(app)
    before = stored(folder)
    for headers in (
        {},
        {"x-csrf": secret},
        {"cookie": token},
        {"cookie": token, "x-csrf": "wrong"},
        {"cookie": f"tinyllm_view_{app.port}=wrong", "x-csrf": secret},
        {"cookie": token, "x-csrf": secret, "origin": "http://evil.example"},
        {"cookie": token, "x-csrf": secret, "origin": "null"},
    ):
        status, _, text = app.ask("POST", path, body, headers)
        assert status == 403, headers
        assert '"error"' in text
    assert stored(folder) == before
    headers = {"cookie": token, "x-csrf": secret, "origin": app.base}
    assert app.ask("POST", path, body, headers)[0] == 200
    assert stored(folder) == before + 1
    assert app.ask("POST", path, body, headers)[0] == 200, "sent again, since the reply was lost"
    assert stored(folder) == before + 1


def test_writes_to_pages_of_datasette_are_refused_as_well(app: App) -> None:
    for path in ("/-/messages", "/-/logout", "/store", "/-/permissions"):
        assert app.ask("POST", path, {}, {})[0] == 403
        assert app.ask("POST", path, {}, {"cookie": cookie(app)})[0] in (403, 405)


def test_a_wrong_token_opens_nothing(app: App) -> None:
    status, headers, text = app.get("/?token=wrong")
    assert (status, "set-cookie" in headers) == (403, False)
    assert "earlier start" in text


@pytest.mark.parametrize("changes", [
    {"store": "other"}, {"rationale": "1"}, {"rationale": 99_999}, {"verdict": "delete"}, {"check": "0"},
    {"reviewer": "a/b"}, {"reviewer": ""}, {"words": None}, {"words": " "}, {"words": 3}, {"age": "x"},
])  # fmt: skip
def test_a_wrong_verdict_is_refused_with_a_reason(app: App, folder: Path, changes: dict[str, object]) -> None:
    before = stored(folder)
    headers = {"cookie": cookie(app), "x-csrf": csrf(app)}
    status, _, text = app.ask("POST", "/review/verdict", verdict(app, **changes), headers)
    assert status == 400
    assert '"error"' in text
    assert stored(folder) == before


def test_a_body_that_is_too_large_or_no_object_is_refused(app: App) -> None:
    headers = {"cookie": cookie(app), "x-csrf": csrf(app)}
    assert app.ask("POST", "/review/verdict", ["x"], headers)[0] == 400
    assert app.ask("POST", "/review/verdict", {"words": "x" * 2_000_000}, headers)[0] == 400


PAGES = ("/", "/questions", "/question?in=toy&of=train&id=train-1", "/review", "/review/agreement", "/runs",
         "/runs/compare?run=1&run=2", "/data", "/teachers", "/report")  # fmt: skip


@pytest.mark.parametrize("path", [*PAGES, "/store", "/store/rationales_readable", "/-/view/view.js", "/questions?run=x",
                                  "/runs/compare?run=99", "/question"])  # fmt: skip
def test_every_reply_has_a_policy_that_lets_nothing_out(app: App, path: str) -> None:
    status, headers, _ = app.get(path)
    assert status in (200, 400)
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == policy["form-action"] == "'self'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


@pytest.mark.parametrize("path", PAGES)
def test_what_teachers_wrote_is_escaped(app: App, path: str) -> None:
    status, headers, text = app.get(path)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in text
    assert IMAGE not in text


def test_tables_come_as_csv_and_json_with_labels(app: App) -> None:
    _, headers, text = app.get("/store/rationales_readable.csv?_size=max")
    assert headers["content-type"].startswith("text/plain")
    assert text.splitlines()[0].startswith("id,dataset,split,key,question")
    assert len(text.splitlines()) >= 25
    status, headers, _ = app.get("/store/runs.json?_shape=array")
    assert (status, headers["content-type"].split(";")[0]) == (200, "application/json")
    assert "what a student learns" in app.get("/store/human_verdicts")[2]
    assert app.get("/store?sql=delete+from+runs")[0] == 400
    assert app.get("/tinyllm.db")[0] == 404


def test_problems_are_a_sentence(app: App) -> None:
    status, _, text = app.get("/runs/compare?run=99")
    assert (status, "There is no run 99." in text) == (400, True)
    status, _, text = app.get("/questions.json?gate=nope")
    assert (status, "There is no gate" in text) == (400, True)
    for path in ("/nope", "/store/nope", "/store?sql=select+*+from+nope"):
        status, _, text = app.get(path)
        assert status in (400, 404)
        assert "<h1" in text
    assert app.get("/store/nope.json")[2].startswith('{"ok": false')
    assert app.get("/-/view/nope.css")[0] == 404
    assert app.get("/-/view/..%2fpages.py")[0] in (302, 404)


def test_without_the_extra_the_command_says_what_to_install(inside: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasette", None)
    done = inside("view", "--no-open")
    assert done.returncode == 2
    assert "pip install 'tinyllm-cli[view]'" in done.stderr


def test_a_port_that_is_taken_is_a_sentence(inside: Command, app: App, folder: Path) -> None:
    done = inside("view", "--no-open", "--port", str(app.port), "--db", folder / "tinyllm.db")
    assert done.returncode == 1
    assert f"Port {app.port} can't be used" in done.stderr
