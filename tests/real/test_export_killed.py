"""An export that is killed with SIGKILL leaves a folder that the next export removes, also to another name."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command, environment, write_dataset
from tests.models import make_folder, record_run
from tests.processes import wait_until
from tinyllm_cli.export.leftovers import MARK
from tinyllm_cli.store import open_store

pytestmark = pytest.mark.real


def test_a_killed_export_leaves_nothing_after_the_next(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=200)
    assert tinyllm("import", "toy").returncode == 0
    with open_store(tmp_path / "tinyllm.db") as store:
        record_run(store, make_folder(tmp_path / "student", "causal"))
    command = ["export", "--to", "gguf", "--questions", "200", "--out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyllm_cli", *command, "first"], cwd=tmp_path, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: bool(list(tmp_path.glob(".first.export-*/export"))))
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = tmp_path.glob(".first.export-*")
    assert (left / MARK).exists()
    done = tinyllm(*command, "second")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert not (tmp_path / "first").exists()
