"""benchmarks/gpu.sh works: on a CPU and tiny shapes, where its figures mean nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, environment

pytestmark = pytest.mark.real

SHAPES = ("flan-t5-base", "smollm2-135m")


def table(*options: str) -> list[list[str]]:
    """The cells of each row that is no head of a table."""
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--minutes", "5", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ") and not line.startswith("| shape")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_is_measured() -> None:
    trained, asked = {}, {}
    for row in table("--here"):
        if row[1].isdigit():
            trained[row[0], row[1], row[2]] = row[3:]
        else:
            asked[row[0], row[1]] = row[2:]
    assert asked.keys() == {(shape, part) for shape in SHAPES for part in ("rank", "generate", "explain", "teacher")}
    for (_, part), (ours, plain, ratio, _, used) in asked.items():
        assert all(float(cell) > 0 for cell in (ours, plain, ratio))
        same, total = re.findall(r"\d+", used)[:2]
        assert same == total, f"{part}: both sides find the same"
    sides = ("authors' style, bf16", "best setup", "tinyllm")
    assert trained.keys() == {(shape, "1", side) for shape in SHAPES for side in sides} | {
        (shape, "8", "tinyllm") for shape in SHAPES
    }
    for (shape, _, side), row in trained.items():
        if row[-1].startswith("not measured"):
            assert (shape, side) == ("smollm2-135m", "best setup"), "TRL may be missing"
        else:
            assert float(row[0]) > 0


def test_a_row_in_a_process_of_its_own() -> None:
    [row] = table("--part", "rank", "--shape", "flan-t5-base")
    assert row[:2] == ["flan-t5-base", "rank"]
    assert float(row[2]) > 0


def test_the_script_is_a_script() -> None:
    assert subprocess.run(["sh", "-n", str(ROOT / "benchmarks" / "gpu.sh")], check=False).returncode == 0
