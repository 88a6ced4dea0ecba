"""A student by the name or path that the user typed, loaded at most once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    from tinyllm_cli.students.base import Student


def absolute(model: str) -> str:
    """A local model by its absolute path, so that its name means the same from another folder; a hub name unchanged.

    Raises UsageProblem for an empty name."""
    if not model.strip():
        raise UsageProblem("The name of a model is empty.", "Give a hub name, a folder, a .gguf file, or smollm2.")
    path = Path(model).expanduser()
    return str(path.resolve()) if path.exists() else model


def loaded_once(model: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Callable[[], Student]:
    """A function that loads the model on its first call and returns the same one afterwards."""

    @cache
    def load() -> Student:
        from tinyllm_cli.students.loading import load_student

        return load_student(model, revision=revision, trust_remote_code=trust_remote_code)

    return load
