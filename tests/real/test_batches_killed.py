"""Batches and processes that end: the next one knows what lies at the endpoint, and pays nothing twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.batch_endpoint import BATCH, KEY, ORDINARY, BatchServer, configure, serving_batches, settled
from tests.conftest import Command, environment
from tests.files import rows
from tests.real.test_kill import peak

pytestmark = pytest.mark.real


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tinyllm_cli", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment(OPENAI_API_KEY=KEY), stdout=pipe, stderr=pipe, text=True
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def wait_until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def asked_once(server: BatchServer, wanted: int) -> None:
    """Each request stands in one batch that the endpoint took, or was asked in the ordinary way."""
    found = Counter(request["body"]["messages"][-1]["content"] for request in server.requests())
    found.update(body["messages"][-1]["content"] for body in server.asked)
    assert len(found) == wanted
    assert set(found.values()) == {1}


def finish(tinyllm: Command, folder: Path, wanted: int) -> str:
    done = tinyllm(*BATCH, OPENAI_API_KEY=KEY)
    print(done.stdout, done.stderr)  # shown when what follows fails
    assert done.returncode == 0
    settled(folder, wanted)
    return done.stdout + done.stderr


def test_a_kill_while_the_file_is_uploaded_frees_the_questions(tinyllm: Command, tmp_path: Path) -> None:
    reached, go = threading.Event(), threading.Event()

    def slow(method: str, path: str) -> int | None:
        if f"{method} {path}" == "POST /files" and not go.is_set():
            reached.set()
            go.wait(60)
            return 500
        return None

    with serving_batches(trouble=slow) as server:
        configure(tmp_path, server.url, questions=20)
        process = start(tmp_path, *BATCH)
        wait_until(reached.is_set, process)
        kill(process)
        go.set()
        finish(tinyllm, tmp_path, 20)
        asked_once(server, 20)
    assert rows(tmp_path, "SELECT error FROM batches ORDER BY number") == [("killed before it was submitted",), (None,)]


@pytest.mark.parametrize("moment", ["arriving", "registered"])
def test_a_kill_while_a_batch_is_created_finds_it_again(tinyllm: Command, tmp_path: Path, moment: str) -> None:
    reached, go = threading.Event(), threading.Event()

    def gate() -> None:
        reached.set()
        go.wait(60)

    with serving_batches(**{moment: gate}) as server:
        configure(tmp_path, server.url, questions=20)
        process = start(tmp_path, *BATCH)
        wait_until(reached.is_set, process)
        kill(process)
        assert rows(tmp_path, "SELECT id, state FROM batches") == [(None, "submitting")]
        if moment == "arriving":
            early = tinyllm(*BATCH, "--no-wait", OPENAI_API_KEY=KEY)
            assert "it may still appear at the endpoint" in early.stderr
            assert "20 are pending in batches" in early.stdout
        go.set()
        finish(tinyllm, tmp_path, 20)
        asked_once(server, 20)
    assert rows(tmp_path, "SELECT state, requests FROM batches") == [("completed", 20)]


def test_kills_at_any_moment_lose_nothing_and_pay_nothing_twice(tinyllm: Command, tmp_path: Path) -> None:
    moments = random.Random()

    def slowly(_method: str, _path: str) -> None:
        time.sleep(moments.uniform(0, 0.05))

    def between() -> None:
        time.sleep(moments.uniform(0, 0.1))

    with serving_batches(trouble=slowly, arriving=between, registered=between) as server:
        configure(tmp_path, server.url, questions=200, batch_requests=25)
        for attempt in range(8):
            server.held = attempt < 4
            calls = len(server.calls)
            process = start(tmp_path, *BATCH)
            while len(server.calls) == calls and process.poll() is None:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.6))
            process.kill()
            _, error = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), error
        finish(tinyllm, tmp_path, 200)
        asked_once(server, 200)


def test_a_kill_while_results_are_stored_keeps_what_is_stored(tinyllm: Command, tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=3000)
        process = start(tmp_path, *BATCH)

        def some() -> bool:
            return (
                (tmp_path / "tinyllm.db").exists() and server.calls[-1:] != [] and server.calls[-1].endswith("content")
            )

        wait_until(some, process)
        while not (kept := rows(tmp_path, "SELECT count(*) FROM rationales")[0][0]):
            assert process.poll() is None
        kill(process)
        assert 0 < kept < 3000
        said = finish(tinyllm, tmp_path, 3000)
        assert "arrived twice" not in said
        asked_once(server, 3000)


def test_processes_at_the_same_time_share_the_questions(tmp_path: Path) -> None:
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=600, batch_requests=150)
        processes = [start(tmp_path, *BATCH), start(tmp_path, *BATCH), start(tmp_path, *ORDINARY)]
        for process in processes:
            out, error = process.communicate(timeout=120)
            assert process.returncode == 0, out + error
        asked_once(server, 600)
    settled(tmp_path, 600)


def test_ctrl_c_while_waiting_says_how_to_continue(tinyllm: Command, tmp_path: Path) -> None:
    with serving_batches(held=True) as server:
        configure(tmp_path, server.url, questions=20)
        process = start(tmp_path, *BATCH)
        wait_until(lambda: any(call.startswith("GET /batches/") for call in server.calls), process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        assert "Stopped: 1 batch (20 requests) remain at the endpoint; what was collected is stored." in error
        assert "Run the same command to continue." in error
        assert "Traceback" not in error
        server.held = False
        assert "20 new rationales" in finish(tinyllm, tmp_path, 20)
        asked_once(server, 20)


def test_memory_does_not_grow_with_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving_batches() as server:
        configure(tmp_path, server.url, questions=1_000)
        small = peak(tmp_path, *BATCH, "--db", "small.db")
        configure(tmp_path, server.url, questions=15_000)
        large = peak(tmp_path, *BATCH, "--db", "large.db")
    assert large - small < 10 * 1024
