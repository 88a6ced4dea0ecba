"""Layers that read packed rows as compiled functions give the gradient of those that are not compiled, and are compiled
once for each length of rows. On a CPU, and with a compiler that needs no C++ ("aot_eager"): a GPU's is not tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tests.training.test_families import FAMILIES, Family, gap, made
from tests.training.test_loss import examples, gradients, objective
from tests.training.test_packing_on_a_gpu import STEP, dense
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.lora import add_lora
from tinyllm_cli.students.loss.gpu.masks import padded_length
from tinyllm_cli.students.loss.gpu.packing import FlexRows
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.gradient import MicroBatches, backward

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, while it traces
KINDS_OF_LAYERS = {"flan-t5": 4, "llama": 1}
"""T5: those with and without a bias of their own, of encoder and decoder."""

SHORT = ((30, 11), (3, 8), (9, 4))


@pytest.fixture(autouse=True)
def compiled_anew() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def of_step(learner: Learner, batch: list[Example], number: int = 1) -> dict[str, torch.Tensor]:
    model = learner.student.model
    model.train()
    backward(learner, batch, objective(batch), MicroBatches(key=(0, number), budget=10_000))
    model.eval()
    return gradients(model)


def rows_of(student: Student, batch: list[Example]) -> tuple[int, ...]:
    targets = sum(one.length for one in batch)
    if student.kind == "causal":
        return (padded_length(sum(one.size - 1 for one in batch)),)
    return padded_length(sum(len(one.input) for one in batch)), padded_length(targets)


@pytest.mark.parametrize("name", KINDS_OF_LAYERS)
def test_the_gradient_is_that_of_layers_that_are_not_compiled(name: str) -> None:
    student = made(FAMILIES[name])
    names = list(student.model.state_dict())
    steps = [examples(STEP), examples(SHORT), [*examples(STEP), *examples(STEP)]]
    wanted = [of_step(Learner(student, packing=FlexRows("cpu", dense)), batch) for batch in steps]
    learner = Learner(student, packing=FlexRows("cpu", dense), compiler="aot_eager")
    assert learner.compiled
    assert list(student.model.state_dict()) == names
    before = graphs()
    for batch, expected in zip(steps, wanted, strict=True):
        assert gap(of_step(learner, batch), expected) < 1e-5
    shapes = {rows_of(student, batch) for batch in steps}
    assert len(shapes) > 1
    assert graphs() - before <= KINDS_OF_LAYERS[name] * len(shapes)
    compiled = graphs()
    for number, batch in enumerate(steps, start=2):
        of_step(learner, batch, number)
        student.generate([batch[0].input], 3)  # as between steps, where nothing is compiled
    assert graphs() == compiled


def test_dropout_follows_from_the_step() -> None:
    family = FAMILIES["flan-t5"]
    student = made(Family(family.model, family.settings, True, family.dropout), dropout=0.2)
    learner = Learner(student, packing=FlexRows("cpu", dense), compiler="aot_eager")
    assert learner.compiled
    seen = [of_step(learner, examples(SHORT), number) for number in (7, 7, 8)]
    assert gap(seen[1], seen[0]) == 0
    assert gap(seen[2], seen[0]) > 1e-2


def test_low_rank_additions_are_compiled_with_their_layers() -> None:
    student = made(FAMILIES["llama"])
    add_lora(student, rank=2, alpha=4.0, seed=0)
    for name, value in student.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    wanted = of_step(Learner(student, packing=FlexRows("cpu", dense)), examples(SHORT))
    learner = Learner(student, packing=FlexRows("cpu", dense), compiler="aot_eager")
    assert learner.compiled
    assert gap(of_step(learner, examples(SHORT)), wanted) < 1e-5


def without_compiler(*_: Any) -> Any:
    raise OSError("there is no C++ compiler")


def without_low_precision(graph: Any, inputs: Any) -> Any:
    from torch._dynamo.backends.registry import lookup_backend

    if torch.is_autocast_enabled("cpu"):
        raise OSError("there is no C++ compiler for bfloat16")
    return lookup_backend("aot_eager")(graph, inputs)


@pytest.mark.parametrize("compiler", [without_compiler, without_low_precision])
def test_where_compiling_fails_the_layers_stay_as_they_are(compiler: Any, caplog: pytest.LogCaptureFixture) -> None:
    from torch._dynamo import register_backend
    from torch._dynamo.backends.registry import list_backends

    name = f"tinyllm_{compiler.__name__}"
    if name not in list_backends(exclude_tags=()):
        register_backend(compiler, name=name)
    student, batch = made(FAMILIES["llama"]), examples(SHORT)
    wanted = of_step(Learner(student, packing=FlexRows("cpu", dense)), batch)
    learner = Learner(student, packing=FlexRows("cpu", dense), compiler=name)
    assert not learner.compiled
    assert learner.packs
    assert gap(of_step(learner, batch), wanted) == 0
    [message] = [record.message for record in caplog.records if record.name.startswith("tinyllm_cli")]
    assert message.startswith("The student's layers are not compiled:")
    assert "there is no C++ compiler" in message


def test_compiled_layers_with_another_gradient_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    from torch._dynamo import register_backend
    from torch._dynamo.backends.registry import list_backends

    def tinyllm_wrong(graph: Any, _: Any) -> Any:
        return lambda *inputs: [2 * one if one.is_floating_point() else one for one in graph(*inputs)]

    if tinyllm_wrong.__name__ not in list_backends(exclude_tags=()):
        register_backend(tinyllm_wrong)
    assert not Learner(made(FAMILIES["llama"]), packing=FlexRows("cpu", dense), compiler="tinyllm_wrong").compiled
    assert "would give another gradient" in caplog.text


def test_rows_that_are_padded_are_not_compiled() -> None:
    learner = Learner(made(FAMILIES["bart"]), packing=FlexRows("cpu", dense), compiler="aot_eager")
    assert not learner.packs
    assert not learner.compiled
