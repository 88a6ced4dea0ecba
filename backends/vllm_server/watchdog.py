"""Run one command, and leave none of its processes running, in whichever way the caller ends.

    python -I watchdog.py [--grace SECONDS] [--scratch FOLDER] -- COMMAND...

The command runs in its own session, so that Ctrl-C in the terminal doesn't reach it. The command and its descendants
are ended (SIGTERM, the grace period, SIGKILL) at the end of standard input, which is reached when the process at the
other end of the pipe dies for any reason; when the watchdog gets SIGTERM, SIGINT or SIGHUP; and when the command exits,
so that no worker outlives a crashed server. The exit code is the command's. FOLDER is removed at the end of standard
input, unless something was written to standard input before.

It is run as a file and imports only the standard library; it knows nothing about vLLM or tinyllm.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_GRACE = 10.0
_AFTER_KILL = 10.0
"""Seconds to wait until killed processes are gone: a driver may hold a process for a while."""

_PAUSE = 0.05
_WAKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


class Command:
    """The running command and its descendants."""

    def __init__(self, command: list[str]) -> None:
        # Orphans of the command become our children, so that detached ones are found, too.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        # Kept: a Popen that is garbage-collected waits for its process, and we would miss its exit.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_the_watchdog
        )
        self._leader = self._process.pid
        self.code: int | None = None
        """The exit code once the command itself is gone; 128 + the number of the signal that ended it."""

    def reap(self) -> None:
        """Collect the processes that have exited."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._leader:
                ended = self._process.returncode = os.waitstatus_to_exitcode(status)
                self.code = ended if ended >= 0 else 128 - ended

    def end(self, grace: float) -> None:
        """Stop the command, then its remaining descendants, then kill; return when all are gone."""
        deadline = time.monotonic() + grace
        if self.code is None:
            _send(self._leader, signal.SIGTERM)  # a server stops its workers in the right order
        while self.code is None and time.monotonic() < deadline:
            self._wait()
        self._signal(signal.SIGTERM)
        while self._alive() and time.monotonic() < deadline:
            self._wait()
        deadline = time.monotonic() + _AFTER_KILL
        while self._alive() and time.monotonic() < deadline:
            self._signal(signal.SIGKILL)  # repeatedly: a process that is just being forked is missed
            self._wait()

    def _wait(self) -> None:
        time.sleep(_PAUSE)
        self.reap()

    def _alive(self) -> bool:
        self.reap()
        if _PROC.joinpath("self", "stat").exists():
            return any(True for _ in _descendants(os.getpid()))
        try:
            os.killpg(self._leader, 0)
        except ProcessLookupError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        if _PROC.joinpath("self", "stat").exists():
            for pid in _descendants(os.getpid()):
                _send(pid, number)
        else:  # not Linux: processes that left the process group are not found
            try:
                os.killpg(self._leader, number)
            except (ProcessLookupError, PermissionError):
                return


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--grace", type=float, default=_GRACE, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--scratch", help="a folder to remove when standard input ends without any input")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    woken = _wakeup_fd()  # before a child exists that could exit unnoticed
    try:
        command = Command(options.command)
    except OSError as error:
        sys.stderr.write(f"{options.command[0]}: {error.strerror}\n")
        return 127
    keep = ended = False
    while command.code is None and not ended:
        signalled, word = _next_event(woken)
        keep = keep or bool(word)
        ended = signalled or word == b""
        command.reap()
    command.end(options.grace)
    if options.scratch and ended and not signalled and not keep:
        shutil.rmtree(options.scratch, ignore_errors=True)
    return command.code if command.code is not None else 1


def _wakeup_fd() -> int:
    """A file descriptor that gets a byte with each signal, so that one `select` waits for signals and input."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _WAKING:
        signal.signal(number, lambda *_: None)
    return reading


def _next_event(woken: int) -> tuple[bool, bytes | None]:
    """Wait for the next event: whether there is a signal to stop, and the standard input (b"": its end; None: no
    input)."""
    standard_input = sys.stdin.fileno()
    ready, _, _ = select.select([woken, standard_input], [], [])
    signalled = woken in ready and any(number != signal.SIGCHLD for number in os.read(woken, 4096))
    return signalled, os.read(standard_input, 4096) if standard_input in ready else None


def _end_with_the_watchdog() -> None:
    """In the child: when the watchdog itself is killed, the command gets SIGTERM (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _descendants(ancestor: int) -> Iterator[int]:
    """All processes below `ancestor`, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int(entry.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it has exited meanwhile
        children.setdefault(parent, []).append(int(entry.name))
    waiting = [ancestor]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(main())
