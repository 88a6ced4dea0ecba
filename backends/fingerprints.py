"""Fingerprints of local models: a short text that depends on the content of their files, not on their place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from backends.checkpoints import EMBEDDED

__all__ = ["fingerprint", "model_identity"]

_WEIGHTS = (".safetensors", ".gguf")
_OTHERS = (".json", ".model", ".jinja", "merges.txt", "vocab.txt")
_BLOCK = 1 << 12
_STRIDE = {".safetensors": 1 << 20, ".gguf": 1 << 16}
"""Bytes between the blocks that are read. Training changes a whole matrix, so a few of its numbers suffice."""


def model_identity(model: str, revision: str | None) -> Mapping[str, str]:
    """A teacher's `model` and `revision`. A local model is identified by its files, not by its path."""
    local = fingerprint(model)
    return {"model": Path(model).name, "revision": local} if local else {"model": model, "revision": revision or ""}


def fingerprint(name: str) -> str:
    """A short text that changes when a local model's files do; empty for embedded models and those of the hub.

    Reads the small files, and of the weights every tensor's beginning, its end and a block of each MiB between."""
    path = Path(name).expanduser()
    if not name or name in EMBEDDED or not path.exists():
        return ""
    files = (
        sorted(file for file in path.iterdir() if file.name.endswith(_WEIGHTS + _OTHERS)) if path.is_dir() else [path]
    )
    digest = hashlib.sha256()
    for file in filter(Path.is_file, files):  # others, such as pipes, are refused when the model is loaded
        size = file.stat().st_size
        digest.update(f"{file.name if path.is_dir() else ''} {size} ".encode())
        with file.open("rb") as opened:
            for start, length in _blocks(opened.fileno(), file.suffix, size):
                digest.update(os.pread(opened.fileno(), length, start))
    return digest.hexdigest()[:12]


def _blocks(file: int, kind: str, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of the parts of a file that are read."""
    if kind not in _STRIDE:
        yield 0, size
        return
    for start, end in _parts(file, kind, size):
        yield from ((place, min(_BLOCK, end - place)) for place in range(start, end, _STRIDE[kind]))
        yield max(start, end - _BLOCK), min(_BLOCK, end - start)


def _parts(file: int, kind: str, size: int) -> Iterator[tuple[int, int]]:
    """(first byte, end) of each tensor of a .safetensors file, after its header; any other file is one part."""
    if kind != ".safetensors":
        yield 0, size
        return
    header = 8 + int.from_bytes(os.pread(file, 8, 0), "little")
    try:
        described = json.loads(os.pread(file, header, 0)[8:]) if header <= size else {}
        offsets = [one["data_offsets"] for name, one in described.items() if name != "__metadata__"]
        parts = [(header + start, header + end) for start, end in offsets if 0 <= start <= end <= size - header]
    except (ValueError, TypeError, KeyError, AttributeError):
        parts = []  # a damaged file, which can't be loaded
    yield from [(0, header), *parts] if parts else [(0, size)]
