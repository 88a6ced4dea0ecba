"""Two processes, started by torchrun and by `accelerate launch`, train as one does."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Command, environment, write_dataset
from tests.models import Kind, make_folder
from tests.real.test_distill_killed import runs

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
DISTILL = (
    "distill",
    "--alpha",
    "0",
    "--dataset",
    "toy",
    "--student",
    "student",
    "--recipe",
    "paper",
    "--batch-size",
    "8",
    "--epochs",
    "2",
)
LAUNCHERS = {
    "torchrun": ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tinyllm_cli"),
    "accelerate": ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "tinyllm_cli"),
    "fsdp": (
        *("-m", "accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2", "--num_processes", "2"),
        *("-m", "tinyllm_cli"),
    ),
}


def prepare(folder: Path, kind: Kind) -> None:
    write_dataset(folder / "toy", train=20, valid=8)
    make_folder(folder / "student", kind)


def launched(folder: Path, launcher: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *LAUNCHERS[launcher], *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(("launcher", "kind"), [("torchrun", "causal"), ("accelerate", "seq2seq"), ("fsdp", "seq2seq")])
def test_two_processes_end_with_the_weights_of_one(tinyllm: Command, tmp_path: Path, launcher: str, kind: Kind) -> None:
    prepare(tmp_path, kind)
    exact = (*DISTILL, "--precision", "float32", "--lr", "1e-3")
    assert tinyllm(*exact, "--db", "one.db").returncode == 0
    done = launched(tmp_path, launcher, *exact)
    assert done.returncode == 0, done.stderr
    [expected], [found] = runs(tmp_path / "one.db"), runs(tmp_path / "tinyllm.db")
    assert found["state"] == "done"
    assert done.stdout.count("Run 1 (finetune)") == 1
    assert json.loads(found["metrics"])["sharded"] == (launcher == "fsdp")
    one, two = (load_file(Path(run["folder"]) / "model.safetensors") for run in (expected, found))
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    curves = [json.loads(run["metrics"])["valid"] for run in (expected, found)]
    assert [(point["step"], point["accuracy"]) for point in curves[0]] == [
        (p["step"], p["accuracy"]) for p in curves[1]
    ]
    assert [point["loss"] for point in curves[0]] == pytest.approx([point["loss"] for point in curves[1]], rel=1e-3)
    if launcher == "fsdp":  # the student that was divided is whole again
        evaluated = tinyllm("eval", "--run", "1", "--split", "valid", "--scoring", "rank", "--json")
        [result] = json.loads(evaluated.stdout)["evaluations"]
        best = json.loads(found["metrics"])["best_step"]
        assert result["accuracy"] == next(point["accuracy"] for point in curves[1] if point["step"] == best)


def test_two_nodes_of_torchrun_train_as_one_process(tinyllm: Command, tmp_path: Path) -> None:
    """Each node has a torchrun and a database of its own; they meet at the first one's address."""
    prepare(tmp_path, "causal")
    shutil.copytree(tmp_path, tmp_path / "second", ignore=shutil.ignore_patterns("second"))
    exact = (*DISTILL, "--precision", "float32", "--lr", "1e-3")
    assert tinyllm(*exact, "--db", "one.db").returncode == 0
    meeting = ("--nnodes", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port()))
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *meeting, "--node-rank", str(rank), "--nproc-per-node", "1",
             "-m", "tinyllm_cli", *exact],
            cwd=tmp_path / ("second" if rank else "."), env=environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        ended = [node.communicate(timeout=300) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], ended
    assert ["Run 1 (finetune)" in out for out, _ in ended] == [True, False], "the first node keeps the records"
    assert runs(tmp_path / "second" / "tinyllm.db") == []
    [expected], [found] = runs(tmp_path / "one.db"), runs(tmp_path / "tinyllm.db")
    one, two = (load_file(Path(run["folder"]) / "model.safetensors") for run in (expected, found))
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    losses = [[point["answer"] for point in json.loads(run["metrics"])["curve"]] for run in (expected, found)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    ("processes", "kind", "target"),
    [
        (2, "seq2seq", "multitask"),
        (3, "causal", "multitask"),
        (2, "causal", "rationale-first"),
        (2, "seq2seq", "answer-first"),
    ],
)
def test_the_gradient_of_several_processes_is_that_of_one(
    tmp_path: Path, processes: int, kind: Kind, target: str
) -> None:
    make_folder(tmp_path / "student", kind)
    found = []
    for number in (1, processes):
        out = tmp_path / f"{number}.safetensors"
        launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number))
        script = ("-m", "tests.real.gradient_of_a_step", str(tmp_path / "student"), str(out), target)
        done = subprocess.run(
            [sys.executable, *launch, *script], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(load_file(out))
    one, several = found
    assert one.keys() == several.keys()
    for name, gradient in one.items():
        assert (several[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ((), {"ACCELERATE_USE_FSDP": "true"}, "accelerate is configured for FSDP 1, and FSDP 2 is supported."),
        ((), {"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed is not supported."),
        (
            (),
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "accelerate's --fsdp_offload_params is not supported.\nRemove it.",
        ),
        (
            (),
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_ACTIVATION_CHECKPOINTING": "true"},
            "Remove it and use --gradient-checkpointing.",
        ),
        (
            ("--shard", "--optimizer", "adafactor"),
            {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "1"},
            "The optimizer adafactor can't be used with --shard.",
        ),
    ],
)
def test_what_a_sharded_training_can_not_do_is_refused_before_it_begins(
    tinyllm: Command, tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], expected: str
) -> None:
    write_dataset(tmp_path / "toy", train=4)
    done = tinyllm(*DISTILL, *arguments, **variables)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert runs(tmp_path / "tinyllm.db") == []
