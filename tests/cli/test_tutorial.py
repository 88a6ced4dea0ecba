"""The tutorial's commands run in order, with a tiny student and a scripted teacher instead of SmolLM2."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

from tests.conftest import ROOT, SCRIPTED, Command
from tests.models import make_folder

sys.path.insert(0, str(ROOT / "docs"))
import tutorial

PAGE = tutorial.PAGE.read_text(encoding="utf-8")


def test_the_commands_run_in_order_and_lead_to_a_report(inside: Command, tmp_path: Path) -> None:
    for path in tutorial.FILES.iterdir():
        shutil.copy(path, tmp_path)
    make_folder(tmp_path / "tiny", "causal")
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED.replace("parrot", "smollm2"), encoding="utf-8")
    commands = tutorial.commands(PAGE)
    assert [command.split()[1] for command in commands] == [
        "import", "elicit", "gate", "import", "distill", "eval", "predict", "report",
    ]  # fmt: skip
    for command in commands:
        done = inside(*shlex.split(command.replace("--student smollm2", "--student tiny"))[1:])
        assert done.returncode == 0, (command, done.stderr)
        shown = re.search(rf"^```sh\n{re.escape(command)}\n```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        assert shown is not None, command
        first = next(line for line in done.stdout.splitlines() or done.stderr.splitlines() if line.strip())
        assert shown[1].split()[0] in (first.split()[0], "Data"), command
    assert (tmp_path / "report.html").exists()


def test_the_page_shows_the_files_that_were_used() -> None:
    assert tutorial.with_files(PAGE) == PAGE
    questions = (tutorial.FILES / "quiz.csv").read_text(encoding="utf-8").splitlines()
    assert len(questions) == 21


def test_progress_and_the_middle_of_a_long_output_are_left_out() -> None:
    printed = "asking: 3/12, 2.0/s\n" + "\n".join(f"line {number}" for number in range(100)) + "\n"
    shown = tutorial.shown_output(printed).splitlines()
    assert shown[0] == "line 0"
    assert shown[-3:] == ["...", "line 98", "line 99"]
