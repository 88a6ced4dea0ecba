"""Ctrl-C, and the end that a machine announces with SIGTERM: held back while something must not be torn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Both wait until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    held = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, frame: pending.append(number)) for each in held]
    try:
        yield
    finally:
        for each, handler in zip(held, before, strict=True):
            signal.signal(each, handler)
    for number in pending[:1]:
        signal.raise_signal(number)


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Within, SIGTERM ends the program as Ctrl-C does, with what that keeps: a pre-emption sends it ahead."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
