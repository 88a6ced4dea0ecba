"""docs/settings.md from the code: the typed settings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any

_SETTINGS_HEAD = """# Settings

Generated from the code by `make docs`. A flag wins over the environment and `.env`, these win over `tinyllm.toml`,
and this wins over a default. Where each setting belongs: [teachers](teachers.md), [data](data.md),
[rationales](rationales.md).
"""
_COMMON = {
    "backend": ("text", "required", "one of the backends below, or of an installed package"),
    "prefix": ("text", "`NAME: `", "the student's instruction to write this teacher's rationale"),
    "temperature": (
        "number",
        "0; hosted: not sent",
        "sampling; the command's option wins",
    ),
    "top_p": ("number", "1; hosted: not sent", "sampling"),
    "max_tokens": ("whole number", "256", "longest reply in tokens"),
    "stop": ("list of texts", "none", "texts that end a reply"),
    "seed": ("whole number", "0", "seed of sampling"),
}


def settings_page(folder: Path) -> str:
    """Name, type, default and meaning of every setting. Meanings of backends' settings come from docs/teachers.md."""
    from backends import BUILT_IN
    from tinyllm_cli.config import DatasetSpec, Settings
    from tinyllm_cli.rationales.gates.settings import GateSettings
    from tinyllm_cli.records.settings import TrainSettings

    meanings = dict(_meanings((folder / "teachers.md").read_text(encoding="utf-8")))
    money = [row for row in _of_dataclass(Settings) if row[0] == "currency"]
    parts = [_SETTINGS_HEAD, "## Above the first table\n", _table((name, "text", *row) for name, _, *row in money)]
    parts += ["## Teachers: `[teachers.NAME]`\n", _table((name, *row) for name, row in _COMMON.items())]
    for backend, where in sorted(BUILT_IN.items()):
        known: Mapping[str, Any] = import_module(where.partition(":")[0])._SETTINGS
        rows = ((name, *_typed(value), meanings.get((backend, name), "")) for name, value in known.items())
        parts += [f"### Backend `{backend}`\n", _table(rows)]
    parts += ["### On a cluster: `[teachers.NAME.cluster]`\n", _table(_cluster_rows(folder / "cluster.md"))]
    parts += ["## Data sets: `[datasets.NAME]`\n", _table(_dataset_rows(DatasetSpec))]
    parts += ["## Gates: `[gates]`\n", _table(_of_dataclass(GateSettings))]
    parts += ["## Training: options of `tinyllm distill`\n", _table(_training_rows(TrainSettings))]
    parts += ["## Environment variables\n", _variables(folder.parent / ".env.example")]
    return "\n".join(parts)


def _cluster_rows(page: Path) -> Iterator[tuple[str, str, str, str]]:
    """Types from the code, defaults and meanings from the page; a row of the page may hold two settings."""
    from backends.cluster.settings import KNOWN

    found = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        for name in re.findall(r"`(\w+)`", cells[0]) if len(cells) == 3 else []:
            found[name] = cells[1:]
    for name, kind in KNOWN.items():
        default, meaning = found[name]
        yield name, kind, default, meaning


def _table(rows: Any) -> str:
    lines = [f"| `{name}` | {kind} | {default} | {meaning} |" for name, kind, default, meaning in rows]
    return "\n".join(["| setting | type | default | meaning |", "| --- | --- | --- | --- |", *lines]) + "\n"


def _meanings(page: str) -> Iterator[tuple[tuple[str, str], str]]:
    """((backend, setting), meaning) of the tables whose head is `setting of BACKEND`."""
    for table in re.finditer(r"^\| setting of `(\w+)` \|.*?\n\n", page, re.MULTILINE | re.DOTALL):
        yield (table[1], "revision"), "branch, tag or commit of the model on the hub"
        for row in re.findall(r"^\| (`.*?) \| (.*?) \| (.*) \|$", table[0], re.MULTILINE):
            text = re.sub(r"\[([^\]]+)\]\((#[^)]+)\)", r"[\1](teachers.md\2)", row[2])
            for name in set(re.findall(r"`(\w+)`", row[0])) - {"revision"}:
                yield (table[1], name), text


def _typed(value: Any) -> tuple[str, str]:
    """Type and default of a backend's setting, from its entry: a type has no default."""
    if isinstance(value, type | UnionType):
        return _name_of(value), "none"
    if value is None:
        return "any", "none"
    return _name_of(type(value)), f"`{value}`" if value not in ([], {}) else "none"


def _name_of(kind: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "table"}
    if isinstance(kind, UnionType):
        return " or ".join(words.get(one, getattr(one, "__name__", str(one))) for one in kind.__args__)
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _of_dataclass(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """Fields with the docstrings that follow them in the source."""
    about = dict(_field_docs(kind))
    for one in fields(kind):
        default = "required" if one.default is MISSING else f"`{one.default}`"
        yield one.name, str(one.type).replace("|", "or"), default, about.get(one.name, "")


def _field_docs(kind: type) -> Iterator[tuple[str, str]]:
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    for one, following in zip(tree.body, tree.body[1:], strict=False):
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(text, ast.Constant):
            yield one.target.id, " ".join(str(text.value).split())


def _dataset_rows(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """The splits are keys of their own in tinyllm.toml."""
    yield "train, valid, test", "text", "none", "the file of each split, relative to tinyllm.toml"
    yield "columns", "table", "none", "field = column, for id, question, options, answer, context, split"
    yield from (row for row in _of_dataclass(kind) if row[0] not in ("name", "splits", "columns"))


def _training_rows(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """Each setting by its option, with the option's help."""
    import typer

    from tinyllm_cli.cli import app

    group: Any = typer.main.get_command(app)
    options = {option.name: option for option in group.commands["distill"].params}
    names = {"reading": "loss"}
    for one in fields(kind):
        option = options.get(names.get(one.name, one.name))
        if option is not None:
            kind_name = str(one.type).replace("|", "or")
            help_text = str(getattr(option, "help", "") or "")
            yield option.opts[0], kind_name, f"`{one.default}`", help_text


def _variables(example: Path) -> str:
    """The variables of .env.example with the comments above them."""
    rows, comment = [], []
    for line in example.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif "=" in line:
            rows.append(f"| `{line.partition('=')[0]}` | {' '.join(comment)} |")
            comment = []
        else:
            comment = []
    return "\n".join(["| variable | meaning |", "| --- | --- |", *rows]) + "\n"
