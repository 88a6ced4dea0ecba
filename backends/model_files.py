"""Checks of a model's files before and after transformers reads them.

Before: no file that is named in the model may be a pickle file, lie outside the model's folder, or make transformers
download code. After: every weight came from the files, and the tokenizer has a vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.base import ModelUnavailable

__all__ = [
    "CHECKED",
    "check_declared_files",
    "check_folder",
    "check_regular",
    "check_tokenizer",
    "check_weights",
    "read_json",
    "states_own_head",
    "tensor_names",
]

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
ADAPTER = "adapter_config.json"
CHECKED = (CONFIG, INDEX, ADAPTER)
"""The files that name other files or code."""

_LOCAL_CODE = frozenset({"eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm"})
"""Implementations of attention and of expert layers that come with torch and transformers. Others, such as
`owner/kernel` or `flash_attention_2`, can make transformers download code from the hub."""

_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
_LARGEST_FILE = 64 * 2**20
"""Bytes. The index of a model with a million tensors has about as many."""


def read_json(path: Path) -> Any:
    """The content of a model's JSON file. Raises ValueError when it is not JSON, nested too deeply or too large."""
    if not path.is_file():
        raise ValueError(f"{path.name} is not a regular file")
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path.name} is too large")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error


def check_regular(place: Path) -> None:
    """Raises ModelUnavailable when a model's file, or a file in its folder, is a pipe or a device: reading it would
    never end."""
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise ModelUnavailable(f"The model {place} can't be loaded: {file.name} is not a regular file.")


def check_folder(folder: Path, *, trust_remote_code: bool) -> None:
    """`check_declared_files` for a local folder. Raises ModelUnavailable also for a file that can't be read."""
    check_regular(folder)
    try:
        files = {file: read_json(folder / file) for file in CHECKED if (folder / file).exists()}
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"The model {folder} can't be loaded: {error}.") from error
    check_declared_files(str(folder), files, trust_remote_code=trust_remote_code)


def check_declared_files(name: str, files: Mapping[str, Any], *, trust_remote_code: bool) -> None:
    """Check what the files in CHECKED say; `files` maps their names to their content, without those that are missing.

    Raises ModelUnavailable when loading the model `name` would read a pickle file, a file outside its folder, or
    code from the hub."""
    if ADAPTER in files:
        raise ModelUnavailable(
            f"{name} holds an adapter (LoRA), not a whole model.",
            "Merge it into its base model (peft: merge_and_unload), then save that.",
        )
    config = files.get(CONFIG)
    stated = config.get("transformers_weights") if isinstance(config, dict) else None
    if stated is not None:
        _check_name(name, CONFIG, stated, (".safetensors", ".safetensors.index.json"))
    index = files.get(INDEX)
    if index is not None:
        weights = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(weights, dict):
            raise ModelUnavailable(f"The model {name} can't be loaded: {INDEX} has no weight_map.")
        for file in dict.fromkeys(map(str, weights.values())):
            _check_name(name, INDEX, file, (".safetensors",))
    if trust_remote_code:
        return
    for implementation in _implementations(config):
        if implementation not in _LOCAL_CODE:
            raise ModelUnavailable(
                f"The model {name} asks for the implementation '{implementation[:80]}', which can download code.",
                "Remove it from config.json, or set trust_remote_code if you trust its author.",
            )


def _check_name(model: str, where: str, file: object, endings: tuple[str, ...]) -> None:
    text = str(file)
    if "/" in text or "\\" in text or text.startswith("."):
        raise ModelUnavailable(f"The model {model} is refused: {where} names '{text[:80]}', outside its folder.")
    if not text.endswith(endings):
        raise ModelUnavailable(
            f"The model {model} is refused: {where} names '{text[:80]}', which is not a safetensors file.",
            "Pickle files are not loaded: they can run code. Convert the model with transformers' save_pretrained.",
        )


def _implementations(config: object) -> Iterator[str]:
    """Every implementation of attention or experts that a configuration asks for, at any depth."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for key, value in found.items():
                if str(key).removesuffix("_internal").endswith(_IMPLEMENTATIONS):
                    yield from (str(text) for text in (value.values() if isinstance(value, dict) else [value]) if text)
                else:
                    waiting.append(value)
        elif isinstance(found, list):
            waiting += found


def check_weights(name: str, model: Any, missing_keys: Iterable[str], stored: Collection[str] | None) -> None:
    """Check a loaded model. `missing_keys` are those of transformers' loading report; `stored` are the names of the
    tensors in the model's files when its configuration states that the head is not tied to the embedding, else None.

    Raises ModelUnavailable when a weight is missing that the model's family neither ties nor creates."""
    missing = sorted(missing_keys)
    if not missing and stored is not None:  # T5 in transformers 5 ties a missing head silently
        missing = _tied_silently(model, stored)
    if not missing:
        return
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    raise ModelUnavailable(
        f"The model {name} is incomplete: its files have no {missing[0]}{more}.",
        "Download or save it again: missing weights would be random numbers.",
    )


def states_own_head(config: object) -> bool:
    """Whether the content of config.json states that the head is not tied to the embedding."""
    return isinstance(config, dict) and config.get("tie_word_embeddings") is False


def tensor_names(path: Path) -> set[str]:
    """The names of the tensors in a safetensors file, or in all files of an index."""
    if path.name.endswith(".json"):
        return set(read_json(path)["weight_map"])
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return set(file.keys())


def _tied_silently(model: Any, stored: Collection[str]) -> list[str]:
    """The head or the embedding, when both share a tensor and the files have only one of them."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if None in (head, embedding) or head.weight is not embedding.weight:
        return []
    heads = [f"{name}.weight" for name, module in model.named_modules() if module is head]
    embeddings = [
        f"{name}.weight"
        for name, module in model.named_modules(remove_duplicate=False)
        if module is not head and getattr(module, "weight", None) is embedding.weight
    ]
    return [
        names[0] for names in (heads, embeddings) if not any(one.endswith(name) for one in stored for name in names)
    ]


def check_tokenizer(name: str, tokenizer: Any) -> None:
    """Raises ModelUnavailable for a tokenizer without a vocabulary, which transformers makes when its files are
    missing: it would turn every word into the unknown token."""
    learned = len(tokenizer.get_vocab()) - len(getattr(tokenizer, "added_tokens_decoder", ()))
    if learned < 2:
        raise no_tokenizer(name)


def no_tokenizer(name: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The model {name} has no tokenizer files.",
        "Save its tokenizer beside the weights (tokenizer.json, or the vocabulary with tokenizer_config.json).",
    )
