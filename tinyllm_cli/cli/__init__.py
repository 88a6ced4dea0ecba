"""The command line: one module for each command, and what they share in `session` and `console`.

`app` has all commands. It is made when it is first used: a command imports its own module alone.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.commands import COMMANDS, app_of, listing
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.config.env_file import apply_env_file
from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    import typer

    app: typer.Typer


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = app_of(COMMANDS)
    return globals()["app"]


def app_for(words: Sequence[str]) -> typer.Typer:
    """The app for these arguments: with the command that they name, or with all, such as for a name that is wrong."""
    if words and words[0] in COMMANDS:
        return app_of(words[:1])
    return listing() if list(words) in ([], ["--help"]) and "_TINYLLM_COMPLETE" not in os.environ else app_of(COMMANDS)


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    try:
        apply_env_file(os.environ)  # before options and libraries read the environment
    except UsageProblem as error:
        Console(json="--json" in sys.argv).error(str(error), error.hint, error.exit_code)
        sys.exit(error.exit_code)
    # transformers asks the hub about a model's safetensors conversion in a thread of its own; we never load pickle.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app_for(sys.argv[1:])()
    except BrokenPipeError:  # `tinyllm report | head`
        sys.stderr.close()
        sys.exit(141)
    finally:
        gc.freeze()  # the process ends: Python need not look for garbage among the objects of large libraries
