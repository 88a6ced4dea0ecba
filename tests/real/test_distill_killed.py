"""A training that is killed, stopped or out of disk goes on with the same command to the same weights."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Command, start, write_dataset
from tests.models import KINDS, Kind, make_folder
from tests.processes import wait_until
from tests.real.test_full_disk import enlarge, small_disk

pytestmark = pytest.mark.real


def distill(*more: str, epochs: int = 40) -> tuple[str, ...]:
    settings = (
        "--recipe",
        "paper",
        "--epochs",
        str(epochs),
        "--batch-size",
        "4",
        "--evals-per-epoch",
        "1",
        "--lr",
        "1e-3",
        *more,
    )
    return ("distill", "--alpha", "0", "--dataset", "toy", "--student", "student", *settings)


def prepare(folder: Path, kind: Kind) -> None:
    write_dataset(folder / "toy", train=20, valid=8)
    make_folder(folder / "student", kind)


def runs(db: Path) -> list[dict[str, Any]]:
    if not db.exists():
        return []
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            rows = [dict(row) for row in connection.execute("SELECT * FROM runs ORDER BY id")]
            return [{**row, "folder": str(db.parent / row["folder"])} for row in rows]
        except sqlite3.OperationalError:
            return []  # not migrated yet


def same_weights(one: str, other: str) -> bool:
    weights, others = (load_file(Path(folder) / "model.safetensors") for folder in (one, other))
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def states(folder: Path) -> list[Path]:
    return sorted(folder.glob("tinyllm-runs/.*.state/step-*"))


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_any_step_change_nothing(tinyllm: Command, tmp_path: Path, kind: Kind) -> None:
    prepare(tmp_path, kind)
    assert tinyllm(*distill("--db", "whole.db", epochs=20)).returncode == 0
    command = distill("--save-every", "0", epochs=20)
    for _ in range(2):
        process = start(tmp_path, *command)
        before = states(tmp_path)
        wait_until(lambda known=before: states(tmp_path) not in ([], known))  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.3))
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = tinyllm(*command)
    assert done.returncode == 0, done.stderr
    assert "Run 1 resumes after step" in done.stderr
    [expected], [found] = runs(tmp_path / "whole.db"), runs(tmp_path / "tinyllm.db")
    assert found["state"] == "done"
    assert same_weights(expected["folder"], found["folder"])
    ours, theirs = json.loads(found["metrics"]), json.loads(expected["metrics"])
    assert (ours["curve"], ours["valid"]) == (theirs["curve"], theirs["valid"])
    assert not list(tmp_path.glob("tinyllm-runs/.*"))
    assert not list(tmp_path.glob("*.lock"))


def test_a_machine_that_announces_its_end_loses_no_step(tinyllm: Command, tmp_path: Path) -> None:
    prepare(tmp_path, "seq2seq")
    process = start(tmp_path, *distill())
    wait_until(lambda: list(tmp_path.glob("tinyllm-runs/1-*")) != [])  # the first evaluation is over
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Run the same command to resume." in error
    [state] = states(tmp_path)
    [run] = runs(tmp_path / "tinyllm.db")
    assert run["state"] == "stopped"
    assert state.name.startswith(f"step-{json.loads(run['metrics'])['steps']:09d}-")
    done = tinyllm(*distill())
    assert f"Run 1 resumes after step {json.loads(run['metrics'])['steps']}." in done.stderr


def test_signals_that_do_not_stop_lose_no_step(tinyllm: Command, tmp_path: Path) -> None:
    """An impatient Ctrl-C, or a parent with several threads that is killed: each end of a thread sends a SIGTERM."""
    prepare(tmp_path, "causal")
    command = distill("--save-every", "0", epochs=20)
    done = 0
    for _ in range(2):
        process = start(tmp_path, *command)
        before = states(tmp_path)
        wait_until(lambda known=before: states(tmp_path) not in ([], known))  # type: ignore[misc]
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        process.communicate()
        [state] = states(tmp_path)
        step = int(state.name.split("-")[1])
        assert step > done
        done = step
    finished = tinyllm(*command)
    assert f"Run 1 resumes after step {done}." in finished.stderr
    assert finished.returncode == 0, finished.stderr


def fill(taken: Path, process: subprocess.Popen[str]) -> None:
    """Take every byte that gets free until the process ends: a state that could not be written leaves room again."""
    until = time.monotonic() + 120
    with taken.open("ab", buffering=0) as file:
        while process.poll() is None and time.monotonic() < until:
            try:
                file.write(bytes(4096))
            except OSError:
                time.sleep(0.005)


def test_a_disk_that_fills_up_keeps_the_state_before_and_says_so(tmp_path: Path) -> None:
    """Long enough a training that a student as good as the best so far is to be written after the disk is full."""
    prepare(tmp_path, "causal")
    with small_disk(tmp_path / "disk", "3m"):
        process = start(tmp_path, *distill("--save-every", "0", "--db", "disk/tinyllm.db", epochs=20))
        wait_until(lambda: list(tmp_path.glob("disk/tinyllm-runs/1-*")) != [])
        taken = tmp_path / "disk" / "something"
        fill(taken, process)
        _, error = process.communicate(timeout=300)
        assert "Traceback" not in error, error
        assert "the previous one is kept" in error
        assert process.returncode == 1, error
        assert len(list(tmp_path.glob("disk/tinyllm-runs/.*.state/step-*"))) == 1
        taken.unlink()
        enlarge(tmp_path / "disk")
        process = start(tmp_path, *distill("--db", "disk/tinyllm.db", epochs=20))
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        assert "Run 1 resumes after step" in error
