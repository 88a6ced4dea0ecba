"""GGUF, llama.cpp's format: Llama-like students with a byte-level BPE tokenizer.

The names of tensors are those of the `gguf` package by llama.cpp's authors. Its runtime has no wheel, so transformers
reads the file for the check.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loading import load_student

if TYPE_CHECKING:
    import numpy
    import torch

NEEDS = ("gguf>=0.16",)
WRITES_TEXT = True
USAGE = """\
    llama-cli -m FOLDER/model.gguf --temp 0 -no-cnv -p INPUT

transformers, and tinyllm wherever it takes a model, read the file as well.
"""
FILE = "model.gguf"
_LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"


def write(student: Student, source: str, folder: Path, int8: bool) -> None:
    """Write the student into `folder`: float32, or Q8_0 for the matrices when int8 is wanted."""
    import gguf

    _check_architecture(student)
    config = student.model.config
    writer = gguf.GGUFWriter(folder / FILE, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if int8 else gguf.LlamaFileType.ALL_F32)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, student)
    quantized = gguf.GGMLQuantizationType.Q8_0
    for name, weights in _tensors(student):
        if int8 and weights.ndim == 2 and weights.shape[1] % gguf.GGML_QUANT_SIZES[quantized][0] == 0:
            writer.add_tensor(name, gguf.quants.quantize(weights, quantized), raw_dtype=quantized)
        else:
            writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(folder: Path, student: Student) -> Student:
    """The file, read by transformers, which ignores some of the names by which llama.cpp splits text and prepends
    tokens: these come from the student's tokenizer."""
    read = load_student(str(folder / FILE), device="cpu")
    ours, theirs = student.tokenizer.backend_tokenizer, read.tokenizer.backend_tokenizer
    theirs.pre_tokenizer, theirs.post_processor = ours.pre_tokenizer, ours.post_processor
    return read


def _check_architecture(student: Student) -> None:
    config = student.model.config
    if config.model_type != "llama":
        raise UsageProblem(
            f"No installable library writes a {config.model_type} as GGUF; tinyllm does it for Llama-like students.",
            "llama.cpp's own convert_hf_to_gguf.py may support this one: it reads the run's folder.",
        )
    plain = {
        "scaled positions": config.rope_parameters.get("rope_type", "default") == "default",
        "biases": not (config.attention_bias or config.mlp_bias),
        "another activation than silu": config.hidden_act == "silu",
    }
    for what, fine in plain.items():
        if not fine:
            raise UsageProblem(f"This Llama has {what}, which tinyllm does not write as GGUF.")


def _tensors(student: Student) -> Iterator[tuple[str, numpy.ndarray[Any, Any]]]:
    """Weights by their GGUF names, without a tied head, as llama.cpp expects."""
    import gguf

    config = student.model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in student.model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        known = names.get_name(name, try_suffixes=(".weight",))
        if known is None:
            raise UsageProblem(f"This Llama has a tensor without a GGUF name: {name}.")
        part = name.split(".")[-2]
        yield known, (_interleaved(tensor, heads[part]) if part in heads else tensor).float().numpy()


def _interleaved(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """GGUF rotates adjacent dimensions, transformers those half a head apart."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns).contiguous()


def _add_tokenizer(writer: Any, student: Student) -> None:
    import gguf

    tokenizer, size = student.tokenizer, student.model.config.vocab_size
    model, split = _byte_level(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, index in model["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for index, added in tokenizer.added_tokens_decoder.items():
        tokens[index] = added.content
        types[index] = gguf.TokenType.CONTROL if added.special else gguf.TokenType.USER_DEFINED
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    for name in ("bos", "eos", "unk", "pad"):
        index = getattr(tokenizer, f"{name}_token_id")
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    first = tokenizer("a")["input_ids"][0]
    writer.add_add_bos_token(tokenizer.bos_token_id is not None and first == tokenizer.bos_token_id)
    writer.add_add_space_prefix(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _byte_level(tokenizer: Any) -> tuple[dict[str, Any], str]:
    """The BPE model, and llama.cpp's name of its pre-tokenizer.

    Raises UsageProblem for other tokenizers."""
    content = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {"model": {}}
    steps = content.get("pre_tokenizer") or {}
    chain = steps.get("pretokenizers", [steps])
    names = [step.get("type") for step in chain]
    split = None
    if names == ["ByteLevel"] and not chain[0]["add_prefix_space"]:
        split = "gpt-2"
    elif names == ["Digits", "ByteLevel"] and chain[0]["individual_digits"]:
        split = "smollm"
    elif names == ["Split", "ByteLevel"] and chain[0]["pattern"].get("Regex", "").startswith(_LLAMA3_SPLIT):
        split = "llama-bpe"
    if content["model"].get("type") != "BPE" or content.get("normalizer") is not None or split is None:
        raise UsageProblem(
            "tinyllm writes GGUF only with byte-level BPE tokenizers that split text as GPT-2, SmolLM or Llama 3 do.",
            "llama.cpp's own convert_hf_to_gguf.py may support this one: it reads the run's folder.",
        )
    return content["model"], split
