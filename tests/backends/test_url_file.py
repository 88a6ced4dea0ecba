"""Endpoints that a file lists, and that join and leave during a run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import backends
from backends.base import Answer as Answered
from backends.base import BadTeacherConfig, Batching, Completion, Message, Request, Teacher, TeacherError
from backends.hosted.url_file import UrlFile
from tests.conftest import answers
from tests.endpoint import KEY, SAMPLING, Answer, Endpoint, ask, nowhere, serving, text_of

pytestmark = pytest.mark.usefixtures("key")


def good(_number: int, _body: object) -> Answer:
    return Answer()


def slowly(_number: int, _body: object) -> Answer:
    return Answer(delay=0.1)


def create(path: Path, **options: object) -> Teacher:
    return backends.create("openai", {"model": "m", "base_urls_file": str(path), **options})


def endless() -> Iterator[Request]:
    return (Request(split="train", key=str(n), messages=(Message(role="user", content="Why?"),)) for n in count())


def test_a_file_and_a_directory_are_read(tmp_path: Path) -> None:
    file = tmp_path / "servers.txt"
    file.write_text("# the first two\nhttp://a:1/v1/\n\n  http://b:2/v1\nhttp://a:1/v1\n")
    assert UrlFile(str(file)).read() == ["http://a:1/v1", "http://b:2/v1"]
    folder = tmp_path / "servers"
    folder.mkdir()
    assert UrlFile(str(folder)).read() == []
    (folder / "2").write_text("http://b:2/v1")
    (folder / "1").write_text("http://a:1/v1\n")
    (folder / ".3").write_text("half a li")
    assert UrlFile(str(folder)).read() == ["http://a:1/v1", "http://b:2/v1"]


@pytest.mark.parametrize("content", ["nonsense", "ftp://a/v1", "http://a:0/v1", "http://a/v1#part"])
def test_lines_are_checked_as_a_base_url_is(tmp_path: Path, content: str) -> None:
    file = tmp_path / "servers.txt"
    file.write_text(f"http://a:1/v1\n{content}\n")
    with pytest.raises(BadTeacherConfig):
        create(file)


def test_a_path_that_is_not_there_and_a_second_setting_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTeacherConfig, match="can't be read"):
        create(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(BadTeacherConfig, match="exclude each other"):
        create(tmp_path / "empty", base_url="http://a/v1")


def test_servers_join_and_leave_and_every_question_is_answered_once(tmp_path: Path) -> None:
    file = tmp_path / "servers.txt"
    with serving(slowly) as first, serving(slowly) as second:
        file.write_text(f"{first.url}\n")
        stream = create(file, max_in_flight=4).generate(endless(), SAMPLING)
        found: list[Answered] = []

        def until(condition: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < deadline
                found.extend(next(stream))

        def left(endpoint: Endpoint) -> bool:
            """Whether it still gets requests while the other answers twelve."""
            before, goal = len(endpoint.bodies), len(second.bodies) + 12
            until(lambda: len(second.bodies) > goal)
            return len(endpoint.bodies) > before

        until(lambda: len(first.bodies) > 8)
        assert not second.bodies
        file.write_text(f"{first.url}\n{second.url}\n")
        until(lambda: len(second.bodies) > 8)
        file.write_text(f"{second.url}\n")
        until(lambda: not left(first))
        after, goal = len(first.bodies), len(second.bodies) + 20
        until(lambda: len(second.bodies) > goal)
        assert len(first.bodies) == after
        stream.close()  # type: ignore[attr-defined]
    assert all(isinstance(outcome, Completion) for _, outcome in found)
    assert all(outcome.attempts == 1 for _, outcome in found if isinstance(outcome, Completion))
    assert len({request.key for request, _ in found}) == len(found)


def test_an_empty_file_waits_for_a_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    with serving(good) as endpoint:
        joining = threading.Timer(3.0, lambda: (folder / "job-1").write_text(endpoint.url))
        joining.start()
        with caplog.at_level(logging.WARNING):
            found = answers(create(folder), ask(5), SAMPLING)
        joining.join()
    assert {text_of(outcome) for _, outcome in found} == {"It follows."}
    assert "lists no endpoint: waiting for one" in caplog.text


def test_an_empty_file_ends_the_run_after_give_up_after(tmp_path: Path) -> None:
    (tmp_path / "servers").touch()
    with pytest.raises(TeacherError, match="has listed no endpoint for 1 seconds"):
        answers(create(tmp_path / "servers", give_up_after=1.0), ask(3), SAMPLING)


def test_a_server_that_joins_before_it_listens_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "servers.txt"
    with serving(good) as endpoint:
        file.write_text(f"{nowhere()}\n{endpoint.url}\n")
        assert len(answers(create(file), ask(20), SAMPLING)) == 20


def test_a_line_that_is_no_url_leaves_the_endpoints_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "servers.txt"
    with serving(slowly) as endpoint:
        file.write_text(endpoint.url)
        stream = create(file, max_in_flight=1).generate(ask(60), SAMPLING)
        found = list(next(stream))
        file.write_text("http://a:port/v1")
        with caplog.at_level(logging.WARNING):
            for some in stream:
                found.extend(some)
    assert len(found) == 60
    assert "stay as they were" in caplog.text


def test_an_address_outside_the_network_that_joins_is_not_used_without_a_price(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "servers.txt"
    with serving(slowly) as endpoint:
        file.write_text(endpoint.url)
        stream = create(file, max_in_flight=1).generate(ask(60), SAMPLING)
        found = list(next(stream))
        file.write_text(f"{endpoint.url}\nhttps://models.example.com/v1")
        with caplog.at_level(logging.WARNING):
            for some in stream:
                found.extend(some)
    assert all(isinstance(outcome, Completion) for _, outcome in found)
    assert "https://models.example.com/v1 is not used" in caplog.text


@pytest.mark.parametrize("named", [True, False])
def test_the_key_goes_to_listed_endpoints_only_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    file = tmp_path / "servers.txt"
    with serving(good) as endpoint:
        file.write_text(endpoint.url)
        answers(create(file, **({"api_key_env": "OPENAI_API_KEY"} if named else {})), ask(2), SAMPLING)
    assert (f"Bearer {KEY}" in endpoint.keys) is named


def test_the_file_is_no_part_of_the_identity_and_takes_no_batches(tmp_path: Path) -> None:
    (tmp_path / "servers").touch()
    teacher = create(tmp_path / "servers")
    assert teacher.identity() == backends.create("openai", {"model": "m", "base_url": "http://a/v1"}).identity()
    assert isinstance(teacher, Batching)
    with pytest.raises(BadTeacherConfig, match="stays"):
        teacher.batches()
