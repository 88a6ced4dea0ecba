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
    "altair",
    "vl_convert",
    "datasette",
    "uvicorn",
    "ray",
}
LAYERS = (
    {"cli", "cli.views"},
    {"view"},
    {"api"},
    {"report", "experiments", "experiments.cluster", "export", "maintenance", "publish"},
    {"merging"},
    {"audit", "evaluation", "training"},
    {"rationales", "rationales.gates"},
    {"elicitation", "ingestion"},
    {"store", "students", "students.loss", "students.loss.cpu", "students.loss.gpu"},
    {"records"},
    {"datasets", "datasets.procedural"},
    {"config"},
    {"currency", "signals", "files", "iteration", "stats", "terminal"},
    {"errors", "events"},
)
"""From the top down. A part imports parts of lower layers; within a layer only the pairs in WITHIN."""

WITHIN = {
    ("cli", "cli.views"),
    ("datasets.procedural", "datasets"),
    ("experiments.cluster", "experiments"),
    ("iteration", "signals"),
    ("rationales", "rationales.gates"),
    ("students", "students.loss.cpu"),
    ("students.loss", "students"),
    ("students.loss", "students.loss.cpu"),
    ("students.loss", "students.loss.gpu"),
    ("students.loss.gpu", "students"),
    ("students.loss.gpu", "students.loss.cpu"),
}
# What each part of tinyllm_cli imports of the others: the table is exact.
ALLOWED = {
    "api": {
        "audit",
        "config",
        "datasets",
        "datasets.procedural",
        "elicitation",
        "errors",
        "evaluation",
        "events",
        "experiments",
        "experiments.cluster",
        "export",
        "files",
        "ingestion",
        "iteration",
        "maintenance",
        "merging",
        "publish",
        "rationales",
        "rationales.gates",
        "records",
        "report",
        "signals",
        "store",
        "students",
        "training",
    },
    "audit": {
        "datasets",
        "elicitation",
        "errors",
        "iteration",
        "rationales",
        "rationales.gates",
        "records",
        "store",
        "students",
    },
    "cli": {
        "api",
        "cli.views",
        "config",
        "datasets",
        "datasets.procedural",
        "elicitation",
        "errors",
        "evaluation",
        "experiments",
        "experiments.cluster",
        "export",
        "rationales",
        "records",
        "report",
        "store",
        "students",
        "terminal",
        "training",
        "view",
    },
    "cli.views": {
        "api",
        "audit",
        "currency",
        "datasets",
        "elicitation",
        "errors",
        "events",
        "experiments",
        "files",
        "maintenance",
        "merging",
        "rationales",
        "rationales.gates",
        "records",
        "report",
        "store",
        "terminal",
    },
    "config": {"currency", "errors"},
    "currency": set(),
    "datasets": {"config", "errors"},
    "datasets.procedural": {"datasets", "errors"},
    "elicitation": {"config", "currency", "datasets", "errors", "events", "iteration", "records", "store"},
    "errors": set(),
    "evaluation": {"config", "datasets", "errors", "files", "iteration", "rationales", "records", "store", "students"},
    "events": set(),
    "experiments": {
        "config",
        "datasets",
        "errors",
        "files",
        "ingestion",
        "iteration",
        "rationales",
        "rationales.gates",
        "records",
        "signals",
        "store",
        "students",
        "training",
    },
    "experiments.cluster": {"config", "errors", "experiments", "merging", "records", "store", "students", "training"},
    "export": {"datasets", "errors", "evaluation", "files", "records", "store", "students", "training"},
    "files": set(),
    "ingestion": {"config", "datasets", "errors", "events", "records", "store"},
    "iteration": {"signals"},
    "maintenance": {"datasets", "errors", "files", "records", "store", "students", "training"},
    "publish": {"currency", "errors", "records", "stats", "store", "training"},
    "merging": {"errors", "files", "store", "training"},
    "rationales": {
        "config",
        "datasets",
        "elicitation",
        "errors",
        "events",
        "iteration",
        "rationales.gates",
        "records",
        "stats",
        "store",
        "students",
    },
    "rationales.gates": {"datasets", "errors"},
    "records": {"datasets", "errors"},
    "report": {
        "audit",
        "currency",
        "datasets",
        "errors",
        "files",
        "rationales",
        "rationales.gates",
        "records",
        "stats",
        "store",
        "students",
        "terminal",
        "training",
    },
    "signals": set(),
    "stats": set(),
    "store": {"datasets", "errors", "files", "iteration", "records", "signals"},
    "students": {"datasets", "errors", "files", "records", "students.loss.cpu"},
    "students.loss": {"students", "students.loss.cpu", "students.loss.gpu"},
    "students.loss.cpu": set(),
    "students.loss.gpu": {"students", "students.loss.cpu"},
    "terminal": set(),
    "training": {
        "config",
        "datasets",
        "elicitation",
        "errors",
        "files",
        "rationales",
        "records",
        "signals",
        "store",
        "students",
        "students.loss",
    },
    "view": {"api", "currency", "errors", "rationales.gates", "report", "store", "terminal"},
}
BACKENDS_FOR = {
    "api": {"backends.checkpoints"},
    "cli": {"backends.imports"},
    "config": {"backends.cluster", "backends.user_files"},
    "students": {"backends.architectures", "backends.checkpoints", "backends.fingerprints", "backends.model_files"},
    "elicitation": {"backends.reply_text", "backends.sampling"},
    "experiments.cluster": {"backends.cluster"},
    "datasets": {"backends.hub", "backends.row_files", "backends.user_files"},
    "ingestion": {"backends.recorded"},
    "store": {"backends.imports"},
}


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """(part, file): the part is the folder below the package, such as `students.loss`, or a module right in it."""
    for path in sorted((ROOT / package).rglob("*.py")):
        folders = path.relative_to(ROOT / package).parts[:-1]
        yield ".".join(folders) or path.stem, path


def modules() -> dict[str, Path]:
    """Every module of tinyllm_cli by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for _, path in sources("tinyllm_cli")
    }


def part_of(module: str, known: dict[str, Path]) -> str:
    inner = module.removeprefix("tinyllm_cli.").split(".")
    is_package = known[module].name == "__init__.py"
    return ".".join(inner if is_package or len(inner) == 1 else inner[:-1])


def edges(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of tinyllm_cli that this one imports, also inside functions."""
    used = imports(path) & set(known) - {"tinyllm_cli"}
    return {name for name in used if not any(other.startswith(f"{name}.") for other in used)}


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
    known = modules()
    used = {part_of(name, known) for own, path in sources("tinyllm_cli") if own == part for name in edges(path, known)}
    assert used - {part} == ALLOWED[part]


def test_the_table_knows_every_part() -> None:
    assert {part for part, _ in sources("tinyllm_cli")} - {"__init__", "__main__"} == set(ALLOWED)
    assert set().union(*LAYERS) == set(ALLOWED)


def test_imports_only_go_down() -> None:
    layer = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    up = {(one, other) for one, used in ALLOWED.items() for other in used if layer[one] >= layer[other]}
    assert up == WITHIN


def test_no_part_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(ALLOWED).prepare()  # raises CycleError


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules()
    graph = {name: edges(path, known) - {name} for name, path in known.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_students_and_reports_stay_apart_from_what_they_must_not_know() -> None:
    assert "store" not in ALLOWED["students"] | ALLOWED["students.loss"]
    from_training = {
        name
        for own, path in sources("tinyllm_cli")
        if own == "report"
        for name in imports(path)
        if name.startswith("tinyllm_cli.training.")
    }
    assert {name.split(".")[2] for name in from_training} == {"methods"}


def test_few_modules_lie_flat() -> None:
    assert len(list((ROOT / "tinyllm_cli").glob("*.py"))) <= 10


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
