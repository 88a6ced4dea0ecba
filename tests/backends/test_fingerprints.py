"""What tells one local model from another: any tensor's change, and nothing but the files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from backends.fingerprints import fingerprint, model_identity
from tests.models import make_folder


def tensors() -> dict[str, Any]:
    return {name: torch.zeros(300, 300) for name in ("head", "inner", "tail")}


@pytest.mark.parametrize("changed", ["head", "inner", "tail"])
def test_every_tensor_counts(tmp_path: Path, changed: str) -> None:
    """A merged LoRA leaves a file's size, its beginning and its end as they were."""
    save_file(tensors(), tmp_path / "model.safetensors")
    before = fingerprint(str(tmp_path))
    save_file(tensors() | {changed: torch.ones(300, 300)}, tmp_path / "model.safetensors")
    assert fingerprint(str(tmp_path)) != before


def test_a_model_that_moves_stays_itself(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "here", "causal")
    shutil.copytree(folder, tmp_path / "there")
    assert fingerprint(str(tmp_path / "there")) == fingerprint(str(folder)) != ""
    (tmp_path / "there" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert fingerprint(str(tmp_path / "there")) != fingerprint(str(folder))


def test_a_gguf_file_counts_beyond_its_ends(tmp_path: Path) -> None:
    content = bytearray(1 << 20)
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    before = fingerprint(str(file))
    content[1 << 18 : 1 << 19] = b"x" * (1 << 18)
    file.write_bytes(content)
    assert fingerprint(str(file)) != before


@pytest.mark.parametrize("content", [b"", b"12", b"\xff" * 64, (9).to_bytes(8, "little") + b'{"a": 1}  ', b"\0" * 5000])
def test_a_damaged_file_has_one_as_well(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert fingerprint(str(tmp_path))


def test_an_embedded_or_hub_name_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()  # as one may call a folder of results
    assert fingerprint("smollm2") == fingerprint("google/flan-t5-small") == ""
    assert model_identity("smollm2", None) == {"model": "smollm2", "revision": ""}
    assert model_identity("google/flan-t5-small", "v2") == {"model": "google/flan-t5-small", "revision": "v2"}
