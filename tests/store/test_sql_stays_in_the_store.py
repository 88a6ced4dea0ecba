"""In tinyllm_cli only the store contains SQL, and its queries say what they return."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

SQL = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bINSERT\b.+\bINTO\b|\bUPDATE \w+ SET\b|\bDELETE FROM\b|\bCREATE (TABLE|INDEX)\b|^PRAGMA ",
    re.DOTALL,
)
STORE = ROOT / "tinyllm_cli" / "store"
OTHERS = [path for path in sorted((ROOT / "tinyllm_cli").rglob("*.py")) if STORE not in path.parents]


def texts(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sql_outside_the_store(path: Path) -> None:
    assert [text for text in texts(path) if SQL.search(text)] == []


def test_the_pattern_finds_the_stores_own_sql() -> None:
    found = {path.name for path in STORE.glob("*.py") if any(SQL.search(text) for text in texts(path))}
    assert {"runs.py", "rationales.py", "questions.py", "ddl.py", "opening.py"} <= found


def test_every_query_has_a_docstring() -> None:
    classes = [
        (path.name, node)
        for path in sorted(STORE.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and (node.name.endswith("Queries") or node.name == "Worker")
    ]
    silent = [
        f"{name}: {method.name}"
        for name, owner in classes
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and not ast.get_docstring(method)
    ]
    assert len(classes) > 10
    assert silent == []
