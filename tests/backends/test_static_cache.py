"""A local teacher with a static cache writes what it writes without one, compiled or not, and its batches have few
shapes. Compilation is tested with backends that need no compiler; a GPU's is not tested here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import backends
from backends.base import BadTeacherConfig, Completion, Message, Request, Sampling
from backends.static_cache import StaticCaches, supports_static_cache
from tests.conftest import answers
from tests.models import KINDS, make_folder

PROMPTS = [f"Which of these is number {'of train ' * (number % 5)}{number}?" for number in range(11)]
GREEDY = Sampling(max_tokens=12)


@pytest.fixture(scope="module", params=[*KINDS, "sliding"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    if request.param != "sliding":
        return make_folder(folder, request.param)
    from tests.students.test_predict import sliding_student

    sliding_student(folder)
    return folder


@pytest.fixture
def compiled_anew() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def teacher(folder: Path, static_cache: str) -> Any:
    return backends.create(
        "huggingface", {"model": str(folder), "device": "cpu", "batch_size": 4, "static_cache": static_cache}
    )


def replies(teacher: Any, sampling: Sampling = GREEDY) -> dict[str, Completion]:
    requests = [Request(split="train", key=text, messages=(Message(role="user", content=text),)) for text in PROMPTS]
    found = {request.key: outcome for request, outcome in answers(teacher, requests, sampling)}
    assert found.keys() == {*PROMPTS}
    return {key: outcome for key, outcome in found.items() if isinstance(outcome, Completion)}


def texts(teacher: Any) -> dict[str, tuple[str, int]]:
    return {key: (one.text, one.completion_tokens or 0) for key, one in replies(teacher).items()}


def compiling(teacher: Any, backend: Any) -> Any:
    """As on a GPU, where transformers compiles a decoding step with a static cache."""
    from transformers import CompileConfig

    config = CompileConfig(backend=backend, mode=None)
    config._compile_all_devices = True
    teacher._checkpoint().model.generation_config.compile_config = config
    return teacher


def test_a_static_cache_writes_the_same(folder: Path) -> None:
    wanted = texts(teacher(folder, "off"))
    static = teacher(folder, "on")
    assert texts(static) == wanted
    assert static.describe()["static_cache"]
    automatic = teacher(folder, "auto")
    assert texts(automatic) == wanted
    assert not automatic.describe()["static_cache"]  # no GPU


@pytest.mark.usefixtures("compiled_anew")
@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_a_compiled_step_writes_the_same_and_is_compiled_rarely(folder: Path) -> None:
    graphs: list[int] = []

    def counted(graph: Any, _: Any) -> Any:
        graphs.append(1)
        return graph.forward

    compiled = compiling(teacher(folder, "on"), counted)
    assert texts(compiled) == texts(teacher(folder, "off"))
    assert compiled.describe()["static_cache"]
    assert 1 <= len(graphs) <= 3


@pytest.mark.usefixtures("compiled_anew")
@pytest.mark.parametrize("folder", ["causal"], indirect=True)
def test_where_compiling_fails_the_teacher_says_so_and_continues(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(*_: Any) -> Any:
        raise OSError("there is no C compiler")

    compiled = compiling(teacher(folder, "on"), no_compiler)
    assert texts(compiled) == texts(teacher(folder, "off"))
    assert not compiled.describe()["static_cache"]
    [message] = [record.message for record in caplog.records if record.name == "backends.huggingface"]
    assert message.startswith("Replies are written without a static cache, which failed:")
    assert "there is no C compiler" in message


@pytest.mark.parametrize("folder", ["causal"], indirect=True)
def test_samples_can_be_repeated(folder: Path) -> None:
    warm = Sampling(max_tokens=12, temperature=1.0)
    drawn = [replies(teacher(folder, "on"), warm) for _ in range(2)]
    assert [one.text for one in drawn[0].values()] == [one.text for one in drawn[1].values()]


@pytest.mark.parametrize("folder", ["causal"], indirect=True)
def test_a_model_that_transformers_cannot_compile_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = teacher(folder, "off")._checkpoint().model
    assert supports_static_cache(model)
    monkeypatch.setattr(type(model), "_can_compile_fullgraph", False)
    assert not supports_static_cache(model)
    with pytest.raises(BadTeacherConfig, match="no static cache"):
        answers(teacher(folder, "on"), [Request(split="train", key="1", messages=(Message(role="user", content="?"),))])


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_batches_have_few_shapes(folder: Path) -> None:
    model = teacher(folder, "off")._checkpoint().model
    caches, shapes, kept = StaticCaches(model), set(), []
    for window in range(20):
        for rows, read in [(32, 150 + window), (32, 180), (32, 210 - window), (31 - window // 2, 260)]:
            shape = caches.shape(rows, read, 128)
            assert shape[0] >= rows
            assert shape[1] >= read
            shapes.add(shape if model.config.is_encoder_decoder else shape[0])
            kept.append(caches.empty())
    assert len(shapes) <= 3
    assert len({*map(id, kept)}) <= 3
