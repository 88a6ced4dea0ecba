"""A model loads completely or not at all, and never reads a pickle file, a file outside its folder or foreign code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from backends import model_files
from backends.base import ModelUnavailable
from backends.checkpoints import load, load_tokenizer
from backends.fingerprints import fingerprint
from tests.conftest import environment
from tests.models import KINDS, Kind, make_folder

Weights = dict[str, Any]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    return {kind: make_folder(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture
def copy(folders: dict[Kind, Path], tmp_path: Path) -> Callable[[Kind], Path]:
    """A copy of a complete model's folder, to damage."""

    def make(kind: Kind = "causal") -> Path:
        return Path(shutil.copytree(folders[kind], tmp_path / "model"))

    return make


def rewrite(folder: Path, edit: Callable[[Weights], Weights]) -> None:
    path = folder / "model.safetensors"
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})


def configure(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def refused(folder: Path) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        load(str(folder), device="cpu")
    return str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_complete_model_loads(copy: Callable[[Kind], Path], kind: Kind) -> None:
    assert load(str(copy(kind)), device="cpu").kind == kind


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("causal", "lm_head.weight"),
        ("causal", "model.embed_tokens.weight"),
        ("causal", "model.layers.1.mlp.down_proj.weight"),
        ("seq2seq", "encoder.final_layer_norm.weight"),
        ("seq2seq", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
    ],
)
def test_a_missing_weight_is_named(copy: Callable[[Kind], Path], kind: Kind, missing: str) -> None:
    folder = copy(kind)
    rewrite(folder, lambda weights: {name: value for name, value in weights.items() if name != missing})
    assert f"has no {missing}." in refused(folder).replace("its files have no", "has no")


@pytest.mark.parametrize("missing", ["lm_head.weight", "shared.weight"])
def test_a_t5_with_its_own_head_is_not_tied_silently(copy: Callable[[Kind], Path], missing: str) -> None:
    folder = copy("seq2seq")
    configure(folder, tie_word_embeddings=False)
    assert load(str(folder), device="cpu")
    rewrite(folder, lambda weights: {name: value for name, value in weights.items() if name != missing})
    assert f"its files have no {missing}" in refused(folder)


def test_a_head_that_equals_the_embedding_is_complete(copy: Callable[[Kind], Path]) -> None:
    folder = copy("seq2seq")
    configure(folder, tie_word_embeddings=False)
    rewrite(folder, lambda weights: weights | {"lm_head.weight": weights["shared.weight"].clone()})
    assert load(str(folder), device="cpu")


def test_a_t5_that_ties_its_head_needs_none(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tied", "seq2seq", tied=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert load(str(folder), device="cpu")


def test_several_missing_weights_are_counted(copy: Callable[[Kind], Path]) -> None:
    folder = copy("causal")
    rewrite(folder, lambda weights: {f"x.{name}": value for name, value in weights.items()})
    assert "its files have no lm_head.weight and 20 more" in refused(folder)
    rewrite(folder, lambda weights: dict(list(weights.items())[::2]))
    assert "incomplete" in refused(folder)


@pytest.mark.parametrize("kept", [0, 5, 100, -100])
def test_an_empty_or_truncated_file_is_refused(copy: Callable[[Kind], Path], kept: int) -> None:
    folder = copy("causal")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "empty, truncated or damaged" in refused(folder)


def test_a_file_without_tensors_is_refused(copy: Callable[[Kind], Path]) -> None:
    folder = copy("causal")
    rewrite(folder, lambda _weights: {})
    assert "incomplete" in refused(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [(), ("tokenizer_config.json",)])
def test_a_model_without_tokenizer_files_is_refused(
    copy: Callable[[Kind], Path], kind: Kind, kept: tuple[str, ...]
) -> None:
    folder = copy(kind)
    for file in folder.glob("tokenizer*"):
        if file.name not in kept:
            file.unlink()
    assert "has no tokenizer files" in refused(folder)
    with pytest.raises(ModelUnavailable, match="has no tokenizer files"):
        load_tokenizer(str(folder))


class Payload:
    """What a pickle file could do: create a file while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("file", ["evil.bin", "adapter_model.bin", "evil", "evil.safetensors.bin"])
@pytest.mark.parametrize("through", ["index", "config"])
def test_a_pickle_file_is_never_read(copy: Callable[[Kind], Path], tmp_path: Path, file: str, through: str) -> None:
    folder = copy("causal")
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    (folder / file).write_bytes(pickle.dumps(Payload(tmp_path / "code ran")))
    if through == "index":
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, file)}
        (folder / model_files.INDEX).write_text(json.dumps(index))
    else:
        configure(folder, transformers_weights=file)
    assert "not a safetensors file" in refused(folder)
    assert not (tmp_path / "code ran").exists()


def test_a_folder_that_has_only_a_pickle_file_is_refused(copy: Callable[[Kind], Path], tmp_path: Path) -> None:
    folder = copy("causal")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "code ran")))
    assert "pickle files are not loaded" in refused(folder)
    assert not (tmp_path / "code ran").exists()


@pytest.mark.parametrize("place", ["../e.safetensors", "/tmp/e.safetensors", "a/b.safetensors", "..\\e.safetensors"])
def test_an_index_stays_inside_the_folder(copy: Callable[[Kind], Path], place: str) -> None:
    folder = copy("causal")
    shutil.move(folder / "model.safetensors", folder.parent / "evil.safetensors")
    (folder / model_files.INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": place}}))
    assert "outside its folder" in refused(folder)


def test_a_model_in_several_files_loads(copy: Callable[[Kind], Path]) -> None:
    folder = copy("causal")
    load(str(folder), device="cpu").model.save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert load(str(folder), device="cpu")


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": []}', "[" * 100_000])
def test_a_damaged_index_is_refused(copy: Callable[[Kind], Path], content: str) -> None:
    folder = copy("causal")
    (folder / model_files.INDEX).write_text(content)
    assert "can't be loaded" in refused(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"_attn_implementation": "owner/kernel"},
        {"attn_implementation": "owner/kernel@main:forward"},
        {"_attn_implementation_internal": "owner/kernel"},
        {"_attn_implementation": {"text_config": "owner/kernel"}},
        {"text_config": {"_attn_implementation": "owner/kernel"}},
        {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation": "paged|owner/kernel"},
        {"_experts_implementation": "sonicmoe"},
    ],
)
def test_a_configuration_cannot_ask_for_code_from_the_hub(
    copy: Callable[[Kind], Path], settings: dict[str, object]
) -> None:
    folder = copy("causal")
    configure(folder, **settings)
    assert "can download code" in refused(folder)
    with pytest.raises(ModelUnavailable, match="can download code"):
        load_tokenizer(str(folder))


def test_an_implementation_that_comes_with_torch_is_accepted(copy: Callable[[Kind], Path]) -> None:
    folder = copy("causal")
    configure(folder, _attn_implementation="eager")
    assert load(str(folder), device="cpu").model.config._attn_implementation == "eager"


def test_code_of_the_model_itself_is_not_run(copy: Callable[[Kind], Path], tmp_path: Path) -> None:
    folder = copy("causal")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'code ran')!r}, 'w')\nclass Config: ...\n")
    configure(folder, model_type="unheard-of", auto_map={"AutoConfig": "evil.Config"})
    assert "can't be loaded" in refused(folder)
    assert not (tmp_path / "code ran").exists()


def test_transformers_downloads_no_kernels() -> None:
    code = (
        "import os, backends.checkpoints\n"
        "from transformers.integrations import hub_kernels\n"
        "print(os.environ['USE_HUB_KERNELS'], hub_kernels._kernels_enabled)\n"
    )
    variables = {name: value for name, value in environment().items() if name != "USE_HUB_KERNELS"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["NO", "False"]


def test_an_adapter_is_refused_with_the_way_to_merge_it(copy: Callable[[Kind], Path]) -> None:
    folder = copy("causal")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/other"}')
    assert "holds an adapter" in refused(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_special_file_in_a_models_folder_is_refused(copy: Callable[[Kind], Path], name: str, kind: str) -> None:
    folder = copy("causal")
    (folder / name).unlink()
    {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero")}[kind](folder / name)
    fingerprint(str(folder))  # neither blocks nor reads without end
    assert f"{name} is not a regular file" in refused(folder)
