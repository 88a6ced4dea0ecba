"""A student from a hub name, a folder, a GGUF file or an embedded name."""

from __future__ import annotations

from backends.checkpoints import load
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.seq2seq import Seq2SeqStudent


def load_student(name: str, *, trust_remote_code: bool = False) -> Student:
    """Load `name` in float32 on the best device at hand, in eval mode.

    Raises ModelUnavailable with the reason and the ways on."""
    checkpoint = load(name, dtype="float32", trust_remote_code=trust_remote_code)
    return Seq2SeqStudent(checkpoint) if checkpoint.kind == "seq2seq" else CausalStudent(checkpoint)
