"""The key goes into the request's header and nowhere else, whatever is logged and whatever a server repeats."""

from __future__ import annotations

import html
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from backends.base import Completion, Failure, TeacherError
from tests.conftest import ROOT, Command, write_dataset, write_host
from tests.endpoint import KEY, Answer, Behaviour, Body, asked, completion, serving, text_of
from tinyllm_cli.store import open_store

HEADER = f"Bearer {KEY}"
QUOTES = {"error": {"message": f"What is Authorization: {HEADER}? And {KEY}{KEY}?", "code": KEY, "type": HEADER}}
QUOTING: dict[str, Answer] = {
    "an error": Answer(status=500, body=json.dumps(QUOTES)),
    "an error that is a list": Answer(status=500, body=json.dumps([{"error": HEADER}])),
    "an error in HTML": Answer(status=502, body=f"<html>{HEADER}</html>", kind="text/html"),
    "a busy one": Answer(status=429, body=json.dumps(QUOTES), headers={"Retry-After": "0.01"}),
    "no JSON": Answer(body=f"you sent {HEADER}"),
    "no choices": Answer(body=json.dumps({"choices": [], "seen": HEADER})),
    "headers": Answer(status=500, body="{}", headers={"X-Seen": HEADER, "Retry-After": KEY, "x-request-id": KEY}),
}
REFUSED = Answer(status=400, body=json.dumps(QUOTES))
SITE = """
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("asyncio").setLevel(logging.DEBUG)
"""


def hostile(last: Answer | None, after: int) -> Behaviour:
    """Quotes the key in every way; refuses a question, repeats the key in a reply; ends with `last`."""
    troubles = list(QUOTING.values())

    def behave(number: int, body: Body) -> Answer:
        if last is not None and number >= after:
            return last
        if number < len(troubles):
            return troubles[number]
        if "number 3 " in body["messages"][-1]["content"]:
            return REFUSED
        if "number 4 " in body["messages"][-1]["content"]:
            return Answer(body=completion(None, refusal=f"Not with {HEADER}."))
        return Answer(body=completion(f"You sent {HEADER}.", reasoning_content=f"The key is {KEY}."))

    return behave


def search(folder: Path, *outputs: str) -> list[str]:
    """Where the key is, apart from .env: among the files of `folder` and what was printed."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".env" and KEY.encode() in path.read_bytes():
            found.append(path.name)
    return found + [output for output in outputs if KEY in output]


def configure(folder: Path, url: str) -> None:
    write_dataset(folder / "toy", train=12)
    write_host(folder, url, timeout=5)
    (folder / ".env").write_text(f"OPENAI_API_KEY={KEY}\n", encoding="utf-8")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")


LOUD = {"OPENAI_LOG": "debug", "PYTHONASYNCIODEBUG": "1"}
NO_MONEY = {"error": {"message": HEADER, "code": "insufficient_quota"}}
ENDS: dict[str, tuple[Answer | None, int, bool]] = {
    "done": (None, 0, False),
    "done, logging everything": (None, 0, True),
    "refused, logging everything": (Answer(status=401, body=json.dumps(QUOTES)), 1, True),
    "no money": (Answer(status=429, body=json.dumps(NO_MONEY)), 1, False),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_leaves_the_key_nowhere(tinyllm: Command, tmp_path: Path, end: str) -> None:
    last, code, loud = ENDS[end]
    variables = {**LOUD, "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"} if loud else {}
    with serving(hostile(last, after=16)) as endpoint, open_store(tmp_path / "tinyllm.db"):  # it keeps the -wal there
        configure(tmp_path, endpoint.url)
        done = tinyllm("elicit", "-t", "host", "-d", "toy", "--icl", "0", "--debug", "--yes", **variables)
        report = tinyllm("report", "--json", "--html", "page.html")
        assert {"tinyllm.db", "tinyllm.db-wal", "page.html"} <= {path.name for path in tmp_path.iterdir()}
        assert search(tmp_path, done.stdout, done.stderr, report.stdout, report.stderr) == []
    assert done.returncode == code, done.stderr
    assert report.returncode == 0, report.stderr
    assert HEADER in endpoint.keys
    assert ("DEBUG" in done.stderr) is loud
    kept = json.loads(report.stdout)["teachers"][0]["rationales"]
    assert kept == 10 or (last is not None and kept < 10)
    assert search(tmp_path) == []


@pytest.mark.parametrize("trouble", QUOTING)
def test_what_is_kept_of_an_error_is_without_the_key(key: None, trouble: str) -> None:
    found, _ = asked(lambda number, _b: QUOTING[trouble] if number == 0 else Answer())
    reply = found["0"]
    assert isinstance(reply, Completion)
    assert reply.last_error
    assert KEY not in repr(reply)


def test_a_reply_that_repeats_the_key_is_kept_without_it(key: None) -> None:
    reasoning: dict[str, Any] = {"reasoning_content": f"The key is {KEY}."}
    reply = asked(lambda _n, _b: Answer(body=completion(f"You sent {KEY}!", **reasoning)))[0]["0"]
    assert isinstance(reply, Completion)
    assert (reply.text, reply.reasoning) == ("You sent ***!", "The key is ***.")


def test_a_refusal_that_repeats_the_key_is_kept_without_it(key: None) -> None:
    failure = asked(lambda _n, _b: Answer(body=completion(None, refusal=f"Not {KEY}")))[0]["0"]
    assert failure == Failure(reason="refused: Not ***", prompt_tokens=100, completion_tokens=10)
    failure = asked(lambda number, _b: REFUSED if number == 0 else Answer(), 2)[0]["0"]
    assert "***" in text_of(failure)
    assert KEY not in repr(failure)


def test_an_error_that_ends_the_run_carries_the_key_nowhere_in_its_chain(key: None) -> None:
    with pytest.raises(TeacherError) as caught:
        asked(lambda _n, _b: REFUSED, 20)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error!r} {getattr(error, 'hint', '')} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_nothing_is_logged_with_the_key(key: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for answer in QUOTING.values():
            asked(lambda number, _b, answer=answer: answer if number == 0 else Answer())
    assert caplog.records
    assert KEY not in html.unescape(caplog.text)
