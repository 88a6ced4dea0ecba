"""benchmarks/gpu.sh works: on a CPU and tiny shapes, where its figures mean nothing. The references of its training are
left out: they take a minute."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, environment

pytestmark = pytest.mark.real


def table(*options: str) -> list[list[str]]:
    """The cells of each row that is no head of a table."""
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--minutes", "5", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(("| flan", "| smollm2"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("shape", "parts"), [("flan-t5-base", ("rank", "generate")), ("smollm2-135m", ("explain", "teacher"))]
)
def test_evaluation_and_teachers_are_measured_and_both_sides_find_the_same(shape: str, parts: tuple[str, ...]) -> None:
    rows = table("--here", "--shape", shape, *(word for part in parts for word in ("--part", part)))
    assert [row[:2] for row in rows] == [[shape, part] for part in parts]
    for _, part, ours, plain, ratio, _, used in rows:
        assert all(float(cell) > 0 for cell in (ours, plain, ratio))
        same, total = re.findall(r"\d+", used)[:2]
        assert same == total, part


def test_a_training_is_measured() -> None:
    options = ("--part", "training", "--shape", "smollm2-135m", "--side", "tinyllm", "--batch-size", "8")
    [row] = table("--here", *options)
    assert row[:3] == ["smollm2-135m", "1", "tinyllm"]
    assert float(row[3]) > 0
    assert row[-1] == "packed rows"


def test_a_row_in_a_process_of_its_own() -> None:
    [row] = table("--part", "rank", "--shape", "flan-t5-base")
    assert row[:2] == ["flan-t5-base", "rank"]
    assert float(row[2]) > 0


def test_the_script_is_a_script() -> None:
    assert subprocess.run(["sh", "-n", str(ROOT / "benchmarks" / "gpu.sh")], check=False).returncode == 0
