"""Every recipe and target resumes bit for bit, also with LoRA; methods without rationales have one target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backends.base import Completion, Sampling
from tests.conftest import keep, write_dataset
from tests.models import KINDS, make_folder
from tests.training.test_trainer import final_weights, interrupted_training
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.settings import Target
from tinyllm_cli.store import Store
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.shape import student_shape
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingPlan, load_training_data
from tinyllm_cli.training.recipes import RECIPES, Situation, TrainingRecipe, with_recipe
from tinyllm_cli.training.sequences import TARGETS

TEACHERS = (
    WeightedTeacher(teacher="t5", prefix="explain: ", alpha=1.0),
    WeightedTeacher(teacher="llama", prefix="rationale: ", alpha=0.5),
)
STEPS = 4


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student"), request.param)


def explained(store: Store, folder: Path) -> str:
    """A data set of 12 questions: t5 has explained all of them, llama two of three, twice."""
    name = ingest(store, from_path(write_dataset(folder / "toy", train=12, valid=4))).name
    for one in TEACHERS:
        asking = ElicitationConfig(
            teacher=one.teacher, backend="recorded", model="m", revision="1", sampling=Sampling()
        )  # fmt: skip
        store.rationales.add_asking(asking)
        for number, question in enumerate(store.questions.iterate(name, "train")):
            for sample in range(1 if one.teacher == "t5" else 2 if number % 3 else 0):
                text = f"It follows for the {sample + 1}. time that {question.gold} fits number {number}."
                completion = Completion(text=text, finish_reason="recorded")
                keep(store, asking, recorded_prompt(question, teacher_forcing=True), sample, completion)
    return name


def planned(dataset: str, student: Path, recipe: TrainingRecipe, target: Target, **changes: object) -> TrainingPlan:
    """Four steps of the recipe, evaluated every two."""
    situation = Situation(shape=student_shape(str(student)), questions=12, valid=4)
    given = {"max_steps": STEPS, "eval_every": 2, "batch_size": 4, "target": target, "precision": "float32", **changes}
    return TrainingPlan(
        method="tinyllm", dataset=dataset, student=str(student), teachers=TEACHERS,
        settings=with_recipe(recipe, situation, given),
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("recipe", "lora_rank"), [*((recipe, 0) for recipe in RECIPES), ("best", 4)], ids=[*RECIPES, "LoRA"]
)
def test_every_recipe_and_target_resumes_to_the_same_weights(
    store: Store, student: Path, tmp_path: Path, recipe: TrainingRecipe, target: Target, lora_rank: int
) -> None:
    plan = planned(explained(store, tmp_path), student, recipe, target, lora_rank=lora_rank)
    interrupted_training(store, plan, 3, KeyboardInterrupt())
    done, found = final_weights(store, plan)
    whole, expected = final_weights(store, plan, restart=True)
    assert done.metrics["steps"] == whole.metrics["steps"] == STEPS
    assert done.metrics["curve"] == whole.metrics["curve"]
    assert done.metrics["valid"] == whole.metrics["valid"]
    assert done.metrics["curve"][-1].keys() >= {"answer", "t5", "llama"}
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    before = load_student(str(student)).model.state_dict()
    assert any(not torch.equal(before[name], value) for name, value in found.items() if name in before)


def test_targets_are_different_trainings(store: Store, tmp_path: Path, student: Path) -> None:
    dataset = explained(store, tmp_path)
    read = {target: load_training_data(store, planned(dataset, student, "paper", target)) for target in TARGETS}
    sequences = {target: [len(one.tasks) for one in data.training_questions] for target, data in read.items()}
    assert sequences["multitask"] == [4 if number % 3 else 2 for number in range(12)]
    assert sequences["rationale-first"] == sequences["answer-first"] == [2 if number % 3 else 1 for number in range(12)]


@pytest.mark.parametrize("method", ["standard-kd", "pinto"])
def test_without_rationales_as_targets_the_answer_is_all_there_is(
    store: Store, tmp_path: Path, student: Path, method: str
) -> None:
    """So that --target changes nothing of the data; the API sets it to multitask, so that it is one run."""
    name = ingest(store, from_path(write_dataset(tmp_path / "toy", train=6))).name
    asking = ElicitationConfig(teacher="t5", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question in store.questions.iterate(name, "train"):
        prompt = recorded_prompt(question, teacher_forcing=False)
        keep(store, asking, prompt, 0, Completion(text=f"So it is. Answer: {question.gold}", finish_reason="recorded"))
    for target in TARGETS:
        plan = replace(planned(name, student, "paper", target), method=method, teachers=TEACHERS[:1])
        data = load_training_data(store, plan)
        assert [[one.name for one in task.segments] for q in data.training_questions for task in q.tasks] == [
            ["answer"]
        ] * 6
