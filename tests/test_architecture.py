"""The import directions of the design, read from the source: data flows one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "openai",
    "vllm",
    "accelerate",
    "peft",
    "scipy",
    "huggingface_hub",
    "ctranslate2",
    "onnxruntime",
    "gguf",
}
STAGES = {
    "audit",
    "ingest",
    "recordings",
    "elicit",
    "batches",
    "collecting",
    "distill",
    "evaluate",
    "predict",
    "exporting",
    "experiments",
    "reporting",
    "usefulness",
    "leakage",
}
# What each part of tinyllm_cli imports of the others; stages are never imported by anything but the cli.
ALLOWED = {
    "errors": set(),
    "config": {"errors"},
    "datasets": {"config", "errors"},
    "records": {"datasets"},
    "interrupts": set(),
    "terminal": set(),
    "store": {"datasets", "errors", "interrupts", "records"},
    "prompts": {"datasets", "records"},
    "tasks": {"datasets"},
    "objective": set(),
    "methods": set(),
    "stats": set(),
    "students": {"datasets", "prompts", "records", "tasks"},
    "descent": {"errors"},
    "tracking": {"errors", "keeping"},
    "training": {"descent", "errors", "interrupts", "objective", "students", "tasks"},
    "resuming": {"students", "training"},
    "opinions": {"datasets", "errors", "prompts", "records", "store"},
    "labelling": {"datasets", "errors", "opinions", "store", "tasks"},
    "hinting": {"errors", "opinions", "prompts", "store", "tasks"},
    "gates": {"datasets", "errors"},
    "masking": {"datasets", "gates"},
    "weighing": {"datasets", "masking", "records", "store"},
    "usefulness": {"datasets", "gates", "gating", "masking", "records", "store", "students", "tasks", "weighing"},
    "leakage": {"datasets", "masking", "stats", "students", "tasks"},
    "gating": {"datasets", "gates", "prompts", "records", "store"},
    "selection": {"agreement", "errors", "gates", "gating", "prompts", "records", "store", "tasks", "weighing"},
    "material": {"datasets", "errors", "hinting", "labelling", "selection", "store", "tasks", "training"},
    "keeping": {"card", "interrupts", "material", "records", "resuming", "students", "training"},
    "voices": {"config", "errors", "store", "tasks"},
    "card": {"methods", "records", "tasks"},
    "budget": {"errors"},
    "tally": set(),
    "pending": {"budget", "config", "datasets", "errors", "prompts", "records", "store"},
    "estimate": {"pending", "store", "tally"},
    "agreement": set(),
    "duplicates": {"datasets"},
    "quality": {"gates", "prompts", "records", "selection", "store"},
    "likeness": {"agreement", "datasets", "opinions", "prompts", "records", "store"},
    "survey": {"datasets", "duplicates", "gates", "gating", "likeness", "quality", "records", "store", "tasks"},
    "findings": {"duplicates", "quality", "records", "survey"},
    "dossier": {"datasets", "gates", "prompts", "store", "weighing"},
    "audit": {"errors", "findings", "gates", "store", "survey"},
    "ingest": {"config", "datasets", "errors", "store"},
    "recordings": {"config", "datasets", "errors", "store"},
    "elicit": {"budget", "pending", "store", "tally"},
    "batches": {"budget", "errors", "pending", "records", "store", "tally"},
    "collecting": {"budget", "pending", "records", "store", "tally"},
    "distill": {"errors", "interrupts", "keeping", "material", "records", "resuming", "store", "students"},
    "evaluate": {"datasets", "errors", "opinions", "records", "store", "students", "tasks"},
    "lines": set(),
    "answers": {"errors", "lines"},
    "predict": {"answers", "config", "datasets", "errors", "records", "students"},
    "exporting": {"card", "datasets", "errors", "hinting", "records", "store", "students", "tasks"},
    "experiments": {
        "config",
        "datasets",
        "errors",
        "gates",
        "lines",
        "opinions",
        "prompts",
        "records",
        "resuming",
        "selection",
        "store",
        "voices",
    },
    "reporting": {
        "datasets",
        "dossier",
        "duplicates",
        "findings",
        "gates",
        "methods",
        "quality",
        "records",
        "stats",
        "store",
        "survey",
        "tasks",
        "terminal",
    },
}
BACKENDS_FOR = {
    "students": {"backends.checkpoints", "backends.fingerprints"},
    "datasets": {"backends.hub", "backends.tables"},
    "recordings": {"backends.recorded"},
}


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """(part, file): the part is the module or subpackage right below the package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path.relative_to(ROOT / package).parts[0].removesuffix(".py"), path


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if not top_level_only else _outside_functions(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        type_checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not type_checking:
            yield child
            yield from _outside_functions(child)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_parts_import_what_the_table_says_and_nothing_else(part: str) -> None:
    used = {
        name.split(".")[1]
        for own, path in sources("tinyllm_cli")
        if own == part
        for name in imports(path)
        if name.startswith("tinyllm_cli.")
    }
    assert used - {part, "__version__"} == ALLOWED[part]


def test_the_table_knows_every_part() -> None:
    assert {part for part, _ in sources("tinyllm_cli")} - {"cli", "__init__", "__main__"} == set(ALLOWED)


def test_no_part_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(ALLOWED).prepare()  # raises CycleError


def test_stages_do_not_import_each_other() -> None:
    assert all(not (ALLOWED[stage] & STAGES) for stage in STAGES)


@pytest.mark.parametrize(("part", "path"), list(sources("tinyllm_cli")), ids=lambda value: str(value)[-40:])
def test_only_the_border_of_backends_is_known_outside_it(part: str, path: Path) -> None:
    used = {name for name in imports(path) if name.startswith("backends.")}
    modules = {".".join(name.split(".")[:2]) for name in used}
    allowed = {"backends.base"} | BACKENDS_FOR.get(part, set())
    assert modules <= allowed, f"{path} imports {modules - allowed}"


@pytest.mark.parametrize(("part", "path"), list(sources("backends")), ids=lambda value: str(value)[-40:])
def test_backends_is_a_leaf(part: str, path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "tinyllm_cli"}, part


@pytest.mark.parametrize(
    ("part", "path"), [*sources("tinyllm_cli"), *sources("backends")], ids=lambda value: str(value)[-40:]
)
def test_heavy_libraries_load_only_inside_functions(part: str, path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path, top_level_only=True)}
    assert not used & HEAVY, part


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from tinyllm_cli.cli import app\n"
        "for command in ([], *([one.name] for one in app.registered_commands)):\n"
        "    assert CliRunner().invoke(app, [*command, '--help']).exit_code == 0\n"
        f"print(sorted({HEAVY | {'sqlite_utils', 'jinja2'}!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_modules_stay_readable() -> None:
    """A module under 300 lines; what grows over that is split along a noun."""
    long = {
        str(path): lines
        for package in ("tinyllm_cli", "backends")
        for _, path in sources(package)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path
        for package in ("tinyllm_cli", "backends")
        for _, path in sources(package)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
