"""Files to which lines are appended, and files and folders that one process writes at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_BLOCK = 1 << 16


def cut_torn_line(path: Path) -> None:
    """Remove the incomplete last line that a kill or a full disk left."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:
            block = min(_BLOCK, start)
            start = file.seek(start - block)
            newline = file.read(block).rfind(b"\n")
            if newline >= 0:
                start += newline + 1
                break
        if start < end:
            file.truncate(start)


def to_disk(*paths: Path) -> None:
    """Return when the files and folders are on the disk: a name must not outlive what it names when the power goes."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold the lock `.NAME.lock` beside `path`, a file or folder to write, for the block. False, and no lock, when
    another process holds it. The system releases the lock when its process ends."""
    beside = path.with_name(f".{path.name}.lock")
    lock = FileLock(beside)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        beside.unlink(missing_ok=True)  # while we hold it: after the release it may be another's
        lock.release()
