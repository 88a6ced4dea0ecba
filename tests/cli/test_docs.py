"""The documentation is true: every command is documented, links and names resolve, terms are defined."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import click
import pytest
import typer

from backends import BUILT_IN
from tests.conftest import ROOT, environment
from tinyllm_cli.audit.checks import KINDS
from tinyllm_cli.cli import app
from tinyllm_cli.config import built_in_teachers, load_settings
from tinyllm_cli.datasets.catalogue import known_names
from tinyllm_cli.rationales.gates.settings import GATES, GateSettings, gate_settings
from tinyllm_cli.training.methods import METHODS

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = sorted(command.name or "" for command in app.registered_commands)
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
GUIDES = ("README.md", "docs/data.md", "docs/method.md", "docs/rationales.md", "docs/students.md", "docs/teachers.md")
GLOSSARY = [
    (term, definition.strip())
    for term, definition in re.findall(
        r"^### ([^\n]+)\n(.*?)(?=^#|\Z)",
        (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
]
"""(term, definition)."""

EVERYDAY = {
    "Data set", "Split", "Question", "Option", "Context", "Backend", "Embedded model", "Prompt", "Sampling", "Sample",
    "Recorded rationale", "In flight", "Batch", "Severity", "Masking", "Objective", "Prefix", "Task", "Target", "Run",
    "Standard KD", "Store", "Endpoint", "Check", "Method", "Fine-tuning", "Evaluation", "Prediction", "Scoring",
    "Experiment", "Plan", "Provenance", "Holm correction",
}  # fmt: skip
"""Terms that need no link where a guide first uses them: they are common, or usually part of another phrase."""


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
    assert len(options) >= 5
    assert [option.name for option in options if len(str(getattr(option, "help", None) or "").split()) < 2] == []


def test_the_readme_names_every_built_in_teacher_and_dataset() -> None:
    for name in (*built_in_teachers(), *known_names(load_settings())):
        assert f"`{name}`" in README


def test_the_readme_shows_the_folder_tree_as_it_is() -> None:
    for folder in ("tinyllm_cli", "backends", "tests", "benchmarks", "docs", "locks"):
        assert f"{folder}/" in README
    named = set(re.findall(r"^ *([a-z_]+)/ ", README, flags=re.MULTILINE))
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


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return {anchor_of(heading) for heading in re.findall(r"^#+ (.+)", page.read_text(encoding="utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_in_the_documentation_resolve(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors_of(file), f"{target}#{anchor}"


def without_code(text: str) -> str:
    """The prose of a Markdown page in one line, without code and headings."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^    .*$|^#.*$|`[^`\n]*`", "", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_links_the_first_use_of_each_term(name: str) -> None:
    prose = without_code((ROOT / name).read_text(encoding="utf-8"))
    plain = re.sub(r"\]\([^)]*\)", lambda match: " " * len(match[0]), prose)
    terms = [term for term, _ in GLOSSARY if term not in EVERYDAY]
    unlinked = []
    for term in terms:
        longer = [other for other, _ in GLOSSARY if other != term and term.lower() in other.lower()]
        text = plain
        for other in longer:
            text = re.sub(rf"\b{other}s?\b", lambda match: " " * len(match[0]), text, flags=re.IGNORECASE)
        first = re.search(rf"(?<![\w-]){term}s?(?![\w-])", text, flags=re.IGNORECASE)
        if first and not re.match(rf"\]\([^)]*#{anchor_of(term)}\)", prose[first.end() :]):
            unlinked.append(term)
    assert unlinked == []


def test_the_glossary_defines_each_term_briefly() -> None:
    terms = [term for term, _ in GLOSSARY]
    assert len(terms) == len(set(terms)) > 50
    assert set(terms) >= EVERYDAY
    for term, definition in GLOSSARY:
        ends = re.findall(r"\.(?:\s|$)", re.sub(r"\(\S*?\)|`[^`]*`|eq\. 2", "", definition))
        assert 1 <= len(ends) <= 3, term


def test_files_and_functions_that_contributing_names_exist() -> None:
    named = re.findall(r"\[`([^`]+\.py)`\]\(([^)]+)\)(?::\s+`(\w+)`)?", CONTRIBUTING)
    assert len(named) > 20
    for shown, target, name in named:
        assert shown == target
        tree = ast.parse((ROOT / target).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        defined |= {node.id for node in tree.body for node in ast.walk(node) if isinstance(node, ast.Name)}
        assert not name or name in defined, f"{target}: {name}"


def test_contributing_answers_the_questions_of_a_newcomer() -> None:
    for words in ("eq. 2", "429", "rejected", "two runs the same", "A teacher backend", "A gate", "A student family"):
        assert words in CONTRIBUTING


def commands_in(page: Path) -> Iterator[str]:
    """The `tinyllm ...` commands that a page shows, in code blocks and in the text, each in one line."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = r"^```.*?^```$"
    for block in (
        *re.findall(fenced, text, flags=re.MULTILINE | re.DOTALL),
        *re.findall(r"^ {4}.*$", text, re.MULTILINE),
    ):
        yield from (line.partition(" # ")[0] for line in re.findall(r"^ *(tinyllm .+)$", block, flags=re.MULTILINE))
    yield from re.findall(r"`(tinyllm\s[^`]+)`", re.sub(fenced, "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_options_that_a_page_shows_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for line in commands_in(page):
        own, _, for_distill = line.partition(" -- ")
        if not own.split()[1].startswith("-"):  # tinyllm --help
            assert own.split()[1] in group.commands, line
            _check_options(own, group.commands[own.split()[1]])
            _check_options(for_distill, group.commands["distill"])


def _check_options(line: str, command: click.Command) -> None:
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    assert set(re.findall(r"(?<!\S)(--?[a-z][\w-]*)", line)) <= known, line


def test_configuration_examples_are_valid(tmp_path: Path) -> None:
    seen = 0
    for page in PAGES:
        for example in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if "[project." in example:  # a package's own pyproject.toml
                continue
            file = tmp_path / "tinyllm.toml"
            file.write_text(example, encoding="utf-8")
            settings = load_settings(file)
            gate_settings(settings.gates)
            for spec in settings.teachers.values():
                assert set(spec.options) <= set(_settings_of(spec.backend)), (page.name, spec.name)
            seen += 1
    assert seen >= 5


def _settings_of(backend: str) -> Mapping[str, object]:
    settings: Mapping[str, object] = import_module(BUILT_IN[backend].partition(":")[0])._SETTINGS
    return settings


def test_tables_of_settings_and_checks_are_complete() -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    for backend in BUILT_IN:
        assert [name for name in _settings_of(backend) if f"`{name}`" not in pages["teachers"]] == []
    for name in (*GATES, *(one.name for one in fields(GateSettings)), *KINDS):
        assert f"\n| `{name}`" in pages["rationales"], name
    for name in ("inference", *METHODS):
        assert f"\n| `{name}`" in pages["method"], name


def test_the_two_commands_of_the_paper_are_in_the_readme_word_for_word() -> None:
    assert "tinyllm elicit --teacher llama2 --dataset riddle" in README
    assert "tinyllm distill --alpha t5=1,llama=0.5" in README


@pytest.mark.parametrize("script", ["outcomes.py", "arms.py"])
def test_the_tables_of_the_results_follow_from_the_outcomes(script: str) -> None:
    printed = subprocess.run(
        [sys.executable, f"docs/results/{script}", "table"], cwd=ROOT, env=environment(),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shown = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for table in printed.strip().split("\n\n"):
        assert table.startswith("| ")
        assert f"\n\n{table}\n\n" in shown


def test_the_page_about_other_tools_shows_the_scripts_that_run() -> None:
    page = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    for name in ("train_trl.py", "serve_llama_cpp.py"):
        script = (ROOT / "docs" / "interop" / name).read_text(encoding="utf-8")
        assert f"```python\n{script}```\n" in page
    run = (ROOT / "docs" / "interop" / "run.sh").read_text(encoding="utf-8")
    harness = ("--model hf", "--model local-completions")
    for tool in (*harness, "train_trl.py", "--max-model-len 1024", "serve_llama_cpp.py"):
        assert tool in page, tool
        assert tool in run, tool
