"""Training speed and memory against a Seq2SeqTrainer in the reference's style, on real questions and rationales.

.venv/bin/python benchmarks/training.py FOLDER [--dataset openbookqa] [--questions 64]

FOLDER holds data sets in the layout that `tinyllm import` reads, and `t5_tokenizer`. The student has FLAN-T5-small's
architecture and random weights. Each side trains in a process of its own, on the same batches of 8 questions.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.checkpoints import Checkpoint
from tinyllm_cli.material import Plan, gather
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.tasks import Voice
from tinyllm_cli.training import Training, TrainSettings, step_batches

WEIGHTS = {"answer": 1.0, "flan-t5-xl": 1.0, "llama-2-7b-chat": 0.5}
VOICES = (
    Voice(teacher="flan-t5-xl", prefix="explain: ", alpha=1.0),
    Voice(teacher="llama-2-7b-chat", prefix="rationale: ", alpha=0.5),
)
MAX_INPUT = {"openbookqa": 128, "pubmedqa": 512}
"""What the reference pads to. Both sides cut what is longer, so that they train on the same tokens."""


def student(tokenizer: Path) -> Student:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_decoder_layers=8, num_heads=6,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight.data.mul_(config.d_model**-0.5)  # as a trained head: a loss of ln(vocabulary) at the start
    return Seq2SeqStudent(
        Checkpoint(model=model, tokenizer=T5TokenizerFast.from_pretrained(tokenizer), kind="seq2seq", device="cpu")
    )


def examples(database: Path, dataset: str, learner: Student, settings: TrainSettings) -> list[list[Example]]:
    """The questions that have all tasks: where one lacks, the reference's passes would be of different sizes."""
    plan = Plan(dataset=dataset, student="", voices=VOICES, settings=settings)
    with open_store(database) as store:
        lessons = gather(store, plan).lessons
    whole = [lesson for lesson in lessons if len(lesson.tasks) == len(WEIGHTS)]
    return [learner.encode(lesson.tasks, settings.limits) for lesson in whole]


def measure(side: str, database: Path, dataset: str, tokenizer: Path, questions: int, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    settings = TrainSettings(
        max_input=MAX_INPUT[dataset], reading="token", token_budget=int(__import__("os").environ.get("BUDGET", "3000"))
    )
    learner = student(tokenizer)
    rows = examples(database, dataset, learner, settings)[: questions + settings.batch_size]
    curve: list[dict[str, float]] = []
    times = [time.perf_counter()]
    cpu = [time.process_time()]

    def watch(losses: dict[str, float]) -> None:
        curve.append(losses)
        times.append(time.perf_counter())
        cpu.append(time.process_time())

    if side == "ours":
        Training(learner, rows, settings).run(lambda report: watch(dict(report.losses)), lambda _: False)
    else:
        import reference_trainer

        flat = [example for step in step_batches(rows, settings) for example in step]
        tasks = len(WEIGHTS)
        ordered = [{e.name: e for e in flat[at : at + tasks]} for at in range(0, len(flat), tasks)]
        reference_trainer.train(
            learner.model, ordered, WEIGHTS, max_input=settings.max_input, batch_size=settings.batch_size,
            lr=settings.lr, watch=watch,
        )  # fmt: skip
    first = 1  # the first step warms caches and allocators up, and is left out
    return {
        "questions/s": questions / (times[-1] - times[first]),
        "cpu seconds/question": (cpu[-1] - cpu[first]) / questions,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "curve": curve,
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", default="openbookqa", choices=sorted(MAX_INPUT))
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=("ours", "reference"))
    parser.add_argument("--database", type=Path)
    options = parser.parse_args(arguments)
    tokenizer = options.folder / "t5_tokenizer"
    if options.side:
        result = measure(options.side, options.database, options.dataset, tokenizer, options.questions, options.threads)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as work:
        database = options.database or imported(options.folder / options.dataset, Path(work))
        results = {
            side: in_process([*arguments, "--side", side, "--database", str(database)])
            for side in ("reference", "ours")
        }
    show(results)


def imported(folder: Path, work: Path) -> Path:
    database = work / "data.db"
    tinyllm = Path(sys.executable).parent / "tinyllm"
    subprocess.run([tinyllm, "import", folder, "--db", database], capture_output=True, check=True)
    return database


def in_process(arguments: Sequence[str]) -> dict[str, Any]:
    finished = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def show(results: dict[str, dict[str, Any]]) -> None:
    for side, result in results.items():
        print(side, {name: round(value, 3) for name, value in result.items() if name != "curve"})
    ours, theirs = results["ours"], results["reference"]
    print("questions/s, ratio:", round(ours["questions/s"] / theirs["questions/s"], 2))
    print("peak memory, ratio:", round(ours["peak MB"] / theirs["peak MB"], 2))
    for task in WEIGHTS:
        gaps = [abs(a[task] - b[task]) for a, b in zip(ours["curve"], theirs["curve"], strict=True)]
        last = [round(result["curve"][-1][task], 3) for result in (theirs, ours)]
        print(f"{task}: largest gap of the curves {max(gaps):.3f}, at the end (reference, ours) {last}")


if __name__ == "__main__":
    main(sys.argv[1:])
