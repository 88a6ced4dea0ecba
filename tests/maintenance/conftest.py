"""A folder with a database in which each kind of row is: two data sets that share questions, two teachers, a plan of
real trainings, evaluations, reviews."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import Command, environment, make_questions, start, write_dataset
from tests.models import make_folder
from tinyllm_cli.cli import app
from tinyllm_cli.store import Store, open_store

TOML = """
[teachers.parrot]
backend = "scripted"
replies = ["It follows from what the thing is for.", "Because."]

[teachers.owl]
backend = "scripted"
replies = ["Only this one fits the number, as one sees."]
"""
COMMANDS = (
    ("import", "toy"),
    ("import", "shared"),
    ("elicit", "--teacher", "parrot", "--dataset", "toy"),
    ("elicit", "--teacher", "owl", "--dataset", "toy"),
    ("gate", "--dataset", "toy"),
    ("gate", "--reject", "1", "--because", "wrong"),
    ("experiment", "seeds", "--dataset", "toy", "--student", "student", "--alpha", "parrot=1,owl=0.5", "--yes"),
    ("distill", "--alpha", "owl=1", "--student", "student", "--dataset", "toy"),
)  # fmt: skip


def make(folder: Path) -> None:
    """Run the commands in `folder`."""
    (folder / "tinyllm.toml").write_text(TOML, encoding="utf-8")
    write_dataset(folder / "toy", train=8, valid=4, test=4)
    make_folder(folder / "student", "causal")
    (folder / "shared").mkdir()
    rows = [
        {"id": f"s{q.key}", "question": q.text, "options": list(q.options), "answer_index": q.answer}
        for q in make_questions(2)
    ]
    (folder / "shared" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment().items():
            patch.setenv(name, value)
        for command in COMMANDS:
            if command[0] == "experiment":  # which starts processes
                process = start(folder, *command)
                _, stderr = process.communicate()
                assert process.returncode == 0, stderr
            else:
                done = CliRunner().invoke(app, command)
                assert done.exit_code == 0, done.stderr


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, made once by the commands themselves."""
    folder = tmp_path_factory.mktemp("made")
    make(folder)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it as the current folder of `inside`."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def full(place: Path, inside: Command) -> Iterator[Store]:
    with open_store(place / "tinyllm.db") as store:
        yield store
