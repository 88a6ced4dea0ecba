"""`tinyllm predict` as a process: killed in the middle of a file, and interactive in a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Command, environment, make_questions
from tests.files import write_rows
from tests.models import make_folder

pytestmark = pytest.mark.real
QUESTIONS = 1000
PATIENCE = 120.0


def test_a_killed_run_resumes_and_ends_with_the_file_of_an_uninterrupted_one(tinyllm: Command, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "causal")
    write_rows(
        tmp_path / "q.jsonl", [{"question": q.text, "options": list(q.options)} for q in make_questions(QUESTIONS)]
    )
    arguments = ["predict", "--model", str(folder), "--file", "q.jsonl", "--out"]
    out, size = tmp_path / "a.jsonl", 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "tinyllm_cli", *arguments, "a.jsonl"], cwd=tmp_path,
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and (not out.exists() or out.stat().st_size <= size):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert out.stat().st_size > size
        size = out.stat().st_size
    assert len(out.read_bytes().splitlines()) < QUESTIONS
    out.write_bytes(out.read_bytes()[:-5])  # as a kill in the middle of a write would leave it
    for name in ("a.jsonl", "b.jsonl"):
        done = tinyllm(*arguments, name)
        assert done.returncode == 0, done.stderr
    interrupted, uninterrupted = (
        [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()]
        for name in ("a.jsonl", "b.jsonl")
    )
    assert [row["id"] for row in interrupted] == [str(number) for number in range(1, QUESTIONS + 1)]
    for one, other in zip(interrupted, uninterrupted, strict=True):  # batches differ, and with them the last digits
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-5)
        assert one == other


def test_in_a_terminal_questions_are_asked_for_until_an_empty_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "causal")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyllm_cli", "predict", "--model", str(folder)], cwd=tmp_path, stdin=theirs,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        typed = ["Which is it?", "this", "that", "", "And now?", "only one", "", "Once more?", "no", "yes", "", ""]
        os.write(ours, "".join(f"{line}\n" for line in typed).encode())
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, stderr
    assert stdout.count("Answer: (") == 2
    assert "(b) that" in stdout
    assert "(a) no" in stdout
    assert "needs 2 to 26 options; this one has 1" in stderr
    assert stderr.count("Question: ") == 4


def test_a_package_that_needs_scipy_beside_transformers_is_not_missing_it(tinyllm: Command, tmp_path: Path) -> None:
    """As scikit-learn does, which transformers imports where it is found."""
    folder = make_folder(tmp_path / "model", "causal")
    package = tmp_path / "site" / "sklearn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "metrics.py").write_text("import scipy\n\n\ndef roc_curve(*_):\n    return scipy\n")
    question = (
        "predict",
        "Where do fish live?",
        "--option",
        "in water",
        "--option",
        "in trees",
        "--model",
        str(folder),
    )
    done = tinyllm(*question, PYTHONPATH=f"{tmp_path / 'site'}{os.pathsep}{environment().get('PYTHONPATH', '')}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Answer: (")
