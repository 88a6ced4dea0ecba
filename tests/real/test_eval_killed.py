"""An evaluation that is killed with SIGKILL resumes where it was."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Command, environment, write_dataset
from tests.models import make_folder

pytestmark = pytest.mark.real
QUESTIONS = 1000


def count(db: Path) -> int:
    if not db.exists():
        return 0
    with closing(sqlite3.connect(db, timeout=30)) as connection:
        try:
            found: int = connection.execute("SELECT count(*) FROM predictions").fetchone()[0]
        except sqlite3.OperationalError:  # the table is not made yet
            return 0
    return found


def test_a_killed_evaluation_resumes_and_ends_with_one_prediction_for_each_question(
    tinyllm: Command, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "toy", test=QUESTIONS)
    model = make_folder(tmp_path / "model", "causal")
    arguments = ["eval", "--model", str(model), "--dataset", "toy", "--scoring", "rank", "--json"]
    counts = []
    for _ in range(2):
        before = count(tmp_path / "tinyllm.db")
        process = subprocess.Popen(
            [sys.executable, "-m", "tinyllm_cli", *arguments], cwd=tmp_path, env=environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and count(tmp_path / "tinyllm.db") == before:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(count(tmp_path / "tinyllm.db"))
    assert 0 < counts[0] < counts[1] < QUESTIONS
    done = tinyllm(*arguments)
    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "tinyllm.db") == QUESTIONS
    [found] = json.loads(done.stdout)["evaluations"]
    assert found["n"] == QUESTIONS
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        keys, correct = connection.execute("SELECT count(DISTINCT key), sum(correct) FROM predictions").fetchone()
    assert (keys, correct) == (QUESTIONS, found["correct"])
