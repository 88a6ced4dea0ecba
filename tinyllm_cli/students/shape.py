"""What kind of model a student is and how large, from its name or its files: nothing is loaded, and no hub is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backends.checkpoints import EMBEDDED
from backends.model_files import CONFIG, read_json

_SEQ2SEQ = re.compile(r"(?<![a-z])(?:m?t5|byt5|ul2|m?bart|pegasus|led|prophetnet|fsmt|marian)(?![a-z])", re.IGNORECASE)
_T5_SIZES = {"small": 80e6, "base": 250e6, "large": 780e6, "xl": 3e9, "3b": 3e9, "xxl": 11e9, "11b": 11e9}
_NUMBER = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?) ?([mb])(?![a-z])", re.IGNORECASE)
_EMBEDDED_SIZE = 135e6  # SmolLM2-135M
_UNITS = {"m": 1e6, "b": 1e9}


Kind = Literal["seq2seq", "causal"]


@dataclass(frozen=True, kw_only=True)
class StudentShape:
    """`parameters` is approximate; None where neither name nor files say it."""

    kind: Kind
    parameters: float | None = None


def student_shape(name: str) -> StudentShape:
    """The shape of a hub name, a folder, a .gguf file or an embedded model. A name that says nothing is causal."""
    folder = Path(name)
    if (folder / CONFIG).is_file():
        return _shape_of_folder(folder)
    seq2seq = _SEQ2SEQ.search(folder.name) is not None and not name.endswith(".gguf")
    return StudentShape(kind="seq2seq" if seq2seq else "causal", parameters=_named_size(folder.name, seq2seq=seq2seq))


def _shape_of_folder(folder: Path) -> StudentShape:
    """A configuration that can't be read says nothing: the student fails where it is loaded, with the reason."""
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        config = None
    stated = config if isinstance(config, dict) else {}
    size = 2 if stated.get("dtype", stated.get("torch_dtype")) in ("bfloat16", "float16") else 4
    parameters = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / size
    kind: Kind = "seq2seq" if stated.get("is_encoder_decoder") else "causal"
    return StudentShape(kind=kind, parameters=parameters or None)


def _named_size(name: str, *, seq2seq: bool) -> float | None:
    if name in EMBEDDED:
        return _EMBEDDED_SIZE
    found = _NUMBER.search(name)
    if found:
        return float(found[1]) * _UNITS[found[2].lower()]
    words = re.split(r"[-_.]", name.lower())
    return next((_T5_SIZES[word] for word in words if word in _T5_SIZES), None) if seq2seq else None
