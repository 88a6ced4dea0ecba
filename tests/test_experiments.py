"""Plans of experiments: which runs they hold, told apart by what, and what they leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, write_dataset
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.experiments.materials import material_of
from tinyllm_cli.experiments.plans import Material, Plan, Setup, ablation, alpha_grid, seeds, table1, train_size
from tinyllm_cli.ingest import ingest
from tinyllm_cli.prompts import recorded_prompt
from tinyllm_cli.records import Asking
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales

BOTH = frozenset({"ann", "bob"})


def setup(*, alphas: dict[str, float] | None = None, **changes: object) -> Setup:
    material = Material(dataset="toy", questions=80, **{"forced": BOTH, **changes})  # type: ignore[arg-type]
    return Setup(materials=[material], students=["tiny"], alphas=alphas or {"ann": 1.0, "bob": 0.5})


def words(plan: Plan, **label: object) -> list[str]:
    """The one cell with this label, as the words after `tinyllm distill`."""
    [cell] = [cell for cell in plan.cells if label.items() <= dict(cell.label).items()]
    return [*(cell.distill or ())]


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_table1_holds_every_method_that_has_its_material() -> None:
    plan = table1(setup(free=BOTH, tested=BOTH))
    assert [cell.label["method"] for cell in plan.cells] == [
        "inference", "finetune", "lora", "standard-kd", "distill-step-by-step", "distill-step-by-step", "pinto",
        "tinyllm", "teacher", "teacher",
    ]  # fmt: skip
    assert not plan.left_out
    assert value(words(plan, method="finetune"), "--alpha") == "0"
    assert value(words(plan, method="tinyllm"), "--alpha") == "ann=1,bob=0.5"
    assert value(words(plan, teacher="bob", method="distill-step-by-step"), "--alpha") == "bob=0.5"
    [inference] = [cell for cell in plan.cells if cell.label["method"] == "inference"]
    assert inference.distill is None
    assert inference.evaluate is not None
    assert "--model" in inference.evaluate


def test_what_lacks_its_material_is_left_out_with_the_command_that_makes_it() -> None:
    plan = table1(setup(forced=frozenset({"ann"})))
    assert {cell.label["method"] for cell in plan.cells} == {"inference", "finetune", "lora", "distill-step-by-step"}
    said = {one.what.split(" on ")[0]: one.command for one in plan.left_out}
    assert said["tinyllm"] == "tinyllm elicit --teacher bob --dataset toy"
    assert "--no-teacher-forcing" in said["standard-kd"]
    assert "--split test --no-teacher-forcing" in said["bob itself"]


def test_the_ablation_takes_away_one_thing_at_a_time() -> None:
    three = {"ann": 1.0, "bob": 1.0, "cid": 1.0}
    forced = frozenset(three)
    plan = ablation(setup(alphas=three, forced=forced, without_icl=forced))
    assert value(words(plan, variant="without bob"), "--alpha") == "ann=1,cid=1"
    assert value(words(plan, variant="bob alone"), "--alpha") == "bob=1"
    assert "--shuffle-rationales" in words(plan, variant="rationales shuffled")
    assert value(words(plan, variant="no rationales"), "--alpha") == "0"
    assert value(words(plan, variant="without in-context examples"), "--icl") == "0"
    assert not plan.left_out
    two = ablation(setup())
    assert [cell.label["variant"] for cell in two.cells] == [
        "all teachers", "ann alone (without bob)", "bob alone (without ann)", "no rationales", "rationales shuffled",
    ]  # fmt: skip
    assert all("--icl 0" in one.command for one in two.left_out)


def test_training_sets_grow_by_the_papers_shares_and_fine_tuning_has_them_all() -> None:
    plan = train_size(setup())
    limits = [
        int(value([*(cell.distill or ())], "--limit")) for cell in plan.cells if cell.label["method"] == "tinyllm"
    ]
    assert limits == [10, 20, 40, 60, 80]
    assert value(words(plan, method="finetune"), "--limit") == "80"


def test_the_grid_moves_one_alpha_at_a_time() -> None:
    plan = alpha_grid(setup())
    assert len(plan.cells) == 12
    assert value(words(plan, teacher="ann", alpha=3.0), "--alpha") == "ann=3,bob=0.5"
    assert value(words(plan, teacher="bob", alpha=0.01), "--alpha") == "ann=1,bob=0.01"


@given(
    forced=st.sets(st.sampled_from(["ann", "bob", "cid"])), free=st.sets(st.sampled_from(["ann", "bob"])),
    students=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
    numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), limit=st.none() | st.integers(8, 100),
)  # fmt: skip
def test_cells_differ_and_seeds_are_all_there(
    forced: set[str], free: set[str], students: list[str], numbers: list[int], limit: int | None
) -> None:
    material = Material(dataset="toy", questions=80, forced=frozenset(forced), free=frozenset(free),
                        tested=frozenset(free))  # fmt: skip
    alphas = dict.fromkeys(["ann", "bob", "cid"], 1.0)
    shared = Setup(materials=[material], students=students, alphas=alphas, seeds=numbers, limit=limit)
    for make in (table1, ablation, train_size, alpha_grid, seeds):
        plan = make(shared)
        labels = [json.dumps(cell.label, sort_keys=True) for cell in plan.cells]
        assert len(set(labels)) == len(labels)
        trained = [cell for cell in plan.cells if cell.distill is not None]
        assert len({cell.distill for cell in trained if "--alpha" in (cell.distill or ())}) <= len(trained)
        assert {cell.label["seed"] for cell in trained} in (set(), set(numbers))
        assert all("test" not in (cell.distill or ()) for cell in trained), "training never sees the test split"


def test_material_is_read_off_the_store(store: Store, tmp_path: Path) -> None:
    ingest(store, from_path(write_dataset(tmp_path / "toy", train=4, valid=2, test=2), {}, None))
    for teacher, forcing, splits in (("ann", True, ["train"]), ("bob", False, ["train", "valid", "test"])):
        asking = Asking(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
        stored_rationales.add_asking(store, asking)
        for split in splits:
            for question in stored_questions.iterate(store, "toy", split):
                prompt = recorded_prompt(question, teacher_forcing=forcing)
                keep(store, asking, prompt, 0, Completion(text="Because it is so.", finish_reason="recorded"))
    found = material_of(store, "toy")
    assert (found.questions, found.forced, found.free, found.tested) == (4, BOTH, {"bob"}, {"bob"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table2"], "experiment can't be 'table2'"),
        (["table1", "--methods", "magic"], "There is no method 'magic'"),
        (["table1", "--seeds", "one"], "--seeds: 'one' is no list of numbers"),
        (["train-size", "--fractions", "150"], "--fractions are percentages"),
        (["table1", "--search", "3"], "--search belongs to the experiment alpha"),
        (["alpha", "--search", "3", "--seeds", "0,1"], "one data set, one student and one seed"),
    ],
)
def test_wrong_options_are_errors(inside: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    write_dataset(tmp_path / "toy", train=4, test=2)
    done = inside("experiment", *arguments, "--dataset", "toy", "--student", "student")
    assert done.returncode == 2
    assert message in done.stderr


def test_a_plan_is_shown_and_nothing_is_done(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8, test=4)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = inside("experiment", "train-size", "--dry-run", "--fractions", "25,50")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("distill-step-by-step") == 2
    assert "3 to do, 0 done" in done.stderr
    assert json.loads(inside("report", "--json").stdout)["runs"] == []
