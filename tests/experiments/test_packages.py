"""What a cell takes to a node and brings back."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from backends.cluster.session import Node
from tests.merging.stores import QUESTIONS, Row, content, opened
from tinyllm_cli.config import load_settings
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.experiments.cluster.env import ClusterSettings, share
from tinyllm_cli.experiments.cluster.package import (
    DATABASE,
    Renaming,
    pack_again,
    pack_for,
    pack_student,
    settings_text,
    unpack,
)
from tinyllm_cli.merging.merge import merge
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell
from tinyllm_cli.store import open_store
from tinyllm_cli.training.checkpoint import state_folder

TOML = """
[teachers."p.1"]
backend = "openai"
model = "m \\"quoted\\" \\u00e9 \\U0001F600"
base_url = "http://secret.example/v1"
prefix = "like p: "

[datasets.toy]
train = "nowhere.jsonl"

[gates]
off_topic = "reject"
"""


def test_the_settings_that_travel_have_prefixes_and_gates_and_no_urls(tmp_path: Path) -> None:
    path = tmp_path / "tinyllm.toml"
    path.write_text(TOML, encoding="utf-8")
    settings = load_settings(path)
    text = settings_text(settings)
    assert "secret" not in text
    path.write_text(text, encoding="utf-8")
    sent = load_settings(path)
    assert (sent.teachers["p.1"].prefix, sent.gates, sent.datasets) == ("like p: ", {"off_topic": "reject"}, {})
    assert sent.teachers["p.1"].options == {"model": 'm "quoted" é 😀'}
    assert tomllib.loads(text)["gates"] == {"off_topic": "reject"}


def cell(student: str, seed: int) -> ExperimentCell:
    training = CellTraining(dataset="toy", student=student, alpha={"parrot": 1.0, "owl": 0.0}, seed=seed)
    return ExperimentCell(label={}, distill=training, evaluate=CellEvaluation(dataset="toy"))


@pytest.fixture
def sent(tmp_path: Path) -> tuple[Path, Path, Path]:
    """(home, node, student): a database with an interrupted run of a local student, and its package on a node."""
    home, node = tmp_path / "home", tmp_path / "node"
    student = home / "student"
    student.mkdir(parents=True)
    node.mkdir()
    (student / "config.json").write_text("{}", encoding="utf-8")
    with opened(home / DATABASE, tmp_path / "template.db") as store:
        for row in (Row("human", 0, 0, 1), Row("reply", 1, 1, 2), Row("score", 2, 0, 3), Row("evaluation", 0, 0, 1)):
            row.put(store)
        [run] = store.runs.everything()
        store.execute("UPDATE runs SET student = ?, command = ?", (str(student), f"tinyllm distill -s {student}"))
        state = state_folder(Path(run.folder)) / "step-000000001-1"
        state.mkdir(parents=True)
        (state / "state.json").write_text(json.dumps("first"), encoding="utf-8")
        pack_for(store, load_settings(None), cell(str(student), run.seed), home / "cell.tar")
        pack_for(store, load_settings(None), cell(str(student), run.seed + 1), home / "other.tar")
    pack_student(str(student), home / "student.tar")
    for name in ("cell.tar", "student.tar"):
        unpack(home / name, node)
    return home, node, student


def test_a_node_gets_what_a_cell_reads(sent: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, node, student = sent
    there = node / "student" / "student"
    assert (there / "config.json").is_file()
    with open_store(home / DATABASE) as store:
        before = content(store)
    with open_store(node / DATABASE) as small:
        small.runs.rename_student(str(student), str(there))
        [own] = small.runs.everything()
        assert (own.student, own.command) == (str(there), f"tinyllm distill -s {there}")
        assert {row["question"] for row in small.rows("SELECT question FROM rationales")} <= {q.hash for q in QUESTIONS}
        same = ("dataset_questions", "rationales", "human_verdicts", "usefulness", "predictions")
        assert {name: content(small)[name] for name in same} == {name: before[name] for name in same}
    evaluation = ExperimentCell(label={}, distill=None, evaluate=CellEvaluation(run=own.id))
    with open_store(home / DATABASE) as store:
        pack_for(store, load_settings(None), evaluation, home / "evaluation.tar")
    unpack(home / "evaluation.tar", tmp_path / "evaluation")
    with open_store(tmp_path / "evaluation" / DATABASE) as small:
        assert [run.id for run in small.runs.everything()] == [own.id], "the run to evaluate"
        assert small.questions.names() == ["toy"]
    unpack(home / "other.tar", tmp_path / "other")
    with open_store(tmp_path / "other" / DATABASE) as small:
        assert small.runs.everything() == [], "another seed is another training"


def test_an_interrupted_run_comes_back_with_its_newest_state(sent: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, node, student = sent
    there = node / "student" / "student"
    with open_store(node / DATABASE) as small:
        small.runs.rename_student(str(student), str(there))
        [own] = small.runs.everything()
        small.runs.resume(own.id)
    own_state = state_folder(Path(own.folder))
    (own_state / "step-000000001-1").rename(own_state / "step-000000002-2")
    card = Path(own.folder) / "README.md"
    card.parent.mkdir(exist_ok=True)
    card.write_text(f"base_model: {there}\n", encoding="utf-8")
    back = Renaming(home=str(student), node=str(there))
    half = card.parent.with_name(f".{card.parent.name}.new-x")
    half.mkdir()
    assert not pack_again(node, node / "back.tar", back, ended=False), "a student is being saved"
    assert not (node / "back.tar").exists()
    with pytest.raises(OSError, match="No such file"):  # as on a full disk: the result would be lost
        pack_again(node, node / "nowhere" / "back.tar", back, ended=True)
    assert pack_again(node, node / "back.tar", back, ended=True)
    unpack(node / "back.tar", tmp_path / "back")
    assert not (tmp_path / "back" / "tinyllm-runs" / half.name).exists()
    with open_store(home / DATABASE) as store:
        merged = merge(store, tmp_path / "back" / DATABASE, move=True)
        assert [one.change for one in merged.runs] == ["later"]
        [run] = store.runs.everything()
        assert (run.state, run.error, run.student) == ("stopped", "it continues on another node", str(student))
        states = [path.name for path in state_folder(Path(run.folder)).iterdir()]
        assert states == ["step-000000002-2"]
        assert (Path(run.folder) / "README.md").read_text(encoding="utf-8") == f"base_model: {student}\n"


def node(cpus: float, gpus: float = 0) -> Node:
    return Node(id="n", name="n", resources={"CPU": cpus, "GPU": gpus})


@pytest.mark.parametrize(
    ("nodes", "jobs", "asked", "expected"),
    [
        ([node(4), node(4)], 2, {}, (4, 0)),
        ([node(4), node(4)], 1, {}, (4, 0)),
        ([node(4), node(4)], 16, {}, (1, 0)),
        ([node(64), node(8, 4)], 4, {}, (8, 1)),
        ([node(64), node(8, 4)], 8, {"gpus": 0.5, "cpus": 1}, (1, 0.5)),
        ([node(64), node(8, 4)], 2, {"gpus": 0}, (36, 0)),
    ],
)
def test_runs_share_the_cluster(
    nodes: list[Node], jobs: int, asked: dict[str, float], expected: tuple[int, float]
) -> None:
    found = share(nodes, jobs, ClusterSettings(**asked))  # type: ignore[arg-type]
    assert (found.cpus, found.gpus) == expected


def test_a_run_that_fits_into_no_node_is_refused() -> None:
    with pytest.raises(UsageProblem, match="No node has 9 processors and 0 GPUs"):
        share([node(4), node(8)], 1, ClusterSettings(cpus=9))
    with pytest.raises(UsageProblem, match="1 processors and 2 GPUs"):
        share([node(4, 1)], 1, ClusterSettings(gpus=2))
