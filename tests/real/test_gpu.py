"""On a GPU, where there is one: the same gradient as a CPU's, and a training that outlives a full memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models import KINDS, make_folder
from tests.training.test_loss import assert_same, examples, gradients, objective
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.base import Example
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.gradient import backward
from tinyllm_cli.training.steps import Training

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student"), request.param)


@pytest.fixture
def all_memory() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_gradient_is_that_of_a_cpu(folder: Path) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        student = load_student(str(folder), device=device)
        batch = examples([(9, 4), (3, 8), (30, 12), (1, 1)])
        backward(Learner(student), batch, objective(batch))
        found[device] = {name: value.cpu() for name, value in gradients(student.model).items()}
    assert_same(found["cuda"], found["cpu"])


@pytest.mark.usefixtures("all_memory")
def test_a_full_memory_halves_the_micro_batches_and_changes_nothing_else(folder: Path) -> None:
    dice = random.Random(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(dice.randrange(2, 300) for _ in range(count))

    training_questions = [[Example.single("answer", ids(300), ids(200))] for _ in range(64)]
    settings = TrainSettings(
        batch_size=64, token_budget=64 * 500, precision="float32", optimizer="sgd", schedule="constant", lr=1.0
    )

    def trained() -> tuple[int, dict[str, torch.Tensor]]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        student = load_student(str(folder), device="cuda")
        training = Training(student, training_questions, settings)
        list(training.steps())
        return training.token_budget, {name: value.cpu() for name, value in student.model.state_dict().items()}

    budget, expected = trained()
    assert budget == settings.token_budget
    peak, whole = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * peak / whole)
    budget, found = trained()
    assert budget in (settings.token_budget // 2, settings.token_budget // 4)
    assert all(torch.allclose(found[name], value, rtol=1e-3, atol=1e-5) for name, value in expected.items())
