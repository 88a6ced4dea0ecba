"""The temporary folder that an export is written to, and the removal of those that killed exports left.

A folder is removed only if an export made it, by its mark or by what is in it, and if no export to its name is running.
What only looks like one of an earlier version is named, and stays.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.files import exclusive

MARK = ".tinyllm-export"
"""A file in the folder that is removed at the end."""

_NAME = re.compile(r"\.(?P<out>.+?)(?P<today>\.export)?-[a-z0-9_]{8}", re.DOTALL)
"""As `mkdtemp` makes them: `.OUT.export-abcd1234`; version 0.1 had no `.export`."""

_MODELS = {"model.gguf", "model.bin", "model.onnx", "whole"}
_FILES = _MODELS | {
    "README.md", "config.json", "model.onnx.data", "shared_vocabulary.json", "source_vocabulary.json",
    "target_vocabulary.json", "vocabulary.json", "shared_vocabulary.txt", "source_vocabulary.txt",
    "target_vocabulary.txt", "vocabulary.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "spiece.model", "vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json",
}  # fmt: skip
"""What exports write."""

_OLD = 3600.0
"""Seconds after which an export of version 0.1, which held no lock, has renamed a complete folder."""


@dataclass(frozen=True, kw_only=True)
class _Leftover:
    folder: Path
    out: Path
    today: bool
    """Named as today's exports name it, which hold a lock."""

    @property
    def marked(self) -> bool:
        mark = self.folder / MARK
        return mark.is_file() and not mark.is_symlink()

    @property
    def holds_an_export(self) -> bool:
        """It is private, as `mkdtemp` makes it, and holds nothing but what exports write."""
        status = self.folder.stat()
        names = {path.name for path in self.folder.iterdir()}
        private = status.st_mode & 0o777 == 0o700 and status.st_uid == os.getuid()
        return private and names <= _FILES and bool(names & _MODELS)

    @property
    def is_ours(self) -> bool:
        if self.marked or (self.today and self.holds_an_export):
            return True
        return self.holds_an_export and self._is_described()

    def _is_described(self) -> bool:
        """An export of version 0.1 was complete, and not renamed yet."""
        card = self.folder / "README.md"
        if not card.is_file() or time.time() - card.stat().st_mtime < _OLD:
            return False
        with card.open("rb") as file:
            return b"\nExported by tinyllm " in file.read(4096)


@contextmanager
def temporary_folder(out: Path) -> Iterator[Path]:
    """A new folder, in a marked one beside `out` that is removed with all that is left in it."""
    marked = Path(tempfile.mkdtemp(prefix=f".{out.name}.export-", dir=out.parent))
    try:
        (marked / MARK).touch()
        folder = marked / "export"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(marked, ignore_errors=True)


def remove_leftovers(out: Path, watch: Callable[[str], None]) -> None:
    """Remove what killed exports left in the folder of `out`, whose lock the caller holds. `watch` is called with a
    sentence about what may be a leftover."""
    for one in _leftovers(out.parent):
        try:
            with nullcontext(True) if one.out == out else exclusive(one.out) as idle:
                if idle:
                    _remove(one, watch)
        except OSError as error:  # of another user, or gone in the meantime: none of it hinders this export
            watch(f"{one.folder} may be a leftover of an export, and can't be removed: {error.strerror}.")


def _leftovers(parent: Path) -> Iterator[_Leftover]:
    for folder in sorted(parent.glob(".*-????????")):
        found = _NAME.fullmatch(folder.name)
        if found is not None and folder.is_dir() and not folder.is_symlink():
            yield _Leftover(folder=folder, out=parent / found["out"], today=found["today"] is not None)


def _remove(one: _Leftover, watch: Callable[[str], None]) -> None:
    if one.is_ours:
        shutil.rmtree(one.folder)
    elif one.today and not any(one.folder.iterdir()):
        one.folder.rmdir()  # killed before the mark
    elif one.holds_an_export:
        watch(f"{one.folder} looks like a leftover of an export by an earlier version. Remove it if none is running.")
