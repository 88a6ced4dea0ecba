"""What commands print under --json is what docs/json.md says: real output against the generated schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import ROOT, SCRIPTED, Command, write_dataset
from tests.models import make_folder
from tinyllm_cli.api.json_results import RESULTS

SCHEMAS = ROOT / "docs" / "schemas"


def check(done: Any, name: str) -> dict[str, Any]:
    """The object that was printed, valid by the schema of this name."""
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []
    assert set(value) <= set(schema["properties"])
    return dict(value)


def test_every_command_has_its_types() -> None:
    from tinyllm_cli.cli import app

    assert {command.name for command in app.registered_commands} == {name for name in RESULTS if " " not in name}


@pytest.fixture
def toy(inside: Command, tmp_path: Path) -> Command:
    """A data set with a scripted teacher's rationales, and a tiny student."""
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=8, valid=4, test=4)
    make_folder(tmp_path / "student", "causal")
    return inside


def test_output_is_valid_by_its_schema(toy: Command, tmp_path: Path) -> None:
    check(toy("import", "toy", "--json"), "ImportResult")
    ask = ("elicit", "--teacher", "parrot", "--dataset", "toy", "--json")
    check(toy(*ask, "--dry-run"), "PreviewResult")
    check(toy(*ask), "ElicitResult")
    check(toy("gate", "--json", "--show", "echo"), "GateResult")
    check(toy("audit", "--json", "--student", "student"), "AuditJson")
    check(toy("usefulness", "--model", "student", "--show", "1", "--json"), "UsefulnessResult")
    check(toy("usefulness", "--model", "student", "--leakage", "2", "--json"), "LeakageResult")
    train = ("distill", "--student", "student", "--json")
    check(toy(*train, "--dry-run"), "DistillPlanJson")
    run = check(toy(*train), "DistillJson")["run"]
    check(toy(*train, "--method", "inference"), "InferenceJson")
    check(toy("eval", "--run", str(run), "--json"), "EvalJson")
    check(toy("predict", "Which is it?", "-o", "this", "-o", "that", "--json"), "PredictJson")
    (tmp_path / "new.jsonl").write_text(json.dumps({"question": "Which?", "options": ["a", "b"]}) + "\n")
    check(toy("predict", "--file", "new.jsonl", "--out", "answers.jsonl", "--json"), "PredictFileJson")
    check(toy("inspect", "train-0", "--json"), "InspectJson")
    check(toy("inspect", "number", "--json"), "CandidatesJson")
    plan = ("experiment", "seeds", "--dataset", "toy", "--student", "student", "--dry-run", "--json")
    check(toy(*plan), "ExperimentPlanJson")
    check(toy("report", "--json"), "Report")
    check(toy("info", "--json"), "InfoResult")


def test_an_error_is_valid_by_its_schema(inside: Command) -> None:
    for arguments in (("report", "--json"), ("eval", "--scoring", "vibes", "--json"), ("frobnicate", "--json")):
        done = inside(*arguments)
        value = json.loads(done.stderr.splitlines()[-1])
        schema = json.loads((SCHEMAS / "ErrorJson.json").read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(value)) == []
        assert value["exit_code"] == done.returncode > 0
