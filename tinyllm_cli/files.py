"""Files that must survive a kill or a power failure: appended lines, and writes that reach the disk."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 1 << 16


def cut_torn_line(path: Path) -> None:
    """Truncate the file after its last complete line."""
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
    """Return when the files and folders are on the disk (fsync), so that no name refers to lost content after a power
    failure."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
