"""The public Python API: what an import costs, what it exposes, and the example from a CSV to a report."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinyllm_cli
from tests.conftest import ROOT, environment, make_questions
from tests.models import make_folder
from tinyllm_cli import api
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Event, Finished, Progress


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, tinyllm_cli\n"
        "print(sorted({'torch', 'typer', 'transformers', 'rich', 'sqlite_utils'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_exposed_and_documented() -> None:
    assert set(api.VERBS) == set(api.__all__)
    for name in api.VERBS:
        found = getattr(tinyllm_cli, name)
        assert found is getattr(api, name)
        assert (found.__doc__ or "").strip(), name
    with pytest.raises(AttributeError):
        _ = tinyllm_cli.frobnicate


def test_no_module_of_the_api_has_the_name_of_a_function() -> None:
    """Its import would replace the function."""
    assert not {path.stem for path in (ROOT / "tinyllm_cli" / "api").glob("*.py")} & set(api.VERBS)


def write_quiz(folder: Path) -> None:
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "options", "answer", "split"])
        for split, count in (("train", 8), ("valid", 4), ("test", 4)):
            for one in make_questions(count, split=split):
                writer.writerow([one.key, one.text, json.dumps(one.options), one.gold, split])
    rows = [{"id": one.key, "rationale": f"It is the {one.gold}, as the number tells."} for one in make_questions(8)]
    (folder / "rationales.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_example_goes_from_a_csv_to_a_report(tmp_path: Path) -> None:
    write_quiz(tmp_path)
    make_folder(tmp_path / "student", "causal")
    script = ROOT / "examples" / "quickstart.py"
    assert len([line for line in script.read_text(encoding="utf-8").splitlines() if line.strip()]) < 30
    done = subprocess.run(
        [sys.executable, str(script), "questions.csv", "rationales.jsonl", "student"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 4 test questions are right" in done.stdout
    assert "<html" in (tmp_path / "quickstart.html").read_text(encoding="utf-8")


def test_events_and_typed_results(tmp_path: Path) -> None:
    write_quiz(tmp_path)
    events: list[Event] = []
    with tinyllm_cli.open_store(tmp_path / "t.db") as project:
        data = tinyllm_cli.import_questions(project, tmp_path / "questions.csv", name="quiz", on_event=events.append)
        assert (data.dataset, data.splits, data.changed) == ("quiz", {"train": 8, "valid": 4, "test": 4}, True)
        done = tinyllm_cli.import_rationales(
            project, tmp_path / "rationales.jsonl", "me", "quiz", on_event=events.append
        )
        assert [(one.teacher, one.split, one.new) for one in done.teachers] == [("me", "train", 8)]
        assert any(isinstance(one, Progress) and one.label == "me on quiz/train" for one in events)
        assert any(isinstance(one, Finished) for one in events)
        [me] = tinyllm_cli.gate(project).teachers
        assert me.rationales == 8
        planned = tinyllm_cli.plan_distillation(project, alpha={"me": 0.5}, student="nowhere")
        assert planned.summary()["alpha"] == {"me": 0.5}
        with pytest.raises(UsageProblem, match="no teacher"):
            tinyllm_cli.plan_distillation(project, alpha={"you": 1.0})
