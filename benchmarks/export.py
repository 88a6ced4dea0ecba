"""A student in CTranslate2 against the same student in torch: questions/s of writing answers and of ranking options.

.venv/bin/python benchmarks/export.py [FOLDER OF A T5 TOKENIZER]

SmolLM2-135M is the embedded model. The T5 has the shape of flan-t5-small and random weights, which never write an end
token: all of its answers run to the limit of 64 tokens. Needs the extra `export`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tinyllm_cli.datasets.catalogue import everyday
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.export import to_ctranslate2
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.predict import generate, rank
from tinyllm_cli.students.saving import save_student

QUESTIONS = 12
REPEATS = 2


def flan_t5_small(tokenizer: Path, folder: Path) -> Path:
    """google/flan-t5-small's shape, random weights."""
    from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 512**-0.5)
    model.save_pretrained(folder)
    T5TokenizerFast.from_pretrained(tokenizer).save_pretrained(folder)
    return folder


def rates(models: dict[str, Any], questions: list[Question]) -> dict[str, dict[str, float]]:
    """Questions/s of the best of several rounds; every round asks all models, one after the other."""
    best: dict[str, dict[str, float]] = {name: {} for name in models}
    for _ in range(REPEATS):
        for name, model in models.items():
            for what, ask in (("generate", generate), ("rank", rank)):
                started = time.perf_counter()
                list(ask(model, questions, Limits()))
                rate = len(questions) / (time.perf_counter() - started)
                best[name][what] = max(rate, best[name].get(what, 0.0))
    return best


def alike(student: Student, other: Any, questions: list[Question]) -> str:
    def options(model: Any) -> list[int | None]:
        return [one.option for one in sorted(rank(model, questions, Limits()), key=lambda one: one.key)]

    same = sum(a == b for a, b in zip(options(student), options(other), strict=True))
    return f"{same} of {len(questions)} ranked alike"


def compare(name: str, source: Path, folder: Path, questions: list[Question]) -> None:
    student = load_student(str(source), device="cpu")
    models: dict[str, Any] = {"torch float32": student}
    for label, int8 in (("CTranslate2 float32", False), ("CTranslate2 int8", True)):
        used_up = load_student(str(source), device="cpu")
        to_ctranslate2.write(used_up, str(source), folder / label, int8)
        models[label] = to_ctranslate2.load(folder / label, student)
    found = rates(models, questions)
    for label, model in models.items():
        for what, rate in found[label].items():
            ratio = rate / found["torch float32"][what]
            print(f"{name}, {label}, {what}: {rate:.2f} questions/s, ratio {ratio:.2f}")
        print(f"{name}, {label}: {alike(student, model, questions)}")


def main() -> None:
    questions = [question for question in everyday().read() if question.split == "valid"][:QUESTIONS]
    print(
        f"{len(questions)} questions of everyday/valid, {torch.get_num_threads()} threads, best of {REPEATS} rounds",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        save_student(load_student("smollm2", device="cpu"), work / "smollm2", "")
        compare("SmolLM2-135M", work / "smollm2", work, questions)
        if len(sys.argv) > 1:
            save_student(
                load_student(str(flan_t5_small(Path(sys.argv[1]), work / "made")), device="cpu"), work / "t5", ""
            )
            (work / "t5-out").mkdir()
            compare("flan-t5-small's shape", work / "t5", work / "t5-out", questions)


if __name__ == "__main__":
    main()
