"""A student from a hub name, a folder, a GGUF file or an embedded name."""

from __future__ import annotations

from backends.checkpoints import best_device, load
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.seq2seq import Seq2SeqStudent


def load_student(name: str, *, trust_remote_code: bool = False) -> Student:
    """Load `name` in float32 on the best device at hand, in eval mode.

    Raises ModelUnavailable with the reason and the ways on."""
    device = best_device()
    # On a CPU, training short sequences with padding is a third faster without the fused attention kernel.
    attention = "eager" if device == "cpu" else None
    checkpoint = load(name, device=device, trust_remote_code=trust_remote_code, attention=attention)
    return Seq2SeqStudent(checkpoint) if checkpoint.kind == "seq2seq" else CausalStudent(checkpoint)
