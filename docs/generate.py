"""Write the generated pages of docs: commands, JSON, settings, the store. `--check` reports what is outdated."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store_page import datasette_metadata, relations, store_page

TARGET = Path(__file__).parent / "commands.md"
COMMANDS = (
    "import",
    "elicit",
    "gate",
    "review",
    "audit",
    "find",
    "inspect",
    "usefulness",
    "distill",
    "eval",
    "experiment",
    "report",
    "compare",
    "view",
    "predict",
    "export",
    "export-data",
    "push",
    "list",
    "rename",
    "delete",
    "prune",
    "backup",
    "check",
    "merge",
    "split",
    "info",
)
_HEAD = """# Commands

Generated from `--help` by `make docs`. A test checks that it is up to date. Terms: [glossary](glossary.md).
"""


def reference() -> str:
    """The whole page."""
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
    for name in ("TINYLLM_DB", "TINYLLM_CONFIG", "FORCE_COLOR"):
        os.environ.pop(name, None)
    from typer.testing import CliRunner

    from tinyllm_cli.cli import app

    parts = [_HEAD]
    for command in ([], *([name] for name in COMMANDS)):
        shown = CliRunner().invoke(app, [*command, "--help"], prog_name="tinyllm").output
        text = "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())
        parts.append(f"## {' '.join(['tinyllm', *command])}\n\n```text\n{text}\n```\n")
        parts += map(_automation, command)
    return "\n".join(parts)


def _automation(command: str) -> str:
    """What scripts need to know about a command: its JSON objects and its exit codes."""
    from tinyllm_cli.api.json_results import RESULTS
    from tinyllm_cli.cli.exit_codes import exit_codes

    objects = " or ".join(f"[{kind.__name__}](schemas/{kind.__name__}.json)" for kind in RESULTS[command])
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in exit_codes(command))
    return f"With `--json`: {objects}.\n\n| exit code | meaning |\n| --- | --- |\n{rows}\n"


_JSON_HEAD = """# JSON output

With `--json` a command prints one JSON object on stdout. This page and the schemas in [schemas](schemas) (JSON Schema,
draft 2020-12) are generated from the typed results by `make docs`; a test validates real output against them.

When a command fails, the last line of stderr is an object with `error`, `hint` and `exit_code` (end of the page).
"""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by type name."""
    from pydantic import TypeAdapter

    from tinyllm_cli.api.json_results import RESULTS

    types = {kind.__name__: kind for kinds in RESULTS.values() for kind in kinds}
    return {name: TypeAdapter(kind).json_schema(mode="serialization") for name, kind in types.items()}


def json_page() -> str:
    """The objects of each command, with their fields."""
    from tinyllm_cli.api.json_results import RESULTS

    known = schemas()
    parts = [_JSON_HEAD]
    for command, kinds in RESULTS.items():
        parts.append(f"## {command if ' ' in command else f'tinyllm {command}'}\n")
        for kind in kinds:
            schema = known[kind.__name__]
            about = " ".join((kind.__doc__ or "").split())
            parts.append(f"[{kind.__name__}](schemas/{kind.__name__}.json): {about}\n")
            rows = [f"| `{name}` | {_type_of(field)} |" for name, field in schema["properties"].items()]
            parts.append("\n".join(["| field | type |", "| --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def _type_of(field: Mapping[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in field:
        return f"{field['$ref'].rpartition('/')[2]} object"
    if "anyOf" in field:
        return " or ".join(map(_type_of, field["anyOf"]))
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kind = field.get("type", "any")
    if kind == "array":
        return f"array of {_type_of(field['items'])}" if "items" in field else "array"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"object with values: {_type_of(field['additionalProperties'])}"
    return str(kind)


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    folder = TARGET.parent
    sys.path.insert(0, str(folder))
    from settings_page import settings_page

    found = relations()
    made = {
        TARGET: reference(),
        folder / "json.md": json_page(),
        folder / "settings.md": settings_page(folder),
        folder / "store.md": store_page(found),
        folder / "datasette.json": datasette_metadata(found),
    }
    for name, schema in schemas().items():
        made[folder / "schemas" / f"{name}.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    return made


def main() -> int:
    made = pages()
    if "--check" in sys.argv:
        stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            sys.stderr.write(f"{path.name} is stale: run make docs\n")
        return 1 if stale else 0
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
