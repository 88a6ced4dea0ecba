"""The documentation is true: every command is documented, and what it shows works."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from tests.conftest import ROOT, environment
from tinyllm_cli.cli import app
from tinyllm_cli.config import built_in_teachers, load_settings
from tinyllm_cli.datasets.catalogue import known_names

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = sorted(command.name or "" for command in app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_reference_and_in_the_readme(command: str) -> None:
    assert f"## tinyllm {command}\n" in REFERENCE
    assert f"| `tinyllm {command}` |" in README


def test_the_reference_is_what_help_says() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, env=environment(), check=False)
    assert done.returncode == 0, "docs/commands.md is stale: run make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    options = group.commands[command].params
    assert len(options) > 5
    assert [option.name for option in options if len(str(getattr(option, "help", None) or "").split()) < 2] == []


def test_the_readme_names_every_built_in_teacher_and_dataset() -> None:
    for name in (*built_in_teachers(), *known_names(load_settings())):
        assert f"`{name}`" in README


def test_the_readme_shows_the_folder_tree_as_it_is() -> None:
    for folder in ("tinyllm_cli", "backends", "tests", "benchmarks", "docs", "locks"):
        assert f"{folder}/" in README
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        named = set(re.findall(r"^ *([a-z_]+)/ ", page, flags=re.MULTILINE))
        for package in ("tinyllm_cli", "backends"):
            for path in (ROOT / package).rglob("__init__.py"):
                assert path.parent.name in named | {package}, path.parent


def test_env_example_explains_each_variable_that_the_program_reads() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    read: set[str] = set()
    for package in ("tinyllm_cli", "backends"):
        for path in (ROOT / package).rglob("*.py"):
            read |= set(re.findall(r"\"((?:TINYLLM|HF)_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    assert read
    assert all(f"{name}=" in text for name in read)


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tables_of_the_results_follow_from_the_outcomes() -> None:
    said = subprocess.run(
        [sys.executable, "docs/results/outcomes.py", "table"], cwd=ROOT, env=environment(),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    first, second = said.strip().split("\n\n")
    shown = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"\n\n{first}\n\n" in shown
    assert f"\n\n{second}\n\n" in shown
