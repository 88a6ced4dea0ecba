"""Which files are published: of a student's folder only weights as safetensors, configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "README.md"
_STUDENT = frozenset(
    {
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.model",
    }
)
_LOCAL = ("_name_or_path", "name_or_path", "_model_name_or_path")
"""Settings that may hold a path of the machine that trained."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of the repository: `path` there, and its bytes, or where they lie."""

    path: str
    size: int
    content: bytes | Path

    @classmethod
    def of_text(cls, path: str, text: str) -> PublishedFile:
        """A file with this text."""
        content = text.encode()
        return cls(path=path, size=len(content), content=content)


def student_files(folder: Path) -> tuple[list[PublishedFile], list[str]]:
    """The files of a student to publish, and the names of what is left out: the card of the training, which the
    published one replaces, is in neither."""
    chosen, left_out = [], []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file() or not (path.name in _STUDENT or path.suffix == ".safetensors"):
            left_out += [] if path.name == CARD else [path.name]
        elif path.name in ("config.json", "tokenizer_config.json"):
            chosen.append(PublishedFile.of_text(path.name, _without_paths(path)))
        else:
            chosen.append(PublishedFile(path=path.name, size=path.stat().st_size, content=path))
    return chosen, left_out


def _without_paths(path: Path) -> str:
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in settings.items() if name not in _LOCAL}
    return json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def rationale_files(rows: Iterable[Mapping[str, Any]]) -> dict[str, PublishedFile]:
    """A JSONL file for each teacher, by teacher; rows without a teacher have no rationale and are left out."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        if row["teacher"]:
            lines.setdefault(row["teacher"], []).append(json.dumps(row, ensure_ascii=False) + "\n")
    return {
        teacher: PublishedFile.of_text(f"{teacher}.train.jsonl", "".join(own)) for teacher, own in lines.items()
    }  # fmt: skip
