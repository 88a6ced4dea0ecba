"""What every command shares: the common options, the open store, and the border where errors become messages."""

from __future__ import annotations

import errno
import functools
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import InterruptedByUser, TinyLLMError, UsageProblem, WorldProblem, suggesting

if TYPE_CHECKING:
    from tinyllm_cli.api import Project
    from tinyllm_cli.config import Settings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Session:
    """What a command works with: the database, the settings file and the terminal."""

    db: Path
    config: Path | None
    console: Console

    def project(self, *, create: bool = False) -> Project:
        """The open database with its settings, a context manager."""
        return api.open_store(self.db, config=self.config, create=create)

    @functools.cached_property
    def settings(self) -> Settings:
        from tinyllm_cli.config import load_settings

        return load_settings(self.config)


def _place(db: object, config: object) -> list[tuple[str, str]]:
    """The options for the database and the settings file, where they are not those that a command takes anyway."""
    given = (("--db", db, "TINYLLM_DB"), ("--config", config, "TINYLLM_CONFIG"))
    return [
        (option, str(value))
        for option, value, variable in given
        if value not in (None, DEFAULT_DB) and str(value) != os.environ.get(variable)
    ]


def command_line() -> str:
    """This command as it was typed."""
    return shlex.join(["tinyllm", *sys.argv[1:]])


def without(option: str) -> str:
    """This command as it was typed, without an option."""
    return shlex.join(["tinyllm", *(word for word in sys.argv[1:] if word != option)])


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one or two lines and an exit code; `--debug` shows the traceback as well."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        console = Console(json=bool(kwargs.get("json")), quiet=bool(kwargs.get("quiet")))
        try:
            with suggesting(_place(kwargs.get("db"), kwargs.get("config"))):
                return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            problem: TinyLLMError = InterruptedByUser(
                "Stopped. Finished work is stored.", "Run the same command to continue."
            )
            problem.__cause__ = error
        except Exception as error:  # noqa: BLE001 - the border: everything else is a defect, and says so
            problem = _as_problem(error, Path(str(kwargs.get("db") or DEFAULT_DB)))
        if kwargs.get("debug"):
            import traceback

            console.trace("".join(traceback.format_exception(problem)))
        console.error(str(problem), problem.hint, problem.exit_code)
        raise typer.Exit(problem.exit_code)

    return run


def _as_argument(error: Exception) -> UsageProblem | None:
    """The problem of an argument that neither the database nor the libraries can take; None for other errors."""
    if isinstance(error, OverflowError) and "SQLite" in str(error):
        return UsageProblem("A number that was given is larger than the database can hold.", "--debug shows where.")
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return UsageProblem(f"{error.object[:80]!a} is not valid UTF-8.", "Give another name, or rename the file.")
    return None


def _as_problem(error: Exception, db: Path) -> TinyLLMError:
    if isinstance(error, TinyLLMError):
        return error
    import sqlite3

    from backends.base import BadTeacherConfig, TeacherError

    problem: TinyLLMError
    if isinstance(error, BadTeacherConfig):
        problem = UsageProblem(str(error), error.hint)
    elif isinstance(error, TeacherError):
        problem = WorldProblem(str(error), error.hint)
    elif isinstance(error, sqlite3.Error):
        from tinyllm_cli.store import explain

        problem = explain(error, db)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        problem = WorldProblem(
            f"The disk is full: {error.filename or 'a file'} can't be written.",
            "Free some space and run the same command again; what was finished is kept.",
        )
    elif isinstance(error, OSError):
        problem = WorldProblem(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
    elif isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of Path.resolve, before 3.13
        problem = WorldProblem(f"{error}: the link leads back to itself.")
    elif (wrong := _as_argument(error)) is not None:
        problem = wrong
    elif "No space left" in str(error):  # safetensors wraps the system's error in its own
        problem = WorldProblem("The disk is full: the model can't be saved.", "Free some space and run it again.")
    else:
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        problem = TinyLLMError(
            f"Something unexpected happened ({summary}).",
            "This is a defect of tinyllm: run it with --debug and report what it shows.",
        )
    problem.__cause__ = error
    return problem
