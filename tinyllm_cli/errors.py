"""The exceptions that the command line turns into a message and an exit code.

TinyLLMError         displayed to the user as it is; `hint` says what to do next
+-- UsageProblem     the command as typed can't be carried out (exit 2)
+-- WorldProblem     the environment fails: file, disk, hub, database (exit 1)
    +-- Busy         another process is doing the same; run the command again later (exit 75)
+-- InterruptedByUser  Ctrl-C; the message says what is kept and how to continue (exit 130)
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class TinyLLMError(Exception):
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageProblem(TinyLLMError):
    """The command can't be carried out because of what was typed or configured."""

    exit_code = 2


class WorldProblem(TinyLLMError):
    """The command can't be carried out because of a file, a disk, a network or a database."""


class Busy(WorldProblem):
    """The command can't be carried out just now because another process is doing the same."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class InterruptedByUser(TinyLLMError):
    """The command stopped because of Ctrl-C; the message says what is kept and how to continue."""

    exit_code = 130


def choices(names: object) -> str:
    """`a, b, c`, sorted, for a hint that lists what is available."""
    listed = sorted(map(str, names)) if isinstance(names, (list, tuple, set, frozenset, dict)) else [str(names)]
    return ", ".join(listed) if listed else "none"


_place: Sequence[tuple[str, str]] = ()
"""Options that say where the command of this process works, such as ("--db", "other.db")."""


@contextmanager
def suggesting(place: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Within the block, suggested commands name the place too: the database and settings file that the user gave."""
    global _place
    before, _place = _place, place
    try:
        yield
    finally:
        _place = before


def command_text(*words: object) -> str:
    """`tinyllm` with these words as the shell takes them, for a hint. Names and paths may hold spaces and quotes."""
    return at_place(shlex.join(["tinyllm", *map(as_word, words)]))


def at_place(command: str) -> str:
    """The command with the options of the place that it does not have."""
    missing = ((option, value) for option, value in _place if f" {option}" not in command)
    return command + "".join(f" {option} {shlex.quote(value)}" for option, value in missing)


def as_word(value: object) -> str:
    """A value of an option as text that reads back as the same value."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
