"""Several processes that ask one endpoint into one file: each question is asked, and paid, once."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import start, write_dataset, write_host
from tests.endpoint import Answer, Body, serving

pytestmark = pytest.mark.real
IN_FLIGHT = 8


@dataclass
class Together:
    """Answers slowly until `wanted` processes have come, so that each of them takes part, and swiftly then. Each asks
    under a name of its own, which its settings put into the body; the one called `slow` always has to wait, and the
    one called `broken` gets no answers."""

    wanted: int
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, _number: int, body: Body) -> Answer:
        self.seen.append((body["user"], body["messages"][-1]["content"]))
        if body["user"] == "broken":
            return Answer(status=400, body="{}")
        swift = body["user"] != "slow" and len(self.names) >= self.wanted
        return Answer(delay=0.02 if swift else 0.5)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.seen}

    @property
    def contents(self) -> Counter[str]:
        return Counter(content for _, content in self.seen)

    def of(self, name: str) -> set[str]:
        return {content for who, content in self.seen if who == name}


def elicit(folder: Path, url: str, name: str) -> subprocess.Popen[str]:
    """Start a process that asks under `name`."""
    (folder / name).mkdir(exist_ok=True)
    settings = folder / name / "tinyllm.toml"
    if not settings.exists():
        write_host(folder / name, url, max_in_flight=IN_FLIGHT)
        with settings.open("a", encoding="utf-8") as file:
            file.write(f'extra = {{ user = "{name}" }}\n')
    arguments = ("elicit", "-t", "host", "-d", "toy", "--icl", "0", "--config", str(settings))
    return start(folder, *arguments)


def finished(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, out + error
    return out


def wait_until(reached: Callable[[], bool], *processes: subprocess.Popen[str]) -> None:
    while not reached():
        for process in processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "tinyllm.db")) as db:
        return db.execute(query).fetchall()


def answered(folder: Path) -> set[str]:
    """The prompts that the file has replies to, as they were sent."""
    query = "SELECT json_extract(messages, '$[0][1]') FROM rationales r JOIN prompts p ON p.hash = r.prompt"
    return {str(row[0]) for row in rows(folder, query)}


def complete(folder: Path, questions: int) -> None:
    """Every question has its one reply, and nobody has anything in hand."""
    assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
    assert rows(folder, "SELECT count(*), count(DISTINCT question) FROM rationales") == [(questions, questions)]
    assert rows(folder, "SELECT * FROM claims") == []
    assert rows(folder, "SELECT * FROM elicitations WHERE state = 'running'") == []
    assert list(folder.glob("*.lock")) == []


@pytest.mark.parametrize(("names", "questions"), [("ab", 1000), ("abc", 180)])  # the second is less than a page
def test_processes_that_start_together_share_the_questions(tmp_path: Path, names: str, questions: int) -> None:
    write_dataset(tmp_path / "toy", train=questions)
    server = Together(len(names))
    with serving(server) as endpoint:
        for process in [elicit(tmp_path, endpoint.url, name) for name in names]:
            finished(process)
    assert server.names == set(names)
    assert set(server.contents.values()) == {1}
    assert len(server.contents) == questions
    complete(tmp_path, questions)
    states = rows(tmp_path, "SELECT state, replies > 0 FROM elicitations")
    assert states == [("done", 1)] * len(names)
    assert rows(tmp_path, "SELECT sum(replies), sum(calls) FROM elicitations") == [(questions, questions)]


def test_a_killed_ones_questions_are_left_to_the_next_run(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=600)
    server = Together(2)
    with serving(server) as endpoint:
        killed = elicit(tmp_path, endpoint.url, "slow")
        wait_until(lambda: bool(server.names), killed)
        other = elicit(tmp_path, endpoint.url, "other")
        wait_until(lambda: len(server.names) == 2 and len(server.of("slow")) > 2 * IN_FLIGHT, killed)
        killed.kill()
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        assert "are being asked by another process" in finished(other)
        assert [state for (state,) in rows(tmp_path, "SELECT state FROM elicitations")] == ["running", "done"]
        assert [path.name for path in tmp_path.glob("*.lock")] == ["tinyllm.db-1.lock"]
        before = answered(tmp_path)
        assert server.of("other") <= before
        lost = server.of("slow") - before
        assert len(lost) <= IN_FLIGHT
        out = finished(elicit(tmp_path, endpoint.url, "next"))
    assert f"{600 - len(before)} new rationales, {len(before)} already stored." in out
    assert len(server.contents) == 600
    assert {content for content, count in server.contents.items() if count > 1} == lost
    assert max(server.contents.values()) <= 2
    complete(tmp_path, 600)
    assert [state for (state,) in rows(tmp_path, "SELECT state FROM elicitations")] == ["killed", "done", "done"]


def test_ctrl_c_leaves_the_rest_to_the_others(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=600)
    server = Together(2)
    with serving(server) as endpoint:
        stopped = elicit(tmp_path, endpoint.url, "slow")
        wait_until(lambda: bool(server.names), stopped)
        other = elicit(tmp_path, endpoint.url, "other")
        wait_until(lambda: len(server.names) == 2 and len(server.of("slow")) > 2 * IN_FLIGHT, stopped)
        stopped.send_signal(signal.SIGINT)
        _, error = stopped.communicate(timeout=60)
        assert stopped.returncode == 130, error
        assert "Traceback" not in error, error
        assert rows(tmp_path, "SELECT * FROM claims WHERE elicitation = 1") == []
        assert not (tmp_path / "tinyllm.db-1.lock").exists()
        finished(other)
        finished(elicit(tmp_path, endpoint.url, "next"))
    twice = {content for content, count in server.contents.items() if count > 1}
    assert twice <= server.of("slow")  # in flight at Ctrl-C, and so free for the others at once
    assert len(twice) <= IN_FLIGHT
    assert max(server.contents.values()) <= 2
    complete(tmp_path, 600)
    assert [state for (state,) in rows(tmp_path, "SELECT state FROM elicitations")] == ["stopped", "done", "done"]


def test_what_fails_in_one_process_is_free_for_the_others(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=6)
    with serving(Together(1)) as endpoint:
        out, error = elicit(tmp_path, endpoint.url, "broken").communicate(timeout=60)
        assert "6 failed" in out, error
        assert rows(tmp_path, "SELECT * FROM claims") == []
        assert "6 new rationales" in finished(elicit(tmp_path, endpoint.url, "other"))
    complete(tmp_path, 6)
    assert rows(tmp_path, "SELECT * FROM failures") == []


def test_kills_at_any_moment_cost_no_more_than_what_was_in_flight(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=500)
    server, kills, moments = Together(0), 0, random.Random()
    with serving(server) as endpoint:
        for _ in range(3):
            pair = [elicit(tmp_path, endpoint.url, name) for name in ("a", "b")]
            goal = len(server.seen) + moments.randrange(1, 60)
            while len(server.seen) < goal and any(process.poll() is None for process in pair):
                time.sleep(0.002)
            victim, survivor = moments.sample(pair, 2)
            victim.kill()
            victim.communicate()
            kills += victim.returncode == -signal.SIGKILL
            if moments.random() < 0.5:
                survivor.kill()
            survivor.communicate(timeout=60)
            kills += survivor.returncode == -signal.SIGKILL
            assert survivor.returncode in (0, -signal.SIGKILL)
        finished(elicit(tmp_path, endpoint.url, "last"))
    assert len(server.contents) == 500
    assert len(server.seen) - 500 <= kills * IN_FLIGHT
    complete(tmp_path, 500)
