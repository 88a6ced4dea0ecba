"""The command group: usage errors are one or two lines, or JSON under --json, as all other errors are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from tinyllm_cli.cli.views.console import Console


class CommandGroup(TyperGroup):
    """Typer's group, without its boxes around errors."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, standalone_mode=False, **extra)
        except Exception as error:
            message = getattr(error, "format_message", None)
            if not standalone_mode or message is None:
                raise
            exit_code = int(getattr(error, "exit_code", 2))
            if not words:  # no command: the message is the help text
                sys.stderr.write(message() + "\n")
            else:
                context = getattr(error, "ctx", None)
                text = " ".join(message().replace("Value error, ", "").split())
                command = f"tinyllm {context.command.name}" if context is not None and context.parent else "tinyllm"
                Console(json="--json" in words).error(text, f"Options: {command} --help", exit_code)
            sys.exit(exit_code)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code
