"""Experiments on a Ray cluster of several nodes on this machine, one of which dies."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SCRIPTED, Command, environment, start, write_dataset
from tests.models import make_folder
from tests.real.clusters import start_node
from tinyllm_cli.iteration import processors
from tinyllm_cli.store import open_store
from tinyllm_cli.training.checkpoint import state_folder

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("engine"),
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
]
LONG = 600  # seconds


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors; the tests add nodes."""
    from backends.cluster.session import import_ray

    import_ray()
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(RAY_worker_niceness="0").items():  # the nodes' processes have it, too
            patch.setenv(name, value)
        made = Cluster()
        start_node(made, num_cpus=0, include_dashboard=False)
        yield made
        made.shutdown()


@pytest.fixture
def toy(tmp_path: Path, inside: Command) -> Path:
    write_dataset(tmp_path / "toy", train=8, valid=4, test=4)
    make_folder(tmp_path / "student", "causal")
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED + '[teachers.crow]\nbackend = "scripted"\nreplies = ["So."]\n')
    assert inside("import", "toy").returncode == 0
    for teacher in ("parrot", "crow"):
        assert inside("elicit", "--teacher", teacher, "--dataset", "toy").returncode == 0
    return tmp_path


def add_node(cluster: Any) -> Any:
    """A node with the processors that a run has without a cluster: the same weights need as many threads."""
    return start_node(cluster, num_cpus=processors())


def test_a_cell_whose_node_dies_continues_on_another_one_with_the_same_weights(
    cluster: Any, toy: Path, tinyllm: Command
) -> None:
    shutil.copytree(toy, toy / "alone", ignore=shutil.ignore_patterns("alone"))
    first = add_node(cluster)
    more = ("--", "--max-steps", "40", "--eval-every", "20", "--save-every", "0")
    plan = ("experiment", "table1", "--dataset", "toy", "--student", "student", "--alpha", "parrot=1,crow=1",
            "--methods", "tinyllm", "--yes")  # fmt: skip
    process = start(toy, *plan, "--on", "ray", "--address", cluster.address, "--json", *more)
    try:
        states = wait_for_state(toy, process)
        cluster.remove_node(first, allow_graceful=False)
        second = add_node(cluster)
        out, err = process.communicate(timeout=LONG)
    finally:
        process.kill()
    assert process.returncode == 0, err
    found = json.loads(out)
    [cell] = found["cells"]
    assert (cell["state"], cell["result"] is not None) == ("done", True), err
    with open_store(toy / "tinyllm.db") as store:
        [run] = store.runs.everything()
        assert (run.state, run.started) == ("done", states)
        assert run.student == str(toy / "student")
        [evaluation] = store.evaluations.everything()
        assert len(list(store.evaluations.predictions(evaluation.id))) == 4
    assert not state_folder(Path(run.folder)).exists()
    assert not list(toy.glob(".tinyllm-cell-*"))

    alone = toy / "alone"
    assert "--max-steps 40" in run.command
    words = ("distill", "--dataset", "toy", "--student", "student", "--alpha", "parrot=1,crow=1", "--no-gates")
    without_states = more[1:-2]
    process = start(alone, *words, *without_states, OMP_NUM_THREADS=str(processors()))
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    with open_store(alone / "tinyllm.db") as store:
        [reference] = store.runs.everything()
    assert run.metrics["curve"] == reference.metrics["curve"]
    weights = [Path(one.folder) / "model.safetensors" for one in (run, reference)]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    again = tinyllm(*plan, "--json", *more)  # the plan moves to this machine: everything is done
    assert again.returncode == 0, again.stderr
    assert [one["run"] for one in json.loads(again.stdout)["cells"]] == [run.id]
    cluster.remove_node(second, allow_graceful=False)


def wait_for_state(folder: Path, process: Any) -> str:
    """When the run started, as soon as a state of it has come back."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with open_store(folder / "tinyllm.db") as store:
            for run in store.runs.everything():
                if list(state_folder(Path(run.folder)).glob("step-*")):
                    assert run.state == "stopped"
                    return run.started
        time.sleep(0.3)
    raise AssertionError("no state came back")


@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed")
def test_a_search_on_a_cluster_and_a_missing_cluster(cluster: Any, toy: Path, tinyllm: Command) -> None:
    node = add_node(cluster)
    words = ("experiment", "alpha", "--search", "2", "--dataset", "toy", "--student", "student", "--yes", "--json")
    more = ("--", "--max-steps", "2")
    nobody = tinyllm(*words, "--on", "ray", "--address", "127.0.0.1:1", *more)
    assert nobody.returncode == 1
    assert "No Ray cluster answers at" in nobody.stderr
    done = tinyllm(*words, "--on", "ray", "--address", cluster.address, *more)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    with open_store(toy / "tinyllm.db") as store:
        assert {run.state for run in store.runs.everything()} == {"done"}
        [evaluation] = store.evaluations.everything()
        assert evaluation.subject.run in {run.id for run in store.runs.everything()}
    assert [cell["state"] for cell in found["cells"]] == ["done"] * 3
    cluster.remove_node(node, allow_graceful=False)
