"""What is computed together: by the device and its memory, and less where that does not suffice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tinyllm_cli.students import groups
from tinyllm_cli.students.groups import Budget, in_groups

BUDGET = Budget(cpu=100, gpu=10_000)
CONFIG = SimpleNamespace(hidden_size=8, num_hidden_layers=4, vocab_size=16)
A_TOKEN = 2 * 4 * 8 * 4 + 4 * 16  # bytes


def student(device: str) -> Any:
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: CONFIG))
    return SimpleNamespace(device=device, model=model)


@pytest.mark.parametrize(
    ("memory", "tokens"), [(4 * A_TOKEN * 700, 700), (4 * A_TOKEN * 50, 100), (4 * A_TOKEN * 10**6, 10_000)]
)
def test_a_gpu_gets_what_its_memory_holds(memory: int, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_free_memory", lambda _: memory)
    assert BUDGET.of(student("cuda:0")) == tokens
    assert BUDGET.of(student("cpu")) == 100


def test_an_export_without_a_device_is_on_a_cpu() -> None:
    exported: Any = SimpleNamespace(tokenizer=None)
    assert BUDGET.of(exported) == 100


def test_each_item_gets_what_was_found_for_it_in_groups_that_fit() -> None:
    sizes = [7 * number % 60 for number in range(20)]
    seen: list[list[int]] = []

    def squared(group: list[int]) -> list[int]:
        if len(group) > 3:
            raise torch.OutOfMemoryError("no more")
        seen.append(group)
        return [number**2 for number in group]

    found = dict(in_groups(student("cpu"), range(20), sizes, BUDGET, squared))
    assert found == {number: number**2 for number in range(20)}
    assert sorted(number for group in seen for number in group) == list(range(20))
    assert any(len(group) > 1 for group in seen)


def test_what_does_not_fit_alone_is_an_error() -> None:
    def nothing_fits(_: list[int]) -> list[int]:
        raise torch.OutOfMemoryError("no more")

    with pytest.raises(torch.OutOfMemoryError):
        list(in_groups(student("cpu"), range(3), [1, 1, 1], BUDGET, nothing_fits))
