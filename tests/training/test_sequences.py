"""What a question becomes under each training target, and that a long rationale never costs the answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions
from tests.models import KINDS, make_student
from tinyllm_cli.rationales.selection import SelectedRationale
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.explain import Explaining
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.sequences import TARGETS, Rationales, tasks_of

T5 = WeightedTeacher(teacher="t5", prefix="explain: ", alpha=1.0)
LLAMA = WeightedTeacher(teacher="llama2", prefix="rationale: ", alpha=0.5)
[QUESTION] = make_questions(1)


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), request.param)


def texts(*own: str) -> list[SelectedRationale]:
    return [SelectedRationale(text=text) for text in own]


BOTH: Rationales = [(T5, texts("Because.")), (LLAMA, texts("It fits.", "It is."))]


def test_multitask_has_a_sequence_for_each_text() -> None:
    tasks = tasks_of(QUESTION, BOTH, "multitask")
    assert [(task.input.partition(" ")[0], [one.text for one in task.segments]) for task in tasks] == [
        ("predict:", [QUESTION.gold]),
        ("explain:", ["Because."]),
        ("rationale:", ["It fits."]),
        ("rationale:", ["It is."]),
    ]


def test_one_sequence_has_all_teachers_in_turn() -> None:
    """As many as the most samples of one teacher; one with fewer begins again."""
    first, second = tasks_of(QUESTION, BOTH, "rationale-first")
    assert first.input.startswith("explain and predict: ")
    assert [one.text for one in first.segments] == [
        "explain: Because.", "\nrationale: It fits.", f"\nAnswer: {QUESTION.gold}",
    ]  # fmt: skip
    assert [one.text for one in second.segments] == [
        "explain: Because.", "\nrationale: It is.", f"\nAnswer: {QUESTION.gold}",
    ]  # fmt: skip
    first, _ = tasks_of(QUESTION, BOTH, "answer-first")
    assert [one.text for one in first.segments] == [
        QUESTION.gold, "\nRationale: explain: Because.", "\nrationale: It fits.",
    ]  # fmt: skip
    assert first.input.startswith("predict: ")


@pytest.mark.parametrize("target", TARGETS)
def test_without_rationales_every_target_is_the_answer(target: str) -> None:
    [task] = tasks_of(QUESTION, [], target)  # type: ignore[arg-type]
    assert [(one.name, one.text, one.share) for one in task.segments] == [(ANSWER, QUESTION.gold, 1.0)]


@pytest.mark.parametrize("target", TARGETS)
@given(counts=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_the_shares_of_a_question_add_up_to_one_for_each_name(target: str, counts: tuple[int, int]) -> None:
    rationales = [(T5, texts(*["a"] * counts[0])), (LLAMA, texts(*["b"] * counts[1]))]
    tasks = tasks_of(QUESTION, rationales, target)  # type: ignore[arg-type]
    segments = [one for task in tasks for one in task.segments]
    for name in (ANSWER, "t5", "llama2"):
        assert sum(one.share for one in segments if one.name == name) == pytest.approx(1.0)


@settings(deadline=None)
@given(length=st.integers(1, 80), limit=st.integers(12, 60), target=st.sampled_from(TARGETS[1:]))
def test_a_long_rationale_is_cut_and_the_answer_is_whole(
    student: Student, length: int, limit: int, target: str
) -> None:
    tasks = tasks_of(QUESTION, [(T5, texts("number " * length))], target)  # type: ignore[arg-type]
    [example] = student.encode(tasks, Limits(input=300, target=limit))
    assert len(example.target) <= limit
    assert sum(span.length for span in example.spans) == len(example.target)
    text = student.tokenizer.decode(example.target, skip_special_tokens=True)
    assert Explaining(target=target).option(text, QUESTION.options) == QUESTION.answer  # type: ignore[arg-type]
    ends = example.target[-1] == student.tokenizer.eos_token_id
    assert ends == (target == "rationale-first" or not example.target_cut)
