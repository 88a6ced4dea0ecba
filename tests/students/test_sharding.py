"""What of sharding needs no second process; the rest is in tests/real/test_sharding.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models import make_student
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.students.sharding import clip_gradients, gathered, shard


def test_a_model_that_does_not_name_its_layers_is_refused(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", "causal")
    student.model._no_split_modules = None
    with pytest.raises(UsageProblem, match="LlamaForCausalLM does not name the layers that --shard divides"):
        shard(student)


def test_gradients_are_clipped_as_torch_does() -> None:
    one, other = ([torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2))] for _ in range(2))
    for parameters in (one, other):
        for number, value in enumerate(parameters, start=1):
            value.grad = torch.full_like(value, 2.0 * number)
    assert clip_gradients(one, 1.5) == float(torch.nn.utils.clip_grad_norm_(other, 1.5))
    assert all(torch.equal(mine.grad, theirs.grad) for mine, theirs in zip(one, other, strict=True))  # type: ignore[arg-type]


def test_two_names_of_one_tensor_stay_that() -> None:
    tied = torch.ones(2)
    found = gathered({"embedding": tied, "head": tied, "norm": torch.zeros(2)}, keep=True)
    assert found["embedding"] is found["head"]
    assert gathered(found, keep=False) == {}
