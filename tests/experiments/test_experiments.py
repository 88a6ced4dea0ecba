"""Plans of experiments: their runs, what distinguishes these, and the excluded parts; estimates, GPUs and searches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Failure, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tests.models import record_run
from tinyllm_cli.config import load_settings
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.elicitation.prompts import build_prompt, recorded_prompt
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.experiments.availability import coverage_of
from tinyllm_cli.experiments.best_alpha import AlphaSetting, ValidScore, best_on_valid, valid_score
from tinyllm_cli.experiments.grid import Coverage, ExperimentPlan, Setup
from tinyllm_cli.experiments.journal import SearchConfig, open_study
from tinyllm_cli.experiments.plans import ablation, alpha_grid, seeds, table1, train_size
from tinyllm_cli.experiments.resources import History, estimate, gpus, jobs_that_fit, seconds, trainings_on_gpus
from tinyllm_cli.experiments.trials import Search
from tinyllm_cli.experiments.worker import CellProcess, WorkerEnv
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Recipe
from tinyllm_cli.records.evaluations import Evaluation, Subject
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell, OptionValue
from tinyllm_cli.records.runs import Run, RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.store import Store
from tinyllm_cli.store.experiments import CellOutcome

BOTH = frozenset({"ann", "bob"})


def setup(*, alphas: dict[str, float] | None = None, **changes: object) -> Setup:
    coverage = Coverage(dataset="toy", questions=80, **{"valid": 20, "test": 20, "writers": BOTH, **changes})  # type: ignore[arg-type]
    return Setup(coverages=[coverage], students=["tiny"], alphas=alphas or {"ann": 1.0, "bob": 0.5})


def words(plan: ExperimentPlan, **label: object) -> list[str]:
    """The one cell with this label, as the words after `tinyllm distill`."""
    [cell] = [cell for cell in plan.cells if label.items() <= dict(cell.label).items()]
    return [*(cell.distill.argv() if cell.distill else ())]


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_table1_holds_every_method_that_has_what_it_needs() -> None:
    plan = table1(setup(unforced=dict.fromkeys(SPLITS, BOTH)))
    assert [cell.label["method"] for cell in plan.cells] == [
        "inference", "finetune", "lora", "standard-kd", "distill-step-by-step", "distill-step-by-step", "pinto",
        "tinyllm", "tinyllm+gates", "teacher", "teacher",
    ]  # fmt: skip
    assert not plan.left_out
    assert {"--no-gates"} == {word for word in words(plan, method="tinyllm") if "gates" in word}
    assert {"--gates"} == {word for word in words(plan, method="tinyllm+gates") if "gates" in word}
    assert not [word for word in words(plan, method="standard-kd") if "gates" in word]
    gated = table1(replace(setup(), options={"gates": True}), ["tinyllm", "tinyllm+gates"])
    assert [cell.label["method"] for cell in gated.cells] == ["tinyllm"]
    assert value(words(plan, method="finetune"), "--alpha") == "0"
    assert value(words(plan, method="tinyllm"), "--alpha") == "ann=1,bob=0.5"
    assert value(words(plan, teacher="bob", method="distill-step-by-step"), "--alpha") == "bob=0.5"
    [inference] = [cell for cell in plan.cells if cell.label["method"] == "inference"]
    assert inference.distill is None
    assert inference.evaluate is not None
    assert inference.evaluate.model == "tiny"


def test_an_untrained_student_reads_as_much_as_a_trained_one() -> None:
    plan = table1(replace(setup(), options={"max_input": 96}))
    [inference] = [cell for cell in plan.cells if cell.label["method"] == "inference"]
    assert inference.evaluate is not None
    assert inference.evaluate.max_input == 96
    assert value(words(plan, method="finetune"), "--max-input") == "96"


def test_fine_tuning_that_lora_was_asked_for_is_called_lora_and_done_once() -> None:
    small = replace(setup(), options={"lora_rank": 8})
    assert "finetune" not in {cell.label["method"] for cell in (*table1(small).cells, *seeds(small).cells)}
    assert value(words(table1(small), method="lora"), "--lora-rank") == "8"
    assert value(words(table1(small, ["finetune", "tinyllm"]), method="lora"), "--alpha") == "0"
    whole = replace(setup(), options={"lora_rank": 0})
    assert {"finetune", "lora"} <= {cell.label["method"] for cell in table1(whole).cells}


def test_what_can_not_be_done_is_excluded_with_the_command_that_makes_it_possible() -> None:
    plan = table1(setup(writers=frozenset({"ann"})))
    assert {cell.label["method"] for cell in plan.cells} == {"inference", "finetune", "lora", "distill-step-by-step"}
    commands = {one.what.split(" on ")[0]: one.command for one in plan.left_out}
    assert commands["tinyllm"] == "tinyllm elicit --teacher bob --dataset toy"
    assert "--no-teacher-forcing" in commands["standard-kd"]
    assert "--split test --no-teacher-forcing" in commands["bob itself"]


def test_a_named_teacher_without_rationales_is_an_excluded_part() -> None:
    three = replace(setup(alphas={"ann": 1.0, "bob": 1.0, "cat": 1.0}), seeds=(0,))
    for plan in (ablation(three), seeds(three), train_size(three), table1(three, ["tinyllm"])):
        [lacking] = [one for one in plan.left_out if one.teacher == "cat"]
        assert lacking.what == "cat in every run on toy: it has no rationales"
        assert lacking.command == "tinyllm elicit --teacher cat --dataset toy"
    assert not table1(three, ["finetune"]).left_out


def test_the_ablation_takes_away_one_thing_at_a_time() -> None:
    three = {"ann": 1.0, "bob": 1.0, "cid": 1.0}
    names = frozenset(three)
    plan = ablation(setup(alphas=three, writers=names, without_icl=names))
    assert value(words(plan, variant="without bob"), "--alpha") == "ann=1,cid=1"
    assert value(words(plan, variant="bob alone"), "--alpha") == "bob=1"
    assert "--shuffle-rationales" in words(plan, variant="rationales shuffled")
    assert value(words(plan, variant="no rationales"), "--alpha") == "0"
    assert value(words(plan, variant="without in-context examples"), "--icl") == "0"
    assert not plan.left_out
    two = ablation(setup())
    assert [cell.label["variant"] for cell in two.cells] == [
        "all teachers", "all teachers, with gates", "ann alone (without bob)", "bob alone (without ann)",
        "no rationales", "rationales shuffled",
    ]  # fmt: skip
    assert all("--icl 0" in one.command for one in two.left_out)


def test_training_sets_grow_by_the_papers_shares_and_fine_tuning_has_them_all() -> None:
    plan = train_size(setup())
    trained = [cell.distill for cell in plan.cells if cell.label["method"] == "tinyllm" and cell.distill is not None]
    assert [one.limit for one in trained] == [10, 20, 40, 60, None]
    assert [one.valid_limit for one in trained] == [20, None, None, None, None], "each share has the 20 valid questions"
    assert "--limit" not in words(plan, method="finetune")
    few = [cell.distill for cell in train_size(replace(setup(), limit=16)).cells if cell.distill is not None]
    assert {(one.limit, one.valid_limit) for one in few} == {(2, 16), (4, 16), (8, 16), (12, 16), (16, None)}


def test_a_training_is_the_same_cell_in_every_experiment() -> None:
    """With no limit of its own on all of the training set, so that hours of work are done once."""
    main = {cell.label["method"]: cell.identity for cell in table1(setup()).cells}
    [whole] = [cell for cell in ablation(setup()).cells if cell.label["variant"] == "all teachers"]
    [tuned] = [cell for cell in ablation(setup()).cells if cell.label["variant"] == "no rationales"]
    assert (whole.identity, tuned.identity) == (main["tinyllm"], main["finetune"])
    full = {cell.label["method"]: cell.identity for cell in train_size(setup(), [1.0]).cells}
    assert (full["tinyllm"], full["finetune"]) == (main["tinyllm"], main["finetune"])
    assert {cell.identity for cell in seeds(setup()).cells} == {main["tinyllm"], main["finetune"]}
    [grid] = [cell for cell in alpha_grid(setup(), [1.0]).cells if cell.label["teacher"] == "ann"]
    assert grid.identity == main["tinyllm"]


def test_other_rationales_or_another_student_makes_other_cells() -> None:
    plain, more_rationales = setup(edition="1"), setup(edition="2")
    trained_again = replace(plain, fingerprints={"tiny": "changed"})
    identities = [[cell.identity for cell in table1(one).cells] for one in (plain, more_rationales, trained_again)]
    assert not set(identities[0]) & set(identities[1])
    assert not set(identities[0]) & set(identities[2])


def test_labels_need_train_alone_and_hints_every_split() -> None:
    free = {"train": BOTH, "test": frozenset({"ann"})}
    plan = table1(setup(unforced=free))
    assert value(words(plan, method="standard-kd"), "--alpha") == "ann=1,bob=0.5"
    [pinto] = [one for one in plan.left_out if one.what.startswith("pinto")]
    assert pinto.command == "tinyllm elicit --teacher ann --dataset toy --split valid --no-teacher-forcing"
    without_valid = table1(setup(unforced=free, valid=0))
    assert value(words(without_valid, method="pinto"), "--alpha") == "ann=1"


def label(teacher: str, alpha: float, seed: int = 0, student: str = "s") -> dict[str, str | int | float]:
    return {"dataset": "toy", "student": student, "teacher": teacher, "alpha": alpha, "seed": seed}


def score(run: int, accuracy: float, loss: float | None = None) -> ValidScore:
    return ValidScore(run=run, accuracy=accuracy, loss=loss)


def test_the_grids_choice_is_made_on_valid() -> None:
    first, second = best_on_valid([
        (label("ann", 0.1), score(1, 0.9)), (label("ann", 0.1, 1), score(2, 0.1)),
        (label("ann", 1), score(3, 0.6)), (label("ann", 1, 1), score(4, 0.65)),
        (label("bob", 3), score(5, 0.6)), (label("bob", 3, 0, "t"), score(6, 0.2)),
    ])  # fmt: skip
    assert (first.settings, first.seeds, first.tried) == ((AlphaSetting(teacher="ann", alpha=1.0),), 2, 3)
    assert first.valid == pytest.approx(0.625)
    assert (second.student, second.settings) == ("t", (AlphaSetting(teacher="bob", alpha=3.0),))


def test_equal_accuracies_are_decided_by_the_valid_loss_or_are_a_tie() -> None:
    """Never by the order of the runs."""
    by_loss = [(label("ann", 0.1), score(1, 0.2, 1.5)), (label("ann", 1), score(2, 0.2, 1.25)),
               (label("ann", 3), score(3, 0.2, 2.0))]  # fmt: skip
    for order in (by_loss, by_loss[::-1]):
        [best] = best_on_valid(order)
        assert best.settings == (AlphaSetting(teacher="ann", alpha=1.0),)
    [tied] = best_on_valid([(one, replace(found, loss=None)) for one, found in by_loss])
    assert [one.alpha for one in tied.settings] == [0.1, 1.0, 3.0]
    [partly] = best_on_valid([*by_loss[:2], (label("ann", 3), score(3, 0.2))])
    assert len(partly.settings) == 3, "a run without a loss can't be compared by it"
    [one_run] = best_on_valid([(label("ann", 1), score(1, 0.2)), (label("bob", 1), score(1, 0.2))])
    assert one_run.settings == (AlphaSetting(teacher="ann", alpha=1.0),), "with every alpha at 1 it is one run"


def test_the_valid_score_is_that_of_the_kept_checkpoint(store: Store, tmp_path: Path) -> None:
    run = record_run(store, tmp_path)
    assert valid_score(run) is None
    valid = [{"step": 1, "accuracy": 0.25, "loss": 1.5}, {"step": 2, "accuracy": 0.5}]
    found = replace(run, metrics={"best_step": 1, "valid": valid})
    assert valid_score(found) == score(run.id, 0.25, 1.5)
    assert valid_score(replace(found, metrics={"best_step": 2, "valid": valid})) == score(run.id, 0.5)


def history(**speeds: tuple[dict[str, float], float]) -> History:
    runs = [
        Run(id=number, method=name, student="tiny", dataset="toy", alpha=alpha, seed=0,
            settings=RunSettings(), sources={},
            state="done", metrics={"questions_per_second": speed, "evaluating_seconds": 4.0}, folder="", command="",
            versions={}, started="2026-01-01T00:00:00.000+00:00", finished="2026-01-03T00:00:00.000+00:00")
        for number, (name, (alpha, speed)) in enumerate(speeds.items())
    ]  # fmt: skip
    tested = Evaluation(
        id=1, subject=Subject(kind="run", name="run 0", run=0), dataset="toy", split="test", scoring="rank",
        questions=4, chance=0.25, majority=0.25, correct=1, unparseable=0, truncated_inputs=0,
        written_tokens=None, seconds=1.0, created="",
    )  # fmt: skip
    return History(runs=runs, evaluations=[tested])


def test_time_is_estimated_from_trainings_with_as_many_teachers() -> None:
    known = history(finetune=({}, 8.0), tinyllm=({"ann": 1.0, "bob": 1.0}, 2.0))

    both = {"ann": 1.0, "bob": 1.0}

    def cell(
        alpha: dict[str, float], *, limit: int | None = None, tested: bool = True, **options: OptionValue
    ) -> ExperimentCell:
        options = {"recipe": "paper", **options}
        training = CellTraining(dataset="toy", student="tiny", alpha=alpha, limit=limit, options=options)
        return ExperimentCell(label={}, distill=training, evaluate=CellEvaluation() if tested else None)

    sizes, valid, test = {"toy": 80}, 4, 1  # seconds; the two days between start and end of the runs don't count
    assert seconds(cell({}), sizes, known) == 10 + valid + test
    assert seconds(cell({}, tested=False), sizes, known) == 10 + valid
    assert seconds(cell(both), sizes, known) == 40 + valid + test
    assert seconds(cell(both, limit=8, epochs=3), sizes, known) == 12 + valid + test
    assert seconds(cell({}, limit=500), sizes, known) == 10 + valid + test
    assert seconds(cell({}, recipe="best"), sizes, known) == 20 * 10 + valid + test
    assert seconds(cell({}), sizes, History(runs=[], evaluations=[])) is None


def test_an_estimate_is_the_sum_of_its_cells() -> None:
    """However many there are: those that differ in their seed alone are looked up once."""
    known = history(finetune=({}, 8.0), alone=({"ann": 1.0}, 3.0), tinyllm=({"ann": 1.0, "bob": 1.0}, 2.0))
    every = replace(setup(), seeds=(0, 1, 2))
    for plan in (train_size(every), ablation(every), table1(every)):
        alone = [seconds(cell, {"toy": 80}, known) for cell in plan.cells]
        found = estimate(plan.cells, {"toy": 80}, 1, known)
        assert found.seconds == sum(one for one in alone if one is not None)
        assert len(set(alone)) > 2
        assert found.trainings == sum(cell.distill is not None for cell in plan.cells) > 3


def test_the_grid_moves_one_alpha_at_a_time() -> None:
    plan = alpha_grid(setup())
    assert len(plan.cells) == 12
    assert value(words(plan, teacher="ann", alpha=3.0), "--alpha") == "ann=3,bob=0.5"
    assert value(words(plan, teacher="bob", alpha=0.01), "--alpha") == "ann=1,bob=0.01"


@given(
    writers=st.sets(st.sampled_from(["ann", "bob", "cid"])), free=st.sets(st.sampled_from(["ann", "bob"])),
    students=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
    numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), limit=st.none() | st.integers(8, 100),
)  # fmt: skip
def test_cells_differ_and_seeds_are_all_there(
    writers: set[str], free: set[str], students: list[str], numbers: list[int], limit: int | None
) -> None:
    unforced = dict.fromkeys(SPLITS, frozenset(free))
    coverage = Coverage(dataset="toy", questions=80, writers=frozenset(writers), unforced=unforced)
    alphas = dict.fromkeys(["ann", "bob", "cid"], 1.0)
    shared = Setup(coverages=[coverage], students=students, alphas=alphas, seeds=numbers, limit=limit)
    for make in (table1, ablation, train_size, alpha_grid, seeds):
        plan = make(shared)
        labels = [json.dumps(cell.label, sort_keys=True) for cell in plan.cells]
        assert len(set(labels)) == len(labels)
        trained = [cell for cell in plan.cells if cell.distill is not None]
        assert {cell.label["seed"] for cell in trained} in (set(), set(numbers))
        assert all("test" not in cell.distill.argv() for cell in trained if cell.distill), "training never sees test"


def answer(store: Store, teacher: str, prompts: Callable[[Question], Prompt], *splits: str, skip: int = 0) -> None:
    """The teacher's replies to a split; to the first `skip` questions it fails."""
    asking = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for split in splits:
        for place, question in enumerate(store.questions.iterate("toy", split)):
            reply = Completion(text="Because it is so.", finish_reason="recorded")
            keep(store, asking, prompts(question), 0, reply if place >= skip else Failure(reason="broken", attempts=1))


def test_coverage_is_read_off_the_store(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(store, from_path(write_dataset(tmp_path / "toy", train=4, valid=2, test=2)))
    empty = coverage_of(store, "toy", load_settings())
    answer(store, "ann", lambda question: recorded_prompt(question, teacher_forcing=True), "train")
    answer(store, "bob", lambda question: recorded_prompt(question, teacher_forcing=False), "train", "test", skip=1)
    found = coverage_of(store, "toy", load_settings())
    assert (found.questions, found.writers, found.valid, found.test) == (4, BOTH, 2, 2)
    assert found.unforced == {"train": {"bob"}, "valid": frozenset(), "test": {"bob"}}  # a failure is an answer
    assert found.edition != empty.edition
    assert found == coverage_of(store, "toy", load_settings())
    monkeypatch.setattr("tinyllm_cli.rationales.gates.settings.CODE", 99)
    assert coverage_of(store, "toy", load_settings()).edition != found.edition, "other gates leave other texts"


def test_an_ablation_of_in_context_examples_needs_both_ways(store: Store, tmp_path: Path) -> None:
    """What is asked without them later must not take the place of what was asked with them."""
    ingest(store, from_path(write_dataset(tmp_path / "toy", train=4, test=2)))

    def asked(icl: int) -> Callable[[Question], Prompt]:
        return lambda question: build_prompt(question, Recipe(icl=icl), [])

    answer(store, "bob", asked(0), "train")
    assert coverage_of(store, "toy", load_settings()).without_icl == frozenset()
    answer(store, "ann", asked(2), "train")
    answer(store, "ann", asked(0), "train")
    assert coverage_of(store, "toy", load_settings()).without_icl == {"ann"}
    known = store.rationales.variants("toy", "train")
    assert best_covered(known, "ann", "toy").recipe.icl == 2
    assert best_covered(known, "ann", "toy", icl=0).recipe.icl == 0


def plan_of(*identities: str) -> dict[str, Any]:
    return {"name": "seeds", "cells": [{"label": {"seed": n}, "identity": one} for n, one in enumerate(identities)]}


def test_what_was_done_in_one_plan_is_done_in_the_next(store: Store, tmp_path: Path) -> None:
    run = record_run(store, tmp_path).id
    first = store.experiments.open_experiment("seeds", plan_of("a", "b"), "tinyllm")
    store.experiments.note(first, 0, "done", CellOutcome(run=run, seconds=2.0))
    store.experiments.note(first, 1, "failed", CellOutcome(error="broken"))
    wider = store.experiments.open_experiment("seeds", plan_of("c", "b", "a"), "tinyllm")
    assert wider != first
    states = [(cell.state, cell.run) for cell in store.experiments.cells(wider)]
    assert states == [("planned", None), ("planned", None), ("done", run)]
    assert store.experiments.open_experiment("seeds", plan_of("a", "b"), "tinyllm") == first


def test_cells_of_a_process_that_is_gone_are_planned_again(store: Store) -> None:
    number = store.experiments.open_experiment("seeds", plan_of("a"), "tinyllm")
    store.experiments.note(number, 0, "running")
    with store.experiments.claiming(number) as ours:
        assert ours
        store.experiments.mark_killed()
        assert store.experiments.cells(number)[0].state == "running"
    store.experiments.mark_killed()
    assert store.experiments.cells(number)[0].state == "planned"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table2"], "'table2' is not one of"),
        (["table1", "--methods", "magic"], "There is no method 'magic'"),
        (["table1", "--seeds", "one"], "--seeds: 'one' is not a list of whole numbers"),
        (["train-size", "--fractions", "150"], "--fractions are percentages"),
        (["table1", "--search", "3"], "--search belongs to the experiment alpha"),
        (["seeds", "--grid", "1"], "--grid belongs to the experiment alpha"),
        (["alpha", "--fractions", "50"], "--fractions belongs to the experiment train-size"),
        (["alpha", "--grid", "-1"], "--grid: an alpha is 0 or more"),
        (["table1", "--alpha", "nobody=1"], "no teacher called 'nobody'"),
        (["seeds", "--", "--seed", "3"], "--seed is not allowed after --."),
        (["seeds", "--", "--dry-run"], "--dry-run is not allowed after --."),
        (["seeds", "--", "-st5"], "--student is not allowed after --."),
        (["seeds", "--", "--learning-rate", "3"], "No such option: --learning-rate."),
        (["seeds", "--", "--epochs", "x"], "'--epochs'"),
        (["alpha"], "This experiment has nothing to train."),
        (["alpha", "--search", "3", "--seeds", "0,1"], "needs one data set, one student and one seed"),
    ],
)
def test_wrong_options_are_errors(inside: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    write_dataset(tmp_path / "toy", train=4, test=2)
    name, *rest = arguments
    done = inside("experiment", name, "--dataset", "toy", "--student", "student", *rest)
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


def test_a_teacher_that_wrote_for_one_data_set_alone_is_left_out_of_the_other(
    inside: Command, scripted: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "one", train=8, test=4)
    write_dataset(tmp_path / "two", valid=8, test=4)
    (tmp_path / "two" / "valid.jsonl").rename(tmp_path / "two" / "train.jsonl")  # other questions than those of one
    assert inside("elicit", "--teacher", "parrot", "--dataset", "one").returncode == 0
    command = ("experiment", "table1", "-d", "one", "-d", "two", "--alpha", "parrot=1", "--dry-run", "--json")
    done = inside(*command, "--methods", "finetune,distill-step-by-step")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(cell["label"]["dataset"], cell["label"]["method"]) for cell in found["cells"]] == [
        ("one", "finetune"), ("one", "distill-step-by-step"), ("two", "finetune"),
    ]  # fmt: skip
    assert [one["command"] for one in found["left_out"]] == ["tinyllm elicit --teacher parrot --dataset two"]


def test_a_search_needs_a_split_to_choose_by(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8, test=4)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = inside("experiment", "alpha", "--search", "2", "--student", "student")
    assert done.returncode == 2
    assert "toy has no valid split to search by" in done.stderr


def test_a_running_experiment_is_not_run_by_another_process(
    inside: Command, scripted: Path, tmp_path: Path, store: Store
) -> None:
    write_dataset(tmp_path / "toy", train=8, test=4)
    command = ("experiment", "seeds", "--dataset", "toy", "--student", "student", "--yes", "--json")
    [cell] = json.loads(inside(*command, "--dry-run").stdout)["cells"]
    del cell["done"]
    number = store.experiments.open_experiment("seeds", {"name": "seeds", "cells": [cell]}, "tinyllm")
    with store.experiments.claiming(number):
        done = inside(*command)
    assert done.returncode == 75, done.stderr
    assert f"Another process runs this experiment ({number})." in done.stderr
    assert store.experiments.cells(number)[0].state == "planned"


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A driver's tool that tells of two cards: one with 4 GB free, one with 2."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, 4096'\necho '1, GPU-bb, 2048'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus.cache_clear()
    yield
    gpus.cache_clear()


@pytest.mark.parametrize(
    ("visible", "names", "jobs"),
    [(None, ["0", "1"], 3), ("1", ["1"], 1), ("GPU-aa", ["GPU-aa"], 2), ("", [], 4), ("7", [], 4)],
)
def test_jobs_fit_into_the_memory_of_the_gpus(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str], jobs: int
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("tinyllm_cli.experiments.resources.processors", lambda: 4)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=64e9))  # not this machine's of now
    assert list(gpus()) == names
    assert sum(trainings_on_gpus(["nobody/knows"], History(runs=[], evaluations=[])).values()) == (jobs if names else 0)
    fitting, why = jobs_that_fit(["nobody/knows"], 4, History(runs=[], evaluations=[]))
    assert fitting == jobs
    assert ("GPU" in why) == bool(names)


@pytest.mark.parametrize(
    ("room", "taken"),
    [({"0": 2, "1": 2}, "0101"), ({"0": 3, "1": 1}, "0001"), ({"0": 0, "1": 1}, "1"), ({"0": 0, "1": 0}, "01")],
)
def test_a_job_takes_the_gpu_that_has_most_room(tmp_path: Path, room: dict[str, int], taken: str) -> None:
    around = WorkerEnv(db=tmp_path, config=None, threads=1, gpus=room)
    cell = ExperimentCell(label={}, distill=CellTraining(dataset="toy", student="s"), evaluate=None)
    working: list[CellProcess] = []
    for expected in taken:
        job = CellProcess(position=len(working), cell=cell, env=around, gpu=around.gpu(working))
        assert around.environment(job.gpu)["CUDA_VISIBLE_DEVICES"] == expected
        working.append(job)
    assert around.gpu(working[1:]) == taken[0], "what has ended gives its room back"


def test_one_gpu_is_no_choice(tmp_path: Path) -> None:
    assert WorkerEnv(db=tmp_path, config=None, threads=1, gpus={"0": 4}).gpu([]) is None


@pytest.mark.parametrize(
    ("peak", "jobs", "why"),
    [
        ({"host": int(9e9)}, 2, "one needs about 9.0 GB of memory"),
        ({"host": int(9e9), "gpu": int(5e9)}, 4, ""),  # of another kind of machine
        (None, 4, ""),
    ],
)
def test_jobs_fit_by_what_an_earlier_training_held(
    monkeypatch: pytest.MonkeyPatch, peak: dict[str, int] | None, jobs: int, why: str
) -> None:
    known = history(finetune=({}, 8.0))
    if peak is not None:
        known.runs[0].metrics["peak_memory"] = peak
    monkeypatch.setattr("tinyllm_cli.experiments.resources.processors", lambda: 4)
    monkeypatch.setattr("tinyllm_cli.experiments.resources.gpus", dict)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=20e9))
    assert jobs_that_fit(["tiny"], 4, known) == (jobs, why)


def test_jobs_fit_on_gpus_by_what_an_earlier_training_held_there(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = history(finetune=({}, 8.0))
    known.runs[0].metrics["peak_memory"] = {"host": int(2e9), "gpu": int(3e9)}
    monkeypatch.setattr("tinyllm_cli.experiments.resources.processors", lambda: 4)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=20e9))
    assert jobs_that_fit(["tiny"], 4, known) == (1, "one needs about 3.0 GB of a GPU's memory")


def test_asking_for_more_jobs_never_gets_more_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    known = history(finetune=({}, 8.0))
    known.runs[0].metrics["peak_memory"] = {"host": int(15e9)}
    monkeypatch.setattr("tinyllm_cli.experiments.resources.processors", lambda: 2)
    monkeypatch.setattr("tinyllm_cli.experiments.resources.gpus", dict)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=20e9))
    for wanted in (2, 3, 9):
        assert jobs_that_fit(["tiny"], wanted, known) == (1, "one needs about 15.0 GB of memory")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=200e9))
    assert jobs_that_fit(["tiny"], 9, known) == (2, "there are 2 threads")


def test_what_a_lora_training_held_says_nothing_of_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    [run] = history(finetune=({}, 8.0)).runs
    small = replace(
        run,
        settings=RunSettings.from_json({"lora_rank": 8}),
        metrics={**run.metrics, "peak_memory": {"host": int(2e8)}},
    )
    monkeypatch.setattr("tinyllm_cli.experiments.resources.processors", lambda: 4)
    monkeypatch.setattr("tinyllm_cli.experiments.resources.gpus", dict)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=3e9))
    assert jobs_that_fit(["tiny"], 4, History(runs=[small], evaluations=[]))[0] == 2


def test_a_search_resumes_from_a_journal_whose_last_line_is_torn(tmp_path: Path) -> None:
    """Optuna itself can't: it appends to the torn line."""
    journal = tmp_path / "search" / "alpha.log"
    config = SearchConfig(name="h", training=CellTraining(dataset="toy", student="tiny", alpha={"ann": 1.0}))
    study = open_study(journal, config)
    study.tell(study.ask(), 0.5)
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - 4)
    again = open_study(journal, config)
    again.tell(again.ask(), 0.25)
    assert [trial.value for trial in open_study(journal, config).trials if trial.value is not None][-1] == 0.25


def test_a_search_counts_no_trial_whose_run_is_another_databases(store: Store, tmp_path: Path) -> None:
    """The journal lies beside the database, and may outlive it."""
    config = SearchConfig(name="h", training=CellTraining(dataset="toy", student="tiny", alpha={"ann": 1.0}))
    study = open_study(tmp_path / "alpha.log", config)
    trial = study.ask()
    alpha = round(trial.suggest_float("ann", 0.01, 3.0, log=True), 4)
    trial.set_user_attr("run", 1)
    study.tell(trial, 0.5)
    env = WorkerEnv(db=store.path, config=None, threads=1)
    search = Search(store=store, experiment=1, study=study, config=config, env=env)

    def found() -> int:
        assert [step.over for step in search.run(0, 1)][-1] in (0, 1)
        return search.result().run

    with pytest.raises(WorldProblem, match="No trial has finished its training"):
        found()
    store.questions.replace("toy", "here", "1", make_questions(4))
    run = store.runs.start(
        RunIdentity(
            method="tinyllm",
            student="tiny",
            dataset="toy",
            alpha={"ann": alpha + 1},
            seed=0,
            settings=RunSettings(),
            sources={},
            versions={},
        ),
        command="tinyllm distill",
    )
    store.runs.finish(run.id, "done", {})
    with pytest.raises(WorldProblem, match="No trial has finished its training"):
        found()
    store.execute("UPDATE runs SET alpha = ?", (json.dumps({"ann": alpha}),))
    assert found() == run.id == 1
