"""A student from a hub name, a folder, a GGUF file or an embedded name."""

from __future__ import annotations

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
    name: str, *, revision: str | None = None, trust_remote_code: bool = False, device: str | None = None
) -> Student:
    """Load `name` in float32, in eval mode, on `device` or else on the best one at hand.

    Raises ModelUnavailable with the reason and the ways on."""
    device = device or student_device()
    # On a CPU, training short sequences with padding is a third faster without the fused attention kernel.
    attention = "eager" if device == "cpu" else None
    checkpoint = load(name, device=device, revision=revision, trust_remote_code=trust_remote_code, attention=attention)
    return Seq2SeqStudent(checkpoint) if checkpoint.kind == "seq2seq" else CausalStudent(checkpoint)


def load_ruler(name: str, *, trust_remote_code: bool = False) -> TokenCounter:
    """What counts tokens as the student `name` would, without loading its weights.

    Raises ModelUnavailable with the reason and the ways on."""
    tokenizer, kind, window = load_tokenizer(name, trust_remote_code=trust_remote_code)
    return TokenCounter(tokenizer=tokenizer, kind=kind, window=window)


def model_fingerprint(name: str) -> str:
    """A short text that changes with the files of a local model; empty for a name on the hub."""
    return fingerprint(name)


def is_local(name: str) -> bool:
    """Whether `name` needs no hub: an embedded model, a folder or a file."""
    return name in EMBEDDED or bool(model_fingerprint(name))
