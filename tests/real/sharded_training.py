"""Trainings that one process and the processes of torchrun, which divide the student among them, compute alike.

Run by torchrun: `-m tests.real.sharded_training STUDENTS OUT` writes the student and the losses of each training."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests.conftest import make_questions
from tests.models import add_dropout
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.base import Example
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.students.sharding import readable
from tinyllm_cli.training.checkpoint import restore_state, save_state
from tinyllm_cli.training.distributed import Processes, process_group
from tinyllm_cli.training.steps import Training
from tinyllm_cli.training.validation import answered


@dataclass(frozen=True, kw_only=True)
class Case:
    """`lengths`: input and target tokens of each question's only example."""

    model: str = "llama"
    lengths: tuple[tuple[int, int], ...] = ((9, 4), (30, 7), (12, 3), (25, 2), (6, 9), (14, 5), (41, 3))
    dropout: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


OPTIMIZERS = {"adamw_torch": 1e-3, "sgd": 0.5, "rmsprop": 1e-3, "adagrad": 1e-3}
"""Learning rates, beside the usual optimizer."""

CASES = {
    "llama": Case(),
    "llama-tied": Case(model="llama-tied"),
    "t5": Case(model="t5"),
    "t5-tied": Case(model="t5-tied"),
    "dropout": Case(model="t5", dropout=0.2),
    "one process has nothing to do": Case(dropout=0.2, settings={"batch_size": 1}),
    "one process has more passes": Case(lengths=((300, 9), *[(4, 2)] * 8), settings={"token_budget": 64}),
    "checkpointing": Case(settings={"gradient_checkpointing": True}),
    "t5 checkpointing": Case(model="t5", settings={"gradient_checkpointing": True}),
    "lora": Case(settings={"lora_rank": 4}),
    "lora and checkpointing": Case(model="t5", settings={"lora_rank": 4, "gradient_checkpointing": True}),
    "bfloat16": Case(settings={"precision": "bfloat16"}),
    **{
        name: Case(settings={"optimizer": name, "weight_decay": 0.1, "max_steps": 2, "lr": lr})
        for name, lr in OPTIMIZERS.items()
    },
}


def training(case: Case, students: Path, processes: Processes) -> Training:
    student = load_student(str(students / case.model), in_memory=processes.shards)
    add_dropout(student, case.dropout)
    words = student.model.get_input_embeddings().weight.shape[0]
    examples = [
        [Example.single("answer", *(tuple((7 * at + 3 * row) % words for at in range(size)) for size in sizes))]
        for row, sizes in enumerate(case.lengths)
    ]
    settings = {"epochs": 2, "batch_size": 4, "lr": 1e-3, "precision": "float32", **case.settings}
    return Training(student, examples, TrainSettings(**settings), processes=processes)


def trained(case: Case, students: Path, out: Path, processes: Processes) -> list[float]:
    """The loss of each step; the student is saved in `out`."""
    begun = training(case, students, processes)
    losses = [report.losses["answer"] for report in begun.steps()]
    save_student(begun.student, out, "# card\n", write=processes.first)
    return losses


def stopped_and_resumed(students: Path, out: Path, processes: Processes) -> None:
    """The student of case "dropout", whose training was stopped after two steps and resumed from its state."""
    case = CASES["dropout"]
    begun = training(case, students, processes)
    for report in begun.steps():
        if report.step == 2:
            break
    save_state(out / "state", begun, {}, write=processes.first)
    if processes.shards:
        torch.distributed.barrier()  # the state is written
    resumed(case, students, out, processes)


def resumed(case: Case, students: Path, out: Path, processes: Processes) -> None:
    continued = training(case, students, processes)
    assert restore_state(out / "state", continued) is not None
    assert [report.step for report in continued.steps()] == [3, 4]
    save_student(continued.student, out / "resumed", "# card\n", write=processes.first)


def evaluated(model: str, students: Path, processes: Processes) -> list[float]:
    """The figures of the valid split, by ranking and by the students' own rationales, between two steps."""
    begun = training(Case(model=model), students, processes)
    questions, found = make_questions(5), []
    for _ in begun.steps():
        for target in ("multitask", "rationale-first"):
            settings = TrainSettings(target=target, max_target=12)  # type: ignore[arg-type]
            with readable(begun.student.model):
                found += answered(begun.student, questions, settings, NO_EXTRA_CONTEXT)
    return found


def out_of_memory(students: Path, processes: Processes) -> str:
    """The message of a step for which the memory does not suffice."""

    def short_of_memory(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    begun = training(CASES["llama"], students, processes)
    begun.student.model.register_forward_pre_hook(short_of_memory)
    try:
        next(begun.steps())
    except WorldProblem as error:
        return f"{error} {error.hint}"
    return ""


def main(students: Path, out: Path) -> None:
    torch.set_num_threads(1)
    with process_group(shards=True) as processes:
        found = {
            "losses": {name: trained(case, students, out / name, processes) for name, case in CASES.items()},
            "evaluated": {model: evaluated(model, students, processes) for model in ("llama", "t5")},
            "out of memory": out_of_memory(students, processes),
        }
        stopped_and_resumed(students, out, processes)
        if processes.first:
            (out / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
