"""The one place that opens files which a user names: regular files, bounded lines, text in a known encoding.

A pipe would block, a device never ends, and a file without line ends would fill the memory.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TextIO

__all__ = ["MAX_LENGTH", "UnreadableFile", "encoding_of", "lines", "open_binary", "open_text", "read_text"]

MAX_LENGTH = 8 << 20
"""Characters of one line or one JSON value, and bytes of a file that is read whole."""

_BLOCK = 1 << 16
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
WINDOWS = "cp1252"


class UnreadableFile(ValueError):
    """A file can't be read because of what it is or holds; the message says what, without the file's name."""


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """The content of a regular file, seen through a name that ends in `.gz`.

    Raises UnreadableFile when it is no regular file, OSError when it can't be opened."""
    with ExitStack() as opened:
        file: IO[bytes] = opened.enter_context(os.fdopen(_descriptor(path), "rb"))
        if path.suffix.lower() == ".gz":
            file = opened.enter_context(gzip.GzipFile(fileobj=file))  # type: ignore[arg-type]
        yield file


def _descriptor(path: Path) -> int:
    try:  # a pipe that nobody writes to would block without O_NONBLOCK
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:
        raise UnreadableFile("a path holds no NUL character") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise UnreadableFile("it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
    return descriptor


def encoding_of(path: Path, *, fallback: str | None = None) -> str:
    """`utf-16` or `utf-8-sig` by the mark at the beginning, else UTF-8; `fallback` where the file is no UTF-8."""
    with open_binary(path) as file:
        head = file.read(len(codecs.BOM_UTF8))
        encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
        if fallback is None or encoding != "utf-8":
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return fallback
    return encoding


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """The text of a regular file, with its line ends as they are."""
    with open_binary(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield text


def lines(file: TextIO) -> Iterator[str]:
    """The lines of a text, with their ends. Raises UnreadableFile for one that is too long."""
    number = 0
    while line := file.readline(MAX_LENGTH):
        number += 1
        if len(line) == MAX_LENGTH and not line.endswith(("\n", "\r")):
            raise UnreadableFile(f"line {number} is longer than {MAX_LENGTH >> 20} MiB")
        yield line


def read_text(path: Path) -> str:
    """A small text in UTF-8, whole. Raises UnreadableFile when it is larger than 8 MiB, or no UTF-8."""
    with open_binary(path) as file:
        content = file.read(MAX_LENGTH + 1)
    if len(content) > MAX_LENGTH:
        raise UnreadableFile(f"it is larger than {MAX_LENGTH >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"it is not UTF-8 (byte {error.start})") from error
