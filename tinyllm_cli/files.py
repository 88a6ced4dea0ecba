"""Files that tinyllm writes: appended lines, whole files that replace others, and locks of what one process writes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

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


def from_here(name: str) -> str:
    """A local path without the current folder, if it lies below that: as a user types it. Other names unchanged."""
    path, here = Path(name), Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and here in path.parents else name


def to_disk(*paths: Path) -> None:
    """Return when the files and folders are on the disk (fsync), so that no name refers to lost content after a power
    failure."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Write a text so that `path` holds the old content or the new, never a part: a full disk or a kill leaves the old.

    A link keeps its place and its target is replaced; a device or a pipe, such as /dev/stdout, is written to.
    Raises OSError, with `path` as its file."""
    try:
        _write_whole(path.resolve(), text)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _write_whole(target: Path, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            target.write_text(text, encoding="utf-8", newline="")
            return
    draft = target.with_name(f".{target.name[:200]}.tinyllm-new")
    draft.unlink(missing_ok=True)  # of a write that was killed
    try:
        with draft.open("x", encoding="utf-8", newline="") as file:  # never through a link that somebody put there
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    to_disk(target.parent)


def belongs_to_database(path: Path, database: Path) -> bool:
    """Whether a path is a SQLite database or one of the files that SQLite keeps beside it, also by way of a link."""
    own = [database, *(database.with_name(database.name + end) for end in ("-wal", "-shm", "-journal"))]
    return path.resolve() in [one.resolve() for one in own] or any(
        path.exists() and one.exists() and path.samefile(one) for one in own
    )


@contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold the lock on the file `path` for the block; creates the file, with its folder, and removes it. False, and no
    lock, when another process holds it. The system releases the lock however its process ends."""
    from filelock import FileLock, Timeout  # with asyncio: a tenth of a second that few commands need

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # before the release: afterwards it may be another process's
        lock.release()


def exclusive(path: Path) -> AbstractContextManager[bool]:
    """Hold a lock beside `path`, a file or folder to write; see `holding`. Its name is one that no other program gives
    to a file: a lock is emptied and removed."""
    return holding(path.with_name(f".{path.name}.tinyllm.lock"))
