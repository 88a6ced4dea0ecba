"""Ctrl-C in each command: exit code 130, a line that says what is kept, and the same command goes on."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from backends.base import Completion, Sampling
from tests.conftest import Command, environment, keep, make_questions, write_dataset
from tests.models import make_folder
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.store import open_store

pytestmark = pytest.mark.real


def has_rows(folder: Path, table: str) -> bool:
    with closing(sqlite3.connect(f"file:{folder / 'tinyllm.db'}?mode=ro", uri=True)) as connection:
        return bool(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def is_open(folder: Path) -> bool:
    """Whether a process has the database open."""
    return (folder / "tinyllm.db-shm").exists()


def is_writing(folder: Path) -> bool:
    """Whether a large transaction has begun to go to disk, none of it committed yet."""
    log = folder / "tinyllm.db-wal"
    return log.exists() and log.stat().st_size > 2**20


def interrupt(
    folder: Path, after: float, *arguments: str, ready: Callable[[Path], bool]
) -> subprocess.CompletedProcess[str]:
    """Run a command and send it SIGINT so many seconds after `ready` is true of its folder; it must still be running
    then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyllm_cli", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        with suppress(sqlite3.Error):
            if ready(folder):
                break
        time.sleep(0.05)
    time.sleep(after)
    assert process.poll() is None, f"the command was done before it could be stopped: {process.communicate()}"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def stopped(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 130, done.stderr
    assert "Stopped" in done.stderr
    assert "same command" in done.stderr
    assert "Traceback" not in done.stderr


def test_import_keeps_nothing_of_a_half_read_file(tinyllm: Command, tmp_path: Path) -> None:
    row = {"question": "Which?", "options": ["this", "that"], "answer": 0}
    with (tmp_path / "big.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({**row, "id": number}) + "\n" for number in range(400_000))
    stopped(interrupt(tmp_path, 0.2, "import", "big.jsonl", ready=is_writing))
    assert json.loads(tinyllm("report", "--json").stdout)["datasets"] == []


def test_elicit_continues(tinyllm: Command, tmp_path: Path) -> None:
    settings = '[teachers.slow]\nbackend = "scripted"\nreplies = ["Because of that."]\ndelay = 0.02\n'
    (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=200)
    arguments = ("elicit", "--teacher", "slow", "--dataset", "toy")
    done = interrupt(tmp_path, 1.0, *arguments, ready=lambda folder: has_rows(folder, "rationales"))
    stopped(done)
    assert "rationales of slow are stored" in done.stderr
    rest = json.loads(tinyllm(*arguments, "--json").stdout)["teachers"][0]
    assert 0 < rest["already"] < 200
    assert rest["already"] + rest["new"] == 200


def test_distill_says_that_the_run_is_stopped(tinyllm: Command, tmp_path: Path) -> None:
    arguments = (
        "distill",
        "--recipe",
        "paper",
        "--alpha",
        "0",
        "--dataset",
        "everyday",
        "--student",
        "smollm2",
        "--limit",
        "200",
    )
    done = interrupt(tmp_path, 2.0, *arguments, ready=lambda folder: has_rows(folder, "runs"))
    stopped(done)
    runs = json.loads(tinyllm("report", "--json").stdout)["runs"]
    assert [run["state"] for run in runs] == ["stopped"]


def test_eval_continues(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", test=2000)
    model = make_folder(tmp_path / "model", "causal")
    arguments = ("eval", "--model", str(model), "--dataset", "toy", "--scoring", "rank")
    stopped(interrupt(tmp_path, 0, *arguments, ready=lambda folder: has_rows(folder, "predictions")))
    assert json.loads(tinyllm("report", "--json").stdout)["results"] == []
    assert tinyllm(*arguments).returncode == 0
    assert json.loads(tinyllm("report", "--json").stdout)["results"][0]["n"] == 2000


def test_report_stops(tmp_path: Path) -> None:
    asking = ElicitationConfig(teacher="t", backend="scripted", model="m", revision="", sampling=Sampling())
    asked = make_questions(100_000)
    with open_store(tmp_path / "tinyllm.db") as store, store.atomic():
        store.questions.replace("toy", "here", "1", asked)
        store.rationales.add_asking(asking)
        for question in asked:
            prompt = recorded_prompt(question, teacher_forcing=True)
            keep(store, asking, prompt, 0, Completion(text="So.", finish_reason="stop"))
    stopped(interrupt(tmp_path, 0.1, "report", ready=is_open))
