"""Everything that a user or a developer reads is plain technical English: no literary phrasing.

Checks the documentation, the configuration files, every --help, the report's templates, and in each package the string
literals, docstrings and comments.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tinyllm_cli.cli import app

EXCLUDED = {
    "told": r"told",
    "stands": r"stands",
    "broken off": r"(?:break|breaks|broke|broken) off",
    "taken up": r"(?:take|takes|took|taken) up",
    "mend": r"mend(?:s|ed|ing)?",
    "grave": r"grave(?:ly|st)?",
    "by itself": r"by (?:itself|themselves)",
    "go on": r"(?:go|goes|going|gone|went) on",
    "at hand": r"at hand",
    "of use": r"of (?:no )?use",
    "in vain": r"in vain",
    "comes to": r"(?:come|comes|came|coming) to",
    "is had": r"(?:is|are|was|were|be|been) had",
    "learnt": r"learnt",
    "this very": r"this very",
    "whatever came out": r"whatever (?:came|comes) out",
}
"""Phrases, with their inflections. Use: reports, is, interrupted, resumed, repair, error, automatically, continues,
available, useful, without effect, amounts to, exists, trained on, this, including negative ones."""

_PATTERN = re.compile(rf"\b(?:{'|'.join(EXCLUDED.values())})\b", re.IGNORECASE)

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
        *(
            ROOT / name
            for name in (
                ".env.example",
                "demo.sh",
                "showcase.sh",
                "Makefile",
                "pyproject.toml",
                "mkdocs.yml",
                "compose.yaml",
            )
        ),
        *(ROOT / name for name in ("CODE_OF_CONDUCT.md", "CITATION.cff", "docs/llms.txt", "containers/Dockerfile")),
        *(path for folder in (".ci", ".github") for path in (ROOT / folder).rglob("*") if path.is_file()),
        *(path for path in (ROOT / "docs").glob("*.md") if path.name != "commands.md"),
    ]
)
COMMANDS = ["", *sorted(command.name or "" for command in app.registered_commands)]


def _packages() -> list[str]:
    """Each folder of the two packages that has modules or templates, as a path from the repository's root."""
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for package in ("tinyllm_cli", "backends", "docs", "benchmarks", "examples")
        for pattern in ("*.py", "*.j2")
        for path in (ROOT / package).rglob(pattern)
    }
    return sorted(folders)


def excluded_in(text: str) -> list[str]:
    """The excluded phrases of a text, also those that a line break separates."""
    return _PATTERN.findall(re.sub(r"[\s#│]+", " ", text))


def _comments(source: str) -> Iterator[str]:
    """Comments; those of consecutive lines are one text."""
    block: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and block:
                yield " ".join(block)
                block = []
            block.append(token.string)
            last = token.start[0]
    if block:
        yield " ".join(block)


def texts_of(path: Path) -> Iterator[str]:
    """What a person reads of a module or a template."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".j2":
        yield source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    yield from _comments(source)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_has_no_excluded_phrase(path: Path) -> None:
    assert excluded_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, id=name or "tinyllm") for name in COMMANDS],
)
def test_a_help_text_has_no_excluded_phrase(command: str) -> None:
    shown = CliRunner().invoke(app, [*filter(None, [command]), "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert excluded_in(shown.output) == []


@pytest.mark.parametrize(
    "package",
    _packages(),
)
def test_a_package_has_no_excluded_phrase(package: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {' '.join(text.split())[:100]}": phrases
        for path in sorted(chain((ROOT / package).glob("*.py"), (ROOT / package).glob("*.j2")))
        for text in texts_of(path)
        if (phrases := excluded_in(text))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "It goes\n    on after a kill.",
        "# which a person is\n# told about",
        "A run that was broken off",
        "Resumes by itself.",
        "mended, where it can be had",
        "│ and it comes  │\n│ to nothing    │",
    ],
)
def test_excluded_phrases_are_found_across_lines(text: str) -> None:
    assert excluded_in(text)


@pytest.mark.parametrize("text", ["go_on(cache)", "recommend", "an engraver", "use of tokens", "it continues"])
def test_other_words_are_allowed(text: str) -> None:
    assert excluded_in(text) == []


def test_every_text_of_a_module_is_checked(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""A module that stands."""\n'
        "x = 1  # told\n"
        'message = f"{x} of them come" f" to {x}"\n'
        'value = {"key": "learnt"}\n'
        "def go_on() -> None:\n"
        '    """Mend it."""\n'
        "    # it goes\n"
        "    # on here\n",
        encoding="utf-8",
    )
    assert sorted(chain.from_iterable(map(excluded_in, texts_of(module)))) == [
        "Mend", "come to", "goes on", "learnt", "stands", "told",
    ]  # fmt: skip
