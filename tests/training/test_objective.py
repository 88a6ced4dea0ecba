"""The loss and its gradient against eq. 2 written down naively: one example at a time, one term after the other."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions
from tests.models import KINDS, make_student
from tinyllm_cli.rationales.selection import SelectedRationale
from tinyllm_cli.records.settings import Target
from tinyllm_cli.students.base import Example, Limits, Span, Student
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingQuestion, training_questions
from tinyllm_cli.training.gradient import MicroBatches, backward
from tinyllm_cli.training.objective import READINGS, Objective, coverage_of, mean_weights
from tinyllm_cli.training.sequences import TARGETS

TEACHERS = ("llama2", "t5")
LIMITS = Limits(input=300, target=60)
WORDS = st.lists(st.sampled_from(["It", "follows", "from", "number", "thing", "é", "wrong"]), min_size=1, max_size=6)
RATIONALES = st.lists(
    st.dictionaries(st.sampled_from(TEACHERS), st.lists(WORDS.map(" ".join), min_size=1, max_size=3)),
    min_size=1,
    max_size=3,
)
ALPHAS = st.fixed_dictionaries(dict.fromkeys(TEACHERS, st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 3.0])))


@pytest.fixture(scope="module", params=[(kind, dtype) for kind in KINDS for dtype in ("float32", "float64")])
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    kind, dtype = request.param
    made = make_student(tmp_path_factory.mktemp("student"), kind)
    made.model.to(getattr(torch, dtype))
    if dtype == "float64":  # eager attention takes its softmax in float32, where float64's mask value is infinite
        made.model.set_attn_implementation("sdpa")
    return made


def objective(examples: Sequence[Example], alphas: Mapping[str, float], reading: str = "example") -> Objective:
    """Of a step that is the whole training set."""
    spans = spans_of(examples)
    questions = sum(one.share for one in spans if one.name == ANSWER)
    counts = {name: sum(one.share for one in spans if one.name == name) for name in {one.name for one in spans}}
    coverage = {name: count / questions for name, count in counts.items()}
    return Objective(reading=reading, alpha=alphas, coverage=coverage)  # type: ignore[arg-type]


def spans_of(examples: Sequence[Example]) -> list[Span]:
    return [span for one in examples for span in one.spans]


def make_lessons(
    rationales: Sequence[Mapping[str, Sequence[str]]], alphas: Mapping[str, float], target: Target = "multitask"
) -> list[TrainingQuestion]:
    questions = make_questions(len(rationales))
    by_teacher = {
        teacher: {
            q.key: [SelectedRationale(text=text) for text in own[teacher]]
            for q, own in zip(questions, rationales, strict=True)
            if teacher in own
        }
        for teacher in TEACHERS
    }
    voices = [WeightedTeacher(teacher=name, prefix=f"{name}: ", alpha=alpha) for name, alpha in alphas.items()]
    return list(training_questions(questions, by_teacher, voices, target))


def naive_nll(student: Student, example: Example) -> torch.Tensor:
    """-log p of each target token, from a plain forward pass over this example alone."""
    read, target = list(example.input), list(example.target)
    if student.kind == "causal":
        logits = student.model(input_ids=torch.tensor([read + target])).logits[0, len(read) - 1 : -1]
    else:
        start = student.model.config.decoder_start_token_id
        decoder = torch.tensor([[start, *target[:-1]]])
        logits = student.model(input_ids=torch.tensor([read]), decoder_input_ids=decoder).logits[0]
    return -logits.double().log_softmax(-1)[range(len(target)), target]


def naive_nll_by_name(student: Student, lesson: TrainingQuestion) -> dict[str, list[torch.Tensor]]:
    """-log p of the tokens of a question's answers and rationales, each text alone."""
    found: dict[str, list[torch.Tensor]] = {}
    for example in student.encode(lesson.tasks, LIMITS):
        at, nll = 0, naive_nll(student, example)
        for span in example.spans:
            found.setdefault(span.name, []).append(nll[at : at + span.length])
            at += span.length
        assert at == len(nll)
    return found


def naive_objective(
    student: Student, taught: Sequence[TrainingQuestion], alphas: Mapping[str, float], reading: str
) -> torch.Tensor:
    """L_A + sum_m alpha_m L_Tm, where a question's texts of one kind are averaged within the question."""
    total = torch.zeros((), dtype=torch.float64)
    by_question = [naive_nll_by_name(student, lesson) for lesson in taught]
    for name, alpha in {ANSWER: 1.0, **alphas}.items():
        losses = [own[name] for own in by_question if name in own]
        if not losses or alpha == 0:
            continue
        if reading == "example":
            total = total + alpha * sum(sum(nll.mean() for nll in qs) / len(qs) for qs in losses) / len(losses)
        else:
            tokens = sum(sum(len(nll) for nll in qs) / len(qs) for qs in losses)
            total = total + alpha * sum(sum(nll.sum() for nll in qs) / len(qs) for qs in losses) / tokens
    return total


def gradient(student: Student) -> torch.Tensor:
    parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in student.model.parameters()]
    student.model.zero_grad(set_to_none=True)
    return torch.cat([part.double().flatten() for part in parts])


def loss_and_gradient(
    student: Student, examples: list[Example], whole: Objective, budget: int = 1500
) -> tuple[float, torch.Tensor]:
    losses = backward(Learner(student), examples, whole, MicroBatches(budget=budget))
    return sum(whole.alpha.get(name, 1.0) * loss for name, loss in losses.items()), gradient(student)


def encoded(student: Student, taught: Sequence[TrainingQuestion]) -> list[Example]:
    return [example for lesson in taught for example in student.encode(lesson.tasks, LIMITS)]


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).norm() <= 1e-5 * other.norm())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reading", READINGS)
@settings(max_examples=20, deadline=None)
@given(rationales=RATIONALES, alphas=ALPHAS, budget=st.integers(1, 800), order=st.integers(0, 10**6))
def test_loss_and_gradient_equal_equation_2_in_any_order_and_grouping(
    student: Student,
    reading: str,
    target: Target,
    rationales: list[dict[str, list[str]]],
    alphas: dict[str, float],
    budget: int,
    order: int,
) -> None:
    taught = make_lessons(rationales, alphas, target)
    expected = naive_objective(student, taught, alphas, reading)
    expected.backward()  # type: ignore[no-untyped-call]
    expected_gradient = gradient(student)
    examples = encoded(student, taught)
    random.Random(order).shuffle(examples)
    loss, found = loss_and_gradient(student, examples, objective(examples, alphas, reading), budget)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    assert close(found, expected_gradient)


@pytest.mark.parametrize("reading", READINGS)
def test_the_two_readings_differ_when_lengths_do(student: Student, reading: str) -> None:
    taught = make_lessons([{"t5": ["It follows"]}, {"t5": ["It follows from what the thing is for" * 3]}], {"t5": 1.0})
    other = next(name for name in READINGS if name != reading)
    examples = encoded(student, taught)
    [one, another] = (
        loss_and_gradient(student, examples, objective(examples, {"t5": 1.0}, read))[1] for read in (reading, other)
    )
    assert not close(one, another)


@pytest.mark.parametrize("reading", READINGS)
def test_three_equal_samples_of_a_question_count_once(student: Student, reading: str) -> None:
    alphas = {"t5": 0.5, "llama2": 0.0}
    once, thrice = (
        encoded(student, make_lessons([{"t5": ["It follows."] * copies}, {"t5": ["Only this one fits."]}], alphas))
        for copies in (1, 3)
    )
    assert len(thrice) == len(once) + 2
    loss, found = loss_and_gradient(student, thrice, objective(thrice, alphas, reading))
    expected_loss, expected = loss_and_gradient(student, once, objective(once, alphas, reading))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert close(found, expected)


def test_alpha_zero_makes_no_task_and_no_token_in_a_forward_pass(student: Student) -> None:
    rationales: list[dict[str, list[str]]] = [{"t5": ["It follows."], "llama2": ["Only this."]}] * 3
    learner = Learner(student)
    tokens: list[int] = []
    handle = student.model.register_forward_hook(
        lambda module, arguments, output: tokens.append(output.logits.shape[:-1].numel())
    )
    try:
        for alphas, expected in (({"t5": 0.0, "llama2": 0.0}, 3), ({"t5": 1.0, "llama2": 0.0}, 6)):
            tokens.clear()
            taught = make_lessons(rationales, alphas)
            assert sum(len(lesson.tasks) for lesson in taught) == expected
            examples = encoded(student, taught)
            backward(learner, examples, objective(examples, alphas), MicroBatches(budget=100))
            assert sum(tokens) == sum(example.length for example in examples)
    finally:
        handle.remove()


def test_a_teacher_that_wrote_for_some_questions_is_averaged_over_those_alone(student: Student) -> None:
    """N of L_Tm counts the questions that have an accepted rationale of teacher m."""
    alphas = {"t5": 1.0}
    one = {"t5": ["It follows from what the thing is for."]}
    alone, among = (encoded(student, make_lessons(own, alphas)) for own in ([one], [one, {}, {}]))
    lonely, crowded = (backward(Learner(student), own, objective(own, alphas))["t5"] for own in (alone, among))
    student.model.zero_grad(set_to_none=True)
    assert crowded == pytest.approx(lonely, rel=1e-5)


def span(name: str, length: int = 4, *, weight: float = 1.0, share: float = 1.0) -> Span:
    return Span(name=name, length=length, weight=weight, share=share)


STEPS = st.lists(
    st.tuples(st.sampled_from([ANSWER, *TEACHERS]), st.sampled_from([1.0, 0.5, 1 / 3]), st.integers(1, 400)),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("reading", READINGS)
@settings(deadline=None)
@given(step=STEPS)
def test_token_weights_of_a_task_sum_to_its_alpha(reading: str, step: list[tuple[str, float, int]]) -> None:
    alphas = {"llama2": 0.5, "t5": 3.0}
    spans = [span(ANSWER), *(span(name, length, share=share) for name, share, length in step)]
    whole = objective([Example(input=(2,), target=(3,), spans=tuple(spans))], alphas, reading)
    for weights, expected in (
        (whole.token_weights(spans), {ANSWER: 1.0, **alphas}),
        (mean_weights(spans, whole.reading), {ANSWER: 1.0, "llama2": 1.0, "t5": 1.0}),
    ):
        for task in {one.name for one in spans}:
            total = sum(weight * one.length for one, weight in zip(spans, weights, strict=True) if one.name == task)
            assert total == pytest.approx(expected[task])


@pytest.mark.parametrize("reading", READINGS)
def test_a_rationale_weighs_the_same_alone_and_among_others(reading: str) -> None:
    """Its weight is no part of N, or it would count for nothing in a step where its teacher wrote no other."""
    useful, useless = (span("t5", weight=weight) for weight in (1.5, 0.5))
    for step in ([useful], [useless], [useful, useless]):
        answers = [span(ANSWER)] * len(step)
        weights = Objective(reading=reading).token_weights([*step, *answers])[: len(step)]  # type: ignore[arg-type]
        assert weights == pytest.approx([one.weight / (4 * len(step)) for one in step])


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_teacher_gets_its_alpha_over_an_epoch_whatever_it_covers(reading: str, batch_size: int) -> None:
    """Divided by its examples of the step, a teacher with few of them would get a part of alpha that grows with the
    batch size."""
    alpha, covered, count = 0.5, range(0, 40, 10), 40
    questions = [[span(ANSWER), *([span("t5", 3 + number)] if number in covered else [])] for number in range(40)]
    whole = Objective(reading=reading, alpha={"t5": alpha}, coverage=coverage_of(questions))  # type: ignore[arg-type]
    random.Random(0).shuffle(questions)
    totals = {ANSWER: 0.0, "t5": 0.0}
    for start in range(0, count, batch_size):
        step = [one for own in questions[start : start + batch_size] for one in own]
        for one, weight in zip(step, whole.token_weights(step), strict=True):
            totals[one.name] += weight * one.length
    steps = count / batch_size
    assert totals == pytest.approx({ANSWER: steps, "t5": alpha * steps})
    assert whole.coverage == {ANSWER: 1.0, "t5": 0.1}
