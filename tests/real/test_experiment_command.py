"""`tinyllm experiment` on tiny models: runs side by side, kills, failures, and a search that keeps off test."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, start, write_dataset
from tests.models import make_folder
from tests.processes import wait_until

pytestmark = pytest.mark.real

TRAIN = ("--", "--batch-size", "4", "--lr", "1e-3")


def prepared(tinyllm: Command, folder: Path) -> None:
    write_dataset(folder / "toy", train=16, valid=8, test=8)
    make_folder(folder / "student", "causal")
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "tinyllm.db")) as connection:
        return connection.execute(query).fetchall()


def experiment(*words: str) -> tuple[str, ...]:
    return ("experiment", words[0], "--dataset", "toy", "--yes", "--json", *words[1:])


def test_what_is_done_is_not_done_again_and_a_failure_stops_nothing(
    tinyllm: Command, scripted: Path, tmp_path: Path
) -> None:
    prepared(tinyllm, tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}", encoding="utf-8")
    command = experiment(
        "table1",
        "--student",
        "broken",
        "--student",
        "student",
        "--methods",
        "inference,finetune",
        "--jobs",
        "2",
        *TRAIN,
    )
    done = tinyllm(*command)
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs failed" in done.stderr
    assert "Traceback" not in done.stderr
    cells = json.loads(done.stdout)["cells"]
    states = {(Path(cell["label"]["student"]).name, cell["label"]["method"]): cell["state"] for cell in cells}
    assert states == {
        ("broken", "inference"): "failed", ("broken", "finetune"): "failed",
        ("student", "inference"): "done", ("student", "finetune"): "done",
    }  # fmt: skip
    assert all(cell["result"]["n"] == 8 for cell in cells if cell["state"] == "done")
    (tmp_path / "broken" / "config.json").unlink()
    (tmp_path / "broken").rmdir()
    make_folder(tmp_path / "broken", "causal")
    again = tinyllm(*command)
    assert again.returncode == 0, again.stderr
    assert "2 to do, 2 done" in again.stderr
    assert rows(tmp_path, "SELECT count(*) FROM runs WHERE state = 'done'") == [(2,)]


def test_a_plan_that_is_killed_goes_on(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    command = experiment("seeds", "--student", "student", "--seeds", "0", *TRAIN, "--epochs", "12", "--save-every", "0")
    process = start(tmp_path, *command)
    wait_until(lambda: list(tmp_path.glob("tinyllm-runs/.*.state/step-*")) != [])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not list(tmp_path.glob("*-run-1.lock")))  # the child saves its state, and goes
    done = tinyllm(*command)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "SELECT id, state FROM runs ORDER BY id") == [(1, "done"), (2, "done")]
    assert rows(tmp_path, "SELECT state, count(*) FROM cells GROUP BY 1") == [("done", 2)]


def test_a_search_looks_at_valid_and_only_its_best_at_test(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    done = tinyllm(*experiment("alpha", "--student", "student", "--search", "2", *TRAIN))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["best"]
    assert sum(found["trials"].values()) == 2
    assert 0.01 <= found["alphas"]["parrot"] <= 3
    assert rows(tmp_path, "SELECT run, split FROM evaluations") == [(found["run"], "test")]
    more = tinyllm(*experiment("alpha", "--student", "student", "--search", "3", *TRAIN))
    assert more.returncode == 0, more.stderr
    assert sum(json.loads(more.stdout)["best"]["trials"].values()) == 3
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(3,)]
