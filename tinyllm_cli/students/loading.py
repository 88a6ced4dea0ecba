"""A student from a hub name, a folder, a GGUF file or an embedded name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backends.architectures import WRITERS
from backends.base import ModelUnavailable
from backends.checkpoints import EMBEDDED, best_device, load, load_tokenizer
from backends.fingerprints import fingerprint
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.students.token_lengths import TokenCounter


def student_device() -> str:
    """Where students are loaded: cuda, mps or cpu."""
    return best_device()


def load_student(
    name: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    device: str | None = None,
    in_memory: bool = False,
) -> Student:
    """Load `name` in float32, in eval mode, on `device` or else on the best one of this machine. `in_memory`: its
    weights stay in the CPU's memory, for a device that can't hold all of them (`students.sharding.shard`).

    Raises ModelUnavailable with the reason and the alternatives, also for a model that can't write text: one whose
    tokenizer has no end token, or one that reads the words that it should predict, as BERT does."""
    device = device or student_device()
    # On a CPU, training short sequences with padding is a third faster without the fused attention kernel.
    attention = "eager" if device == "cpu" else None
    place = "cpu" if in_memory else device
    checkpoint = load(name, device=place, revision=revision, trust_remote_code=trust_remote_code, attention=attention)
    checkpoint = replace(checkpoint, device=device)
    if checkpoint.tokenizer.eos_token_id is None:
        raise ModelUnavailable(f"The tokenizer of {name} has no end-of-sequence token.", WRITERS)
    if checkpoint.kind == "seq2seq":
        return Seq2SeqStudent(checkpoint)
    if name not in EMBEDDED and not _is_causal(checkpoint.model):
        raise ModelUnavailable(f"The model {name} reads the words after the one that it predicts.", WRITERS)
    return CausalStudent(checkpoint)


def _is_causal(model: Any) -> bool:
    """Whether a token has no effect on the logits before it, found by changing one. Its effect there is compared with
    that on its own logits: in a small model with random weights both are tiny. Each sequence has a pass of its own:
    in one batch, rows may be rounded differently."""
    import torch

    words = model.get_input_embeddings().weight.shape[0]
    ids = [torch.tensor([[3, 5, last]], device=model.device) % words for last in (7, 11)]
    with torch.inference_mode():
        one, other = (model(input_ids=own, use_cache=False).logits[0].float() for own in ids)
    change = (one - other).abs().amax(-1)
    # NaN says nothing about causality: such a model fails where its scores are read, with that reason.
    return not bool(change[:2].max() > 3e-5 * change[2])


def load_ruler(name: str, *, trust_remote_code: bool = False) -> TokenCounter:
    """Counts tokens as the student `name` would, without loading its weights.

    Raises ModelUnavailable with the reason and the alternatives."""
    tokenizer, kind, window = load_tokenizer(name, trust_remote_code=trust_remote_code)
    return TokenCounter(tokenizer=tokenizer, kind=kind, window=window)


def model_fingerprint(name: str) -> str:
    """A short text that changes with the files of a local model; empty for a name on the hub."""
    return fingerprint(name)


def is_local(name: str) -> bool:
    """Whether `name` needs no hub: an embedded model, a folder or a file."""
    return name in EMBEDDED or bool(model_fingerprint(name))
