"""A command that an error suggests is accepted when it is typed, whatever the names in it are."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.conftest import ROOT, Command, write_dataset
from tinyllm_cli import api
from tinyllm_cli.cli import app
from tinyllm_cli.config.ranges import ICL
from tinyllm_cli.errors import UsageProblem, command_text

DATA, TEACHER = "our toy", "ann o'hara"
REPLY = "A cork is lighter than the water that it pushes away."


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, inside: Command) -> None:
    write_dataset(tmp_path / "toy", train=4, valid=2)
    table = f'[teachers."{TEACHER}"]\nbackend = "scripted"\nreplies = ["{REPLY}"]\n'
    (tmp_path / "tinyllm.toml").write_text(table, encoding="utf-8")
    assert inside("import", "toy", "--name", DATA).returncode == 0


def suggested(stderr: str) -> list[str]:
    """The words after `tinyllm` of the command on the last line."""
    words = shlex.split(stderr.splitlines()[-1].partition("tinyllm ")[2])
    return words[: next((at for at, word in enumerate(words) if word.startswith("(or")), len(words))]


@pytest.mark.parametrize("command", [("distill",), ("usefulness",), ("export-data", "--out", "out")])
def test_rationales_that_elicit_can_t_make_are_not_asked_for(inside: Command, command: tuple[str, ...]) -> None:
    """With the most in-context examples that elicit takes, the suggested command is accepted; with more, all commands
    refuse the number."""
    assert inside("elicit", "-t", TEACHER, "-d", DATA, "--icl", "1").returncode == 0
    for number in (0, ICL[1]):
        done = inside(*command, "--dataset", DATA, "--icl", str(number))
        assert f"elicited with {number} in-context examples" in done.stderr
        again = inside(*suggested(done.stderr))
        assert (again.returncode, f"{TEACHER} on {DATA}/train" in again.stdout) == (0, True), again.stderr
    for over in (["elicit", "-t", TEACHER], [*command, "--alpha", "1"] if command[0] == "distill" else [*command]):
        done = inside(*over, "--dataset", DATA, "--icl", str(ICL[1] + 1))
        assert (done.returncode, "less than or equal to 16" in done.stderr) == (2, True), done.stderr


def test_the_api_has_the_same_range(tmp_path: Path) -> None:
    with api.open_store(tmp_path / "tinyllm.db", config=tmp_path / "tinyllm.toml") as project:
        for call in (
            lambda: api.elicit(project, [TEACHER], DATA, icl=ICL[1] + 1),
            lambda: api.distill(project, dataset=DATA, icl=ICL[1] + 1),
            lambda: api.usefulness(project, dataset=DATA, icl=ICL[1] + 1),
            lambda: api.export_data(project, tmp_path / "out", dataset=DATA, icl=ICL[1] + 1),
        ):
            with pytest.raises(UsageProblem, match="--icl can't be 17"):
                call()
        with pytest.raises(UsageProblem, match="temperature can't be 101"):
            api.elicit(project, [TEACHER], DATA, temperature=101)


def test_recorded_rationales_can_t_be_asked_for_again(inside: Command, tmp_path: Path) -> None:
    rows = [{"id": f"train-{number}", "rationale": REPLY} for number in range(4)]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert inside("import", "notes.jsonl", "--teacher", "bob", "--dataset", DATA).returncode == 0
    done = inside("export-data", "--dataset", DATA, "--out", "out", "--icl", "2")
    assert done.stderr.splitlines() == [
        "Error: The prompts of bob's recorded rationales are unknown, so --icl selects none of them.", "Remove --icl.",
    ]  # fmt: skip
    assert inside("export-data", "--dataset", DATA, "--out", "out").returncode == 0


def test_names_that_the_shell_splits_are_quoted(inside: Command) -> None:
    for command in (("audit",), ("gate", "--dataset", DATA, "--split", "valid")):
        done = inside(*command)
        words = suggested(done.stderr.replace("NAME", shlex.quote(TEACHER)))
        assert words[:1] == ["elicit"], done.stderr
        again = inside(*words)
        assert again.returncode == 0, again.stderr


def test_a_folder_is_suggested_in_place_of_a_file(inside: Command, tmp_path: Path) -> None:
    for name in ("tables.csv", "tables"):
        (tmp_path / name).touch()
        done = inside("report", "--csv", name)
        assert done.returncode == 2
        option, folder = shlex.split(done.stderr.splitlines()[-1].removeprefix("For example: "))
        assert (option, (tmp_path / folder).exists()) == ("--csv", False)
    assert inside("report", "--csv", folder).returncode == 0


PROGRAM = [path for package in ("tinyllm_cli", "backends") for path in sorted((ROOT / package).rglob("*.py"))]


def sources() -> Iterator[tuple[Path, ast.AST]]:
    for path in PROGRAM:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


NAMED = ("--dataset", "--teacher", "--name", "--db", "--model", "--student", "--explain-as", "--csv", "rename dataset",
         "rename teacher")  # fmt: skip
"""What is followed by a name or a path."""


def test_no_text_holds_a_command_with_a_name_as_it_is() -> None:
    """`command_text` quotes it for the shell."""
    found = []
    for path, node in sources():
        for before, value in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            text = before.value if isinstance(before, ast.Constant) else ""
            if isinstance(value, ast.FormattedValue) and str(text).rstrip(" ='").endswith(NAMED):
                found.append(f"{path.name}:{value.lineno} {ast.unparse(value)}")
    assert [one for one in found if "shlex.quote(" not in one] == []


def test_suggested_commands_exist_and_have_what_they_require() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    checked = 0
    for path, node in sources():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "command_text"):
            continue
        words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if not words or any(isinstance(one, ast.Starred) for one in node.args[:1]):
            continue
        params = group.commands[words[0]].params
        known = {option for one in params for option in (*one.opts, *one.secondary_opts)}
        stated = [word for word in words if word.startswith("--")]
        assert set(stated) <= known, f"{path}:{node.lineno}"
        complete = not any(isinstance(one, ast.Starred) for one in node.args)
        required = [one.opts for one in params if one.required and one.param_type_name == "option"]
        assert not complete or all(set(one) & set(stated) for one in required), f"{path}:{node.lineno}"
        checked += 1
    assert checked > 10


PLACE = ["--db", "my db/one.db", "--config", "tinyllm.toml"]


@pytest.mark.parametrize(
    "command", [("eval",), ("audit",), ("gate", "--reject", "7"), ("compare", "1", "2"), ("delete", "failed-runs")]
)
def test_an_error_suggests_a_command_for_the_database_that_was_given(
    inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "my db").mkdir()
    assert inside("import", "toy", "--name", DATA, *PLACE).returncode == 0
    done = inside(*command, *PLACE)
    assert done.returncode == 2, done.stderr
    assert suggested(done.stderr)[-4:] == PLACE
    monkeypatch.setenv("TINYLLM_DB", PLACE[1])
    assert "--db" not in inside(*command).stderr, "the environment names it for the next command as well"
    assert command_text("list") == "tinyllm list"


def test_a_database_that_does_not_exist_is_made_by_what_is_suggested(inside: Command) -> None:
    done = inside("report", "--db", "other.db")
    again = inside(*suggested(done.stderr.partition(", or ")[2]))
    assert (again.returncode, inside("report", "--db", "other.db").returncode) == (0, 0), again.stderr


def test_every_suggested_command_names_the_place() -> None:
    """`command_text` adds it; what is no text of an error or a page is the help, and the docstrings."""
    found = [
        (path.name, line)
        for path in PROGRAM
        for line in path.read_text(encoding="utf-8").splitlines()
        if ": tinyllm " in line and "Example: " not in line
    ]
    assert {name for name, _ in found} <= {"commands.py"}, found
    templates = sorted((ROOT / "tinyllm_cli").rglob("*.j2"))
    literal = re.compile(r"(?<!This page): <code>tinyllm")  # the report says how it was made
    assert [path.name for path in templates if literal.search(path.read_text(encoding="utf-8"))] == []
    assert len(templates) > 10


def test_values_are_spelled_exactly() -> None:
    words = ("elicit", "--temperature", 0.123456789012345, "--top-p", 1.0, "--dataset", "it's a toy")
    text = command_text(*words)
    assert text == "tinyllm elicit --temperature 0.123456789012345 --top-p 1 --dataset 'it'\"'\"'s a toy'"
    assert [float(word) for word in shlex.split(text)[3:6:2]] == [0.123456789012345, 1.0]
