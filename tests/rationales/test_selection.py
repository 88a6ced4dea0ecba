"""Which rationales a student learns."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from backends.base import Completion, Message, Sampling
from tests.conftest import keep, write_dataset
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.selection import Selection, best_covered
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Recipe
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingData, TrainingPlan, load_training_data


def toy(store: Store, folder: Path, count: int = 9) -> list[Question]:
    ingest(store, from_path(write_dataset(folder / "toy", train=count)))
    return list(store.questions.iterate("toy", "train"))


def wrote(store: Store, teacher: str, questions: list[Question], icl: int = 2) -> None:
    """The teacher explains each of the questions, which names its number, the teacher and the examples it saw."""
    asking = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question in questions:
        message = Message(role="user", content=question.text)
        prompt = Prompt(question=question.hash, recipe=Recipe(icl=icl), messages=(message,))
        text = f"So says {teacher} of {question.key} after {icl} examples."
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="stop"))


def learned(store: Store, selection: Selection, *names: str, seed: int = 0, limit: int | None = None) -> TrainingData:
    teachers = tuple(WeightedTeacher(teacher=name, prefix=f"{name}: ", alpha=1.0) for name in names)
    settings = TrainSettings(seed=seed)
    return load_training_data(
        store,
        TrainingPlan(
            method="distill-step-by-step", dataset="toy", student="any", teachers=teachers, settings=settings,
            limit=limit, selection=selection,
        ),
    )  # fmt: skip


def texts(material: TrainingData) -> dict[str, list[str]]:
    return {
        lesson.question.key: [task.segments[0].text for task in lesson.tasks if task.begins_with != "answer"]
        for lesson in material.training_questions
    }


def test_shuffled_rationales_are_all_there_and_none_is_at_its_own_question(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path)
    wrote(store, "ann", questions[:7])
    straight, shuffled = (texts(learned(store, Selection(shuffled=on), "ann")) for on in (False, True))
    assert sorted(chain.from_iterable(straight.values())) == sorted(chain.from_iterable(shuffled.values()))
    assert [key for key, own in straight.items() if own] == [key for key, own in shuffled.items() if own]
    assert all(own != shuffled[key] for key, own in straight.items() if own)
    assert shuffled == texts(learned(store, Selection(shuffled=True), "ann"))
    assert shuffled != texts(learned(store, Selection(shuffled=True), "ann", seed=1))


def test_teachers_are_shuffled_each_on_its_own(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path)
    wrote(store, "ann", questions)
    wrote(store, "bob", questions)
    both = texts(learned(store, Selection(shuffled=True), "ann", "bob"))
    assert any(ann.split()[4] != bob.split()[4] for ann, bob in both.values())


def test_the_number_of_in_context_examples_chooses_the_way_of_asking(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path)
    wrote(store, "ann", questions[:5], icl=0)
    wrote(store, "ann", questions, icl=2)
    fullest = learned(store, Selection(), "ann")
    assert fullest.lineage["ann"]["questions"] == 9
    without = learned(store, Selection(icl=0), "ann")
    assert without.lineage["ann"]["questions"] == 5
    assert texts(without)["train-0"] == ["So says ann of train-0 after 0 examples."]
    with pytest.raises(UsageProblem, match="with 3 in-context examples") as refused:
        learned(store, Selection(icl=3), "ann")
    assert "--icl 3" in str(refused.value.hint)


def test_smaller_training_sets_lie_within_larger_ones(store: Store, tmp_path: Path) -> None:
    wrote(store, "ann", toy(store, tmp_path))
    small, large = (texts(learned(store, Selection(), "ann", limit=limit)) for limit in (3, 6))
    assert list(large)[:3] == list(small)
    assert all(large[key] == own for key, own in small.items())


def test_what_is_not_the_default_is_part_of_what_makes_a_run_the_same() -> None:
    assert Selection().identity() == {}
    assert Selection(icl=0, shuffled=True).identity() == {"icl": 0, "shuffled": True}


def edited(store: Store, teacher: str, corrections: dict[Question, str]) -> None:
    """Corrections of the teacher's rationales, in the set that they correct, as `tinyllm import` stores them."""
    config = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
    for question, text in corrections.items():
        prompt = Prompt(question=question.hash, recipe=Recipe(icl=2), messages=(), content_hash=text)
        keep(store, config, prompt, 0, Completion(text=text, finish_reason="recorded"))


def test_a_correction_by_hand_replaces_the_teachers_text_for_its_question(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path)
    wrote(store, "ann", questions)
    before = learned(store, Selection(), "ann")
    assert "edited" not in before.lineage["ann"]
    edited(store, "ann", {questions[2]: "It is so because things are numbered."})
    after = learned(store, Selection(), "ann")
    assert texts(after) == texts(before) | {"train-2": ["It is so because things are numbered."]}
    assert after.lineage["ann"]["edited"] == 1
    assert after.lineage["ann"]["digest"] != before.lineage["ann"]["digest"]
    edited(store, "ann", {questions[2]: "A second correction of the same text."})
    assert texts(learned(store, Selection(), "ann"))["train-2"] == ["A second correction of the same text."]


def test_gates_see_the_corrected_text(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path)
    wrote(store, "ann", questions)
    edited(store, "ann", {questions[0]: "Corrected."})
    source = best_covered(store.rationales.variants("toy", "train"), "ann", "toy")
    found = list(judged(store, store.questions.iterate("toy", "train", 2), source, GateSettings()))
    assert [one.rationale.text for one in found] == ["Corrected.", "So says ann of train-1 after 2 examples."]
