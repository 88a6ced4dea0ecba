"""The exceptions that the command line turns into a message and an exit code.

TinyLLMError         displayed to the user as it is; `hint` says what to do next
+-- UsageProblem     the command as typed can't be carried out (exit 2)
+-- WorldProblem     the environment fails: file, disk, hub, database (exit 1)
    +-- Busy         another process is doing the same; run the command again later (exit 75)
+-- InterruptedByUser  Ctrl-C; the message says what is kept and how to continue (exit 130)
"""

from __future__ import annotations

import shlex


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


def command_text(*words: object) -> str:
    """`tinyllm` with these words as the shell takes them, for a hint. Names and paths may hold spaces and quotes."""
    return shlex.join(["tinyllm", *map(as_word, words)])


def as_word(value: object) -> str:
    """A value of an option as text that reads back as the same value."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
