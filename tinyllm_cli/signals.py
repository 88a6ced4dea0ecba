"""Ctrl-C, SIGTERM (the machine ends the process) and SIGHUP (the terminal closes): deferred during a commit, and
handled alike."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def signals_deferred() -> Iterator[list[int]]:
    """Signals wait until the block ends, also with an exception. The list has those that wait; one that is removed
    from it has been handled."""
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, *_ENDS)}
    try:
        for each in before:
            signal.signal(each, lambda number, frame: pending.append(number))
        yield pending
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in pending[:1]:
            signal.raise_signal(number)


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Within the block, SIGTERM (as sent before a pre-emption) ends the program as Ctrl-C does. So does SIGHUP, except
    under nohup."""
    before = {each: signal.getsignal(each) for each in _ENDS}
    try:
        for each, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(each, signal.default_int_handler)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def die_with_parent(parent: int, number: int) -> None:
    """On Linux this process gets the signal `number` when its `parent` has died; elsewhere it runs to its end."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before the call
            os._exit(1)
