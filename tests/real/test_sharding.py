"""Processes that divide a student among them (FSDP2) train, evaluate, save and resume as one process does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from tests.conftest import ROOT, Command, environment
from tests.models import make_folder, t5_model, tiny_tokenizer
from tests.processes import MARK, marked, new_mark, wait_until
from tests.real.sharded_training import CASES, evaluated, resumed, trained
from tests.real.test_distill_killed import runs, states
from tests.real.test_processes import LAUNCHERS, prepare
from tinyllm_cli.training.distributed import ALONE

pytestmark = pytest.mark.real

ALONE_TOO = (
    *("distill", "--alpha", "0", "--dataset", "toy", "--student", "student", "--recipe", "paper", "--batch-size", "3"),
    *("--epochs", "12", "--evals-per-epoch", "1", "--precision", "float32", "--lr", "1e-3"),
)
SHARDED = (*ALONE_TOO, "--shard", "--save-every", "0")


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama's and T5's shapes; the tied Llama has an embedding of the size from which only its used rows are added."""
    folder = tmp_path_factory.mktemp("students")
    make_folder(folder / "llama", "causal")
    make_folder(folder / "t5", "seq2seq")
    tokenizer = tiny_tokenizer(ends=True)
    t5_model(tokenizer, tied=True).save_pretrained(folder / "t5-tied")
    config = LlamaConfig.from_pretrained(folder / "llama")
    config.vocab_size, config.tie_word_embeddings = 22_001, True
    LlamaForCausalLM(config).save_pretrained(folder / "llama-tied")
    for name in ("t5-tied", "llama-tied"):
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def sharded(students: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes found and wrote."""
    out = tmp_path_factory.mktemp("sharded")
    launch = (
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "tests.real.sharded_training",
    )
    done = subprocess.run(
        [sys.executable, *launch, str(students), str(out)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def found(sharded: Path) -> Any:
    return json.loads((sharded / "found.json").read_text(encoding="utf-8"))


def close(one: Path, other: Path, tolerance: float = 1e-4) -> bool:
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, other))
    return weights.keys() == others.keys() and all(
        torch.allclose(weights[name], others[name], atol=tolerance, rtol=0) for name in weights
    )


@pytest.mark.parametrize("name", CASES)
def test_the_curve_and_the_weights_are_those_of_one_process(
    name: str, students: Path, sharded: Path, tmp_path: Path
) -> None:
    losses = trained(CASES[name], students, tmp_path / "alone", ALONE)
    rounded = name == "bfloat16"  # another order of sums rounds to another bfloat16
    assert found(sharded)["losses"][name] == pytest.approx(losses, abs=1e-2 if rounded else 1e-4)
    assert close(sharded / name, tmp_path / "alone", 5e-3 if rounded else 1e-4)
    assert not close(sharded / name, students / CASES[name].model, 5e-4), "the student has learned something"
    saved, source = (AutoConfig.from_pretrained(folder) for folder in (sharded / name, students / CASES[name].model))
    assert saved.architectures == source.architectures


def test_a_resumed_training_ends_with_the_same_weights_bit_for_bit(
    students: Path, sharded: Path, tmp_path: Path
) -> None:
    assert close(sharded / "resumed", sharded / "dropout", 0.0)
    (tmp_path / "state").symlink_to(sharded / "state")
    resumed(CASES["dropout"], students, tmp_path, ALONE)  # one process continues what two began
    assert close(tmp_path / "resumed", sharded / "dropout")


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_evaluations_between_the_steps_find_the_same(model: str, students: Path, sharded: Path) -> None:
    assert found(sharded)["evaluated"][model] == pytest.approx(evaluated(model, students, ALONE), abs=1e-3)


def test_a_gpu_that_is_too_small_ends_the_run_with_a_way_out(sharded: Path) -> None:
    message = found(sharded)["out of memory"]
    assert "does not suffice for step 1 with micro-batches of 3000 tokens" in message
    assert "--token-budget 1500" in message


@contextmanager
def group_of(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """torchrun and the mark of its processes, which are killed at the end of the block."""
    mark = new_mark()
    process = subprocess.Popen(
        [sys.executable, *LAUNCHERS["torchrun"], *arguments], cwd=folder, env=environment(**{MARK: mark}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, mark
    finally:
        for each in marked(mark):
            os.kill(each, signal.SIGKILL)
        process.communicate()


def test_a_run_that_is_killed_and_stopped_continues_also_in_one_process(tinyllm: Command, tmp_path: Path) -> None:
    prepare(tmp_path, "causal")
    assert tinyllm(*ALONE_TOO, "--db", "one.db").returncode == 0
    with group_of(tmp_path, *SHARDED):
        wait_until(lambda: states(tmp_path) != [])
    killed = states(tmp_path)
    with group_of(tmp_path, *SHARDED) as (process, mark):
        wait_until(lambda: states(tmp_path) not in ([], killed))
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
        assert marked(mark) == {}
    assert "Run 1 resumes after step" in error
    [stopped], [state] = runs(tmp_path / "tinyllm.db"), states(tmp_path)
    figures = json.loads(stopped["metrics"])
    assert (stopped["state"], figures["sharded"], figures["processes"]) == ("stopped", True, 2)
    assert state.name.startswith(f"step-{figures['steps']:09d}-"), "no step is lost"
    done = tinyllm(*ALONE_TOO)
    assert done.returncode == 0, done.stderr
    assert f"Run 1 resumes after step {figures['steps']}." in done.stderr
    [expected], [run] = runs(tmp_path / "one.db"), runs(tmp_path / "tinyllm.db")
    one, two = json.loads(expected["metrics"]), json.loads(run["metrics"])
    assert [point["answer"] for point in two["curve"]] == pytest.approx([p["answer"] for p in one["curve"]], abs=1e-4)
    assert close(Path(expected["folder"]), Path(run["folder"]))
