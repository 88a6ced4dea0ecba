"""Training speed and memory against a Seq2SeqTrainer in the reference's style, on real questions and rationales.

.venv/bin/python benchmarks/training.py FOLDER [--dataset openbookqa] [--questions 64] [--device cuda --size large]

FOLDER holds data sets in the layout that `tinyllm import` reads, and `t5_tokenizer`. The student has a FLAN-T5
architecture and random weights. Each side trains in a process of its own, on the same batches of questions.
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
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingPlan, load_training_data
from tinyllm_cli.training.environment import precision_context
from tinyllm_cli.training.gradient import MicroBatches, backward
from tinyllm_cli.training.objective import Objective
from tinyllm_cli.training.sequences import TARGETS
from tinyllm_cli.training.steps import Training, step_batches

WEIGHTS = {"answer": 1.0, "flan-t5-xl": 1.0, "llama-2-7b-chat": 0.5}
TEACHERS = (
    WeightedTeacher(teacher="flan-t5-xl", prefix="explain: ", alpha=1.0),
    WeightedTeacher(teacher="llama-2-7b-chat", prefix="rationale: ", alpha=0.5),
)
MAX_INPUT = {"openbookqa": 128, "pubmedqa": 512}
"""What the reference pads to. Both sides cut what is longer, so that they train on the same tokens."""

SIZES = {
    "small": {"d_model": 512, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8, "num_heads": 6},
    "base": {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_decoder_layers": 12, "num_heads": 12},
    "large": {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_decoder_layers": 24, "num_heads": 16},
}
SIDES = ("reference", "reference-bf16", "ours")
PEAK_BF16 = 989e12
"""FLOP/s of a dense product on an H100 or H200, by its data sheet."""


def student(tokenizer: Path, size: str, device: str, attention: str) -> Student:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=32128, d_kv=64, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        decoder_start_token_id=0, **SIZES[size],
    )  # fmt: skip
    config._attn_implementation = attention
    with torch.device(device):
        model = T5ForConditionalGeneration(config)
    model.lm_head.weight.data.mul_(config.d_model**-0.5)  # as a trained head: a loss of ln(vocabulary) at the start
    return Seq2SeqStudent(
        Checkpoint(model=model, tokenizer=T5TokenizerFast.from_pretrained(tokenizer), kind="seq2seq", device=device)
    )


def examples(database: Path, dataset: str, learner: Student, settings: TrainSettings) -> list[list[Example]]:
    """The questions that have all tasks: where one lacks, the reference's passes would be of different sizes."""
    plan = TrainingPlan(method="tinyllm", dataset=dataset, student="", teachers=TEACHERS, settings=settings)
    with open_store(database) as store:
        training_questions = load_training_data(store, plan).training_questions
    names = [{one.name for task in lesson.tasks for one in task.segments} for lesson in training_questions]
    whole = [lesson for lesson, found in zip(training_questions, names, strict=True) if found == WEIGHTS.keys()]
    return [learner.encode(lesson.tasks, Limits.of(settings)) for lesson in whole]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    settings = TrainSettings(
        max_input=MAX_INPUT[options.dataset],
        reading="token",
        batch_size=options.batch_size,
        token_budget=options.token_budget,
        target=options.target,
    )
    learner = student(
        options.folder / "t5_tokenizer", options.size, options.device, "eager" if options.device == "cpu" else "sdpa"
    )
    questions = options.questions
    rows = examples(options.database, options.dataset, learner, settings)[
        : questions + options.warm_up * settings.batch_size
    ]
    tokens = sum(example.size for step in list(step_batches(rows, settings))[options.warm_up :] for example in step)
    operations = operations_of(learner, rows, settings) if options.side == "ours" and options.device == "cuda" else 0
    curve: list[dict[str, float]] = []
    times = [time.perf_counter()]
    cpu = [time.process_time()]

    def watch(losses: dict[str, float]) -> None:
        curve.append(losses)
        times.append(time.perf_counter())
        cpu.append(time.process_time())

    if options.side == "ours":
        for report in Training(learner, rows, settings, WEIGHTS).steps():
            watch(dict(report.losses))
    else:
        import reference_trainer

        flat = [example for step in step_batches(rows, settings) for example in step]
        tasks = len(WEIGHTS)
        ordered = [{e.spans[0].name: e for e in flat[at : at + tasks]} for at in range(0, len(flat), tasks)]
        reference_trainer.train(
            learner.model, ordered, WEIGHTS, max_input=settings.max_input, batch_size=settings.batch_size,
            lr=settings.lr, bf16=options.side.endswith("bf16"), watch=watch,
        )  # fmt: skip
    seconds = times[-1] - times[options.warm_up]
    found = {
        "questions/s": questions / seconds,
        "tokens/s": tokens / seconds,
        "cpu seconds/question": (cpu[-1] - cpu[options.warm_up]) / questions,
        "curve": curve,
    }
    if options.device == "cuda":
        found["peak MB"] = torch.cuda.max_memory_allocated() / 2**20
        found["share of the card's peak"] = operations * questions / seconds / PEAK_BF16
    else:
        found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def operations_of(learner: Student, rows: list[list[Example]], settings: TrainSettings) -> float:
    """Floating-point operations of the products that a question costs us, padding included: counted over one step."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    step = next(iter(step_batches(rows, settings)))
    with FlopCounterMode(display=False) as counter:
        micro = MicroBatches(
            budget=settings.budget_on(learner.device), autocast=precision_context("auto", learner.device)
        )
        backward(Learner(learner), step, Objective(reading=settings.reading), micro)
    learner.model.zero_grad()
    torch.cuda.reset_peak_memory_stats()
    return counter.get_total_flops() / settings.batch_size


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", default="openbookqa", choices=sorted(MAX_INPUT))
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8, help="questions in a step")
    parser.add_argument("--warm-up", type=int, default=1, help="steps that are left out")
    parser.add_argument("--token-budget", type=int, default=0, help="of our micro-batches")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", default="multitask", choices=TARGETS, help="with --side ours")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--size", default="small", choices=sorted(SIZES))
    parser.add_argument("--side", choices=SIDES, action="append", help="by default the reference and ours")
    parser.add_argument("--database", type=Path, help="what FOLDER's data set was imported into")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sides = options.side or ["reference", "ours"]
    if options.target != "multitask" and {*sides} != {"ours"}:  # in a process of its own, ours is named again
        parser.error("The reference has the paper's tasks only: --target needs --side ours.")
    if options.here:
        options.side = sides[-1]
        print(json.dumps(measure(options)))
        return
    with tempfile.TemporaryDirectory() as work:
        database = options.database or imported(options.folder / options.dataset, Path(work))
        results = {
            side: in_process([*arguments, "--here", "--side", side, "--database", str(database)]) for side in sides
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
        print(side, {name: round(value, 3) for name, value in result.items() if name != "curve"}, flush=True)
    ours = results.get("ours")
    for side, theirs in results.items():
        if ours is None or side == "ours":
            continue
        print(f"questions/s, to {side}:", round(ours["questions/s"] / theirs["questions/s"], 2))
        print(f"peak memory, to {side}:", round(ours["peak MB"] / theirs["peak MB"], 2))
        for task in WEIGHTS:
            gaps = [abs(a[task] - b[task]) for a, b in zip(ours["curve"], theirs["curve"], strict=True)]
            last = [round(result["curve"][-1][task], 3) for result in (theirs, ours)]
            print(f"{task}: largest gap of the curves {max(gaps):.3f}, at the end ({side}, ours) {last}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
