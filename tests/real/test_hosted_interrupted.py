"""A run against a hosted teacher that is put to sleep, stopped or killed: no reply is lost, none is paid for twice."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Command, start, write_dataset, write_host
from tests.endpoint import Answer, Endpoint, serving

pytestmark = pytest.mark.real
QUESTIONS, IN_FLIGHT, TIMEOUT = 60, 8, 3.0
ELICIT = ("elicit", "-t", "host", "-d", "toy", "--icl", "0")


def configure(folder: Path, url: str) -> None:
    write_dataset(folder / "toy", train=QUESTIONS)
    write_host(folder, url, max_in_flight=IN_FLIGHT, timeout=TIMEOUT)


def begin(folder: Path, endpoint: Endpoint, after: int) -> subprocess.Popen[str]:
    """Start the command, and return when the server has seen so many more questions."""
    seen = len(endpoint.bodies)
    process = start(folder, *ELICIT)
    while len(endpoint.bodies) < seen + after:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


def rows(folder: Path) -> Counter[str]:
    """How many rationales each question has."""
    with closing(sqlite3.connect(folder / "tinyllm.db")) as db:
        return Counter(question for (question,) in db.execute("SELECT question FROM rationales"))


def complete(folder: Path) -> bool:
    found = rows(folder)
    return len(found) == QUESTIONS and set(found.values()) == {1}


def test_a_process_that_sleeps_longer_than_the_time_out_loses_no_reply_and_asks_nothing_twice(tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer(delay=0.2)) as endpoint:
        configure(tmp_path, endpoint.url)
        process = begin(tmp_path, endpoint, after=2 * IN_FLIGHT)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5 * TIMEOUT)
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert f"{QUESTIONS} new rationales" in out
    assert set(Counter(endpoint.asked()).values()) == {1}
    assert len(endpoint.bodies) == QUESTIONS
    assert complete(tmp_path)


def test_ctrl_c_keeps_what_was_answered_and_the_same_command_continues(tinyllm: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer(delay=0.1)) as endpoint:
        configure(tmp_path, endpoint.url)
        process = begin(tmp_path, endpoint, after=3 * IN_FLIGHT)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        kept = rows(tmp_path).total()
        asked = len(endpoint.bodies)
        assert process.returncode == 130, out + error
        assert f"Stopped: {kept} rationales of host are stored" in error
        assert not any(noise in error for noise in ("Traceback", "never retrieved", "was destroyed", "Unclosed"))
        assert 0 < asked - kept <= IN_FLIGHT, "only what was in flight is lost"
        summary = json.loads(tinyllm(*ELICIT, "--json").stdout)["teachers"][0]
    assert (summary["already"], summary["new"]) == (kept, QUESTIONS - kept)
    assert len(endpoint.bodies) == asked + QUESTIONS - kept
    assert complete(tmp_path)


def test_kills_lose_only_what_was_in_flight(tinyllm: Command, tmp_path: Path) -> None:
    with serving(lambda _n, _b: Answer(delay=0.1)) as endpoint:
        configure(tmp_path, endpoint.url)
        for kill in range(1, 4):
            process = begin(tmp_path, endpoint, after=IN_FLIGHT + 3)
            process.kill()
            process.communicate()
            assert len(endpoint.bodies) - rows(tmp_path).total() <= kill * IN_FLIGHT
        assert tinyllm(*ELICIT).returncode == 0
    assert complete(tmp_path)
    assert len(set(endpoint.asked())) == QUESTIONS
    assert len(endpoint.bodies) <= QUESTIONS + 3 * IN_FLIGHT
