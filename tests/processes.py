"""Processes found by a mark in their environment, which children inherit, so that nothing can hide by detaching."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

MARK = "TINYLLM_TEST_MARK"
VISIBLE = {"SPT_NOENV": "1"}
"""Keeps setproctitle, by which vLLM names its processes, from writing the name over the environment."""


def new_mark() -> str:
    """A value for the environment variable MARK that no other process has."""
    return uuid.uuid4().hex


def marked(mark: str) -> dict[int, str]:
    """The living processes with this mark: pid -> command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"{MARK}={mark}".encode() in entry.joinpath("environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # gone in the meantime, or a zombie
    return found


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.05)


def gone(mark: str, seconds: float = 60.0) -> None:
    """Wait until no process has the mark; says which ones stayed."""
    deadline = time.monotonic() + seconds
    while left := marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def kill_all(mark: str) -> None:
    """So that a failed test leaves nothing behind for the next one."""
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
