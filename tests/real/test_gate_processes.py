"""`tinyllm gate` with several processes: however it ends, none of them stays, and the next run continues."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import Command, start, write_dataset
from tests.files import rows
from tests.processes import MARK, gone, kill_all, marked, new_mark, wait_until

pytestmark = pytest.mark.real
QUESTIONS = 12_000
GATE = ("gate", "--dataset", "toy", "--jobs", "2", "--json")
STORED = "SELECT count(*) FROM verdicts"


def test_ctrl_c_and_a_kill_end_all_processes_and_the_next_run_judges_the_rest(
    inside: Command, tinyllm: Command, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "toy", train=QUESTIONS)
    (folder / "rationales").mkdir()
    with (folder / "rationales" / "boss.train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(QUESTIONS):
            text = f"thing {number} fits the number {number} of train, and no other one of them has it."
            file.write(json.dumps({"id": f"train-{number}", "rationale": text}) + "\n")
    assert inside("import", "toy").returncode == 0

    for number in (signal.SIGINT, signal.SIGKILL):
        mark = new_mark()
        before = rows(tmp_path, STORED)
        process = start(tmp_path, *GATE, **{MARK: mark})
        try:
            wait_until(lambda mark=mark, before=before: len(marked(mark)) >= 3 and rows(tmp_path, STORED) > before)  # type: ignore[misc]
            for pid in [process.pid] if number == signal.SIGKILL else marked(mark):  # a terminal sends it to all
                os.kill(pid, number)
            _, said = process.communicate(timeout=60)
            gone(mark)
        finally:
            kill_all(mark)
        assert process.returncode == (130 if number == signal.SIGINT else -number), said
        assert "Traceback" not in said

    done = tinyllm(*GATE)
    assert done.returncode == 0, done.stderr
    [teacher] = json.loads(done.stdout)["teachers"]
    assert teacher["rationales"] == teacher["kept"] + teacher["repaired"] + teacher["rejected"] == QUESTIONS
    assert rows(tmp_path, STORED) == [(QUESTIONS,)]
