"""Imports of large libraries, made faster."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Python's garbage collector pauses in this block, also as a decorator. Importing torch and transformers makes
    400,000 objects that stay, through which it would look again and again: half a second of three and a half."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def without(name: str) -> Iterator[None]:
    """In this block an import of the package `name` fails as if it were not installed, for a library that imports it
    where it is found; afterwards it works. One that is imported already stays. Not while other threads import it."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
