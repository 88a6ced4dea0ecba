"""Run by torchrun: the gradient of one step, summed over the processes, written by the first of them. With dropout."""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file

from tests.conftest import make_questions
from tests.models import add_dropout
from tinyllm_cli.rationales.selection import SelectedRationale
from tinyllm_cli.records.settings import Target
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import training_questions
from tinyllm_cli.training.distributed import process_group
from tinyllm_cli.training.gradient import MicroBatches, backward
from tinyllm_cli.training.objective import Objective


def main(folder: str, out: str, target: Target) -> None:
    torch.set_num_threads(1)
    student = load_student(folder)
    add_dropout(student, 0.2)
    student.model.train()
    questions = make_questions(7)
    written = {
        "t5": {
            question.key: [SelectedRationale(text=f"It follows from {question.gold}.")] for question in questions[:4]
        }
    }
    teacher = WeightedTeacher(teacher="t5", prefix="explain: ", alpha=0.5)
    taught = training_questions(questions, written, [teacher], target)
    examples = student.encode([task for lesson in taught for task in lesson.tasks], Limits())
    with process_group() as processes:
        objective = Objective(alpha={"t5": 0.5}, coverage={"t5": 4 / 7})
        losses = backward(Learner(student), examples, objective, MicroBatches(budget=100, processes=processes))
        processes.sum_gradients(student.model)
        total = processes.sum_numbers(list(losses.values()))
        if processes.first:
            gradient = {name: value.grad for name, value in student.model.named_parameters() if value.grad is not None}
            save_file({**gradient, "losses": torch.tensor(total)}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
