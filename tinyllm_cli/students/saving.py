"""Write a student as an ordinary Hugging Face folder: weights, tokenizer, generation config, model card."""

from __future__ import annotations

import glob
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.checkpoints import logs_of_transformers_off
from tinyllm_cli.files import to_disk
from tinyllm_cli.records.settings import SaveDtype
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.lora import merged_state
from tinyllm_cli.students.sharding import gathered, is_sharded

STUDENT_FILE = "config.json"
"""The file without which a folder is no student."""

_NEW, _OLD = ".{}.new-", ".{}.old"


def save_student(
    student: Student, folder: Path, card: str, dtype: SaveDtype = "float32", *, write: bool = True
) -> None:
    """Write `student` to `folder`, replacing what is there only when everything is written. With `dtype` bfloat16 the
    weights are rounded to half the size; the student in memory does not change.

    All processes of a sharded student call this; those that do not `write` give their parts of it."""
    state = _state(student, dtype, write=write)
    if not write:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_up(folder)
    temporary = Path(tempfile.mkdtemp(prefix=_NEW.format(folder.name), dir=folder.parent))
    try:
        with logs_of_transformers_off():
            student.model.save_pretrained(temporary, state_dict=state)
            student.tokenizer.save_pretrained(temporary)
            student.model.generation_config.save_pretrained(temporary)
        _write_true_ties(student, temporary)
        _write_dtype(temporary, dtype)
        _write_portable_tokenizer_config(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        temporary.chmod(0o755)
        to_disk(*temporary.iterdir())
        if folder.exists():  # aside first: a kill between the two renames leaves both, not none
            old = folder.with_name(_OLD.format(folder.name))
            folder.rename(old)
            temporary.rename(folder)
            shutil.rmtree(old)
        else:
            temporary.rename(folder)
        to_disk(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def is_student(folder: Path) -> bool:
    """Whether a folder holds a saved student."""
    return (folder / STUDENT_FILE).is_file()


def clear_up(folder: Path) -> None:
    """Remove the leftovers of a killed `save_student`; the previous folder is restored where no new one replaced it."""
    old = folder.with_name(_OLD.format(folder.name))
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    for half in folder.parent.glob(glob.escape(_NEW.format(folder.name)) + "*"):
        shutil.rmtree(half, ignore_errors=True)


def _state(student: Student, dtype: SaveDtype, *, write: bool) -> dict[str, Any]:
    """The weights; none where they are not to be written.

    A T5 head that has its own scale is written out even where it shares its tensor with the embedding: transformers 4
    would fill a missing head with noise."""
    model = student.model
    state = gathered(model.state_dict(keep_vars=True), keep=write) if is_sharded(model) else model.state_dict()
    if not write:
        return {}
    state = merged_state(model, state)
    if getattr(student.model.config, "scale_decoder_outputs", None) is False and "lm_head.weight" in state:
        state["lm_head.weight"] = state["lm_head.weight"].clone()
    return state if dtype == "float32" else _rounded(state)


def _rounded(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights in bfloat16. Two names of one tensor stay that: it is written once."""
    import torch

    rounded: dict[int, Any] = {}
    return {
        name: rounded.setdefault(value.data_ptr(), value.to(torch.bfloat16)) if value.is_floating_point() else value
        for name, value in state.items()
    }


def _write_dtype(folder: Path, dtype: SaveDtype) -> None:
    """State the type of the weights that are in the folder, not of those in memory."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if dtype != "float32":
        config |= {name: dtype for name in ("dtype", "torch_dtype") if name in config}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_true_ties(student: Student, folder: Path) -> None:
    """transformers 5 writes `tie_word_embeddings: true` for every T5, also for FLAN-T5, whose head is its own.
    transformers 4 and other tools believe it, tie the head and scale it. What 5 keeps the truth in is
    `scale_decoder_outputs`."""
    scales = getattr(student.model.config, "scale_decoder_outputs", None)
    if scales is None:
        return
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tie_word_embeddings"] = bool(scales)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_portable_tokenizer_config(folder: Path) -> None:
    """Write the tokenizer's settings in the words that transformers 4 and 5 both understand: 5's own class name and
    its list of extra tokens make 4 fail."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
