"""Write docs/commands.md from the --help of the commands; `--check` reports whether it is up to date."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TARGET = Path(__file__).parent / "commands.md"
COMMANDS = (
    "import",
    "elicit",
    "gate",
    "audit",
    "inspect",
    "usefulness",
    "distill",
    "eval",
    "experiment",
    "report",
    "predict",
    "export",
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
    return "\n".join(parts)


def main() -> int:
    text = reference()
    if "--check" in sys.argv:
        return 0 if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
