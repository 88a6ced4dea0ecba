"""A saved student is an ordinary Hugging Face folder: the same logits in transformers 5 and 4, replaced as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT, environment
from tests.models import KINDS, Kind, make_folder, make_student, t5_model, tiny_tokenizer, word_tokenizer
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.saving import clear_up, save_student

TRANSFORMERS4 = ROOT / ".venv" / "transformers4"
INPUT, READ = [5, 60, 70, 81, 9, 1], [0, 40, 51]

PRINT_LOGITS = f"""
import json, sys
import torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
folder = sys.argv[1]
seq2seq = AutoConfig.from_pretrained(folder).is_encoder_decoder
model = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(folder).eval()
extra = {{"decoder_input_ids": torch.tensor([{READ}])}} if seq2seq else {{}}
with torch.no_grad():
    logits = model(input_ids=torch.tensor([{INPUT}]), **extra).logits[0]
tokens = AutoTokenizer.from_pretrained(folder)("predict: Which of these is number 3?")["input_ids"]
print(json.dumps({{"version": transformers.__version__, "logits": logits.tolist(), "tokens": tokens}}))
"""


def logits_of(student: Student) -> torch.Tensor:
    extra = {"decoder_input_ids": torch.tensor([READ])} if student.kind == "seq2seq" else {}
    with torch.no_grad():
        found: torch.Tensor = student.model(input_ids=torch.tensor([INPUT]), **extra).logits[0]
    return found


def own_head(folder: Path) -> Path:
    return make_folder(folder, "seq2seq")


def classic(folder: Path) -> Path:
    return make_folder(folder, "seq2seq", tied=True)


def causal(folder: Path) -> Path:
    return make_folder(folder, "causal")


def shared_unscaled(folder: Path) -> Path:
    """A head that is the embedding's tensor and yet unscaled: what a fresh T5 v1.1 is in transformers 5."""
    tokenizer = tiny_tokenizer(ends=True)
    model = t5_model(tokenizer)
    model.lm_head.weight = model.shared.weight
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


SOURCES = [own_head, shared_unscaled, classic, causal]


def trained(source: Callable[[Path], Path], folder: Path) -> Student:
    """A student whose weights have moved, so that nothing in `folder` has its logits."""
    student = load_student(str(source(folder)))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in student.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return student


@pytest.mark.parametrize("source", SOURCES)
def test_a_saved_student_loads_again_with_equal_logits(source: Callable[[Path], Path], tmp_path: Path) -> None:
    student = trained(source, tmp_path / "source")
    save_student(student, tmp_path / "saved", "# card\n")
    again = load_student(str(tmp_path / "saved"))
    assert again.kind == student.kind
    torch.testing.assert_close(logits_of(again), logits_of(student), rtol=0, atol=1e-6)
    text = "predict: Which of these is number 3?"
    assert again.tokenizer(text)["input_ids"] == student.tokenizer(text)["input_ids"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_student_saved_in_bfloat16_takes_half_the_disk_and_has_rounded_weights(
    source: Callable[[Path], Path], tmp_path: Path
) -> None:
    student = trained(source, tmp_path / "source")
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    save_student(student, tmp_path / "whole", "# card\n")
    save_student(student, tmp_path / "half", "# card\n", "bfloat16")
    whole, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half"))
    assert 0.45 < half / whole < 0.55
    config = json.loads((tmp_path / "half" / "config.json").read_text(encoding="utf-8"))
    assert config.get("dtype", config.get("torch_dtype")) == "bfloat16"
    again = load_student(str(tmp_path / "half"))
    assert {value.dtype for value in again.model.state_dict().values() if value.is_floating_point()} == {torch.float32}
    for name, value in again.model.state_dict().items():
        torch.testing.assert_close(value, before[name].to(torch.bfloat16).to(value.dtype), rtol=0, atol=0)
        torch.testing.assert_close(student.model.state_dict()[name], before[name], rtol=0, atol=0)


@pytest.mark.parametrize("source", SOURCES)
def test_a_saved_student_has_equal_logits_in_transformers_4(source: Callable[[Path], Path], tmp_path: Path) -> None:
    student = trained(source, tmp_path / "source")
    save_student(student, tmp_path / "saved", "# card\n")
    found = in_transformers_4(tmp_path / "saved")
    torch.testing.assert_close(torch.tensor(found["logits"]), logits_of(student), rtol=1e-4, atol=1e-4)
    assert found["tokens"] == student.tokenizer("predict: Which of these is number 3?")["input_ids"]


def test_a_tokenizer_like_t5s_reads_the_same_in_transformers_4(tmp_path: Path) -> None:
    student = load_student(str(make_folder(tmp_path / "source", "seq2seq", tokenizer=word_tokenizer())))
    save_student(student, tmp_path / "saved", "# card\n")
    found = in_transformers_4(tmp_path / "saved")
    assert found["tokens"] == student.tokenizer("predict: Which of these is number 3?")["input_ids"]
    torch.testing.assert_close(torch.tensor(found["logits"]), logits_of(student), rtol=1e-4, atol=1e-4)


def in_transformers_4(folder: Path) -> Any:
    if not TRANSFORMERS4.is_dir():
        pytest.skip("transformers 4 is not installed in .venv/transformers4 (make test does it)")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRINT_LOGITS, str(folder)],
        env=environment(PYTHONPATH=str(TRANSFORMERS4)), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["version"].startswith("4.")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_holds_what_others_look_for(kind: Kind, tmp_path: Path) -> None:
    student = make_student(tmp_path / "source", kind)
    save_student(student, tmp_path / "saved", "# how it was made\n")
    files = {path.name for path in (tmp_path / "saved").iterdir()}
    assert files == {
        "README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert (tmp_path / "saved" / "README.md").read_text(encoding="utf-8") == "# how it was made\n"
    generation = json.loads((tmp_path / "saved" / "generation_config.json").read_text(encoding="utf-8"))
    assert generation["eos_token_id"] == student.tokenizer.eos_token_id
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("source", "tied"), [(own_head, False), (shared_unscaled, False), (classic, True)])
def test_the_config_says_truly_whether_the_head_is_tied(
    source: Callable[[Path], Path], tied: bool, tmp_path: Path
) -> None:
    save_student(load_student(str(source(tmp_path / "source"))), tmp_path / "saved", "")
    config = json.loads((tmp_path / "saved" / "config.json").read_text(encoding="utf-8"))
    assert config["tie_word_embeddings"] is tied


def test_saving_again_replaces_the_folder_as_a_whole(tmp_path: Path) -> None:
    student = make_student(tmp_path / "source", "causal")
    save_student(student, tmp_path / "saved", "first")
    (tmp_path / "saved" / "left-over.txt").write_text("of an earlier version", encoding="utf-8")
    save_student(student, tmp_path / "saved", "second")
    assert (tmp_path / "saved" / "README.md").read_text(encoding="utf-8") == "second"
    assert not (tmp_path / "saved" / "left-over.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"source", "saved"}


def test_every_byte_is_on_the_disk_before_the_folder_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of a run that the database calls done survive a power cut."""
    synced: list[Path] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: (synced.append(Path(os.readlink(f"/proc/self/fd/{number}"))), fsync(number))
    )
    folder = tmp_path / "runs" / "saved"
    save_student(make_student(tmp_path / "source", "causal"), folder, "# card\n")
    *files, last = synced
    assert {file.name for file in files} == {file.name for file in folder.iterdir()}
    assert all(file.parent != folder for file in files)
    assert last == folder.parent


def test_what_a_kill_left_of_a_save_is_cleared_up(tmp_path: Path) -> None:
    student = make_student(tmp_path / "source", "causal")
    for name in (".saved.new-a1b2", ".saved-2.new-c3d4"):
        (tmp_path / name).mkdir()
    save_student(student, tmp_path / "saved", "first")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "saved", ".saved-2.new-c3d4"}
    (tmp_path / "saved").rename(tmp_path / ".saved.old")  # killed between its two renames
    clear_up(tmp_path / "saved")
    assert (tmp_path / "saved" / "README.md").read_text(encoding="utf-8") == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "saved", ".saved-2.new-c3d4"}


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    student = make_student(tmp_path / "source", "causal")
    save_student(student, tmp_path / "saved", "first")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    with pytest.raises(UnicodeEncodeError):
        save_student(student, tmp_path / "saved", "a lone surrogate can't be written: \ud800")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"source", "saved"}
