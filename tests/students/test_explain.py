"""A student explains and answers: where its text has the answer, votes, and the loss behind its own rationale."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import make_questions
from tests.models import KINDS, make_student
from tests.students.test_models import naive_score
from tinyllm_cli.students.base import Limits, Sampled, Student
from tinyllm_cli.students.explain import Explaining, explain_and_answer, gold_loss_after
from tinyllm_cli.students.inputs import ANSWER, EXPLAIN_PREFIX, Segment, Task, student_input

OPTIONS = ("rain", "sand", "a fire")
LIMITS = Limits(input=300, target=24)


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), request.param)


@pytest.mark.parametrize(
    ("target", "text", "option"),
    [
        ("rationale-first", "explain: Clouds get heavy.\nAnswer: rain", 0),
        ("rationale-first", "explain: Clouds get heavy. Answer : (b)", 1),
        ("rationale-first", "Answer: sand? No.\nAnswer: a fire", 2),
        ("rationale-first", "explain: Clouds get heavy.", None),
        ("rationale-first", "explain: Clouds get heavy.\nAnswer: snow", None),
        ("answer-first", "rain\nRationale: explain: Clouds get heavy.", 0),
        ("answer-first", "rain Rationale : sand is dry", 0),
        ("answer-first", "sand", 1),
        ("answer-first", "snow Rationale: rain is wet", None),
        ("multitask", "Clouds get heavy, so the answer is rain.", 0),
        ("multitask", "Clouds get heavy.", None),
    ],
)
def test_where_a_text_has_its_answer(target: str, text: str, option: int | None) -> None:
    assert Explaining(target=target).option(text, OPTIONS) == option  # type: ignore[arg-type]


class Speaking:
    """Writes given texts instead of a student's own; the rest is a real student."""

    def __init__(self, student: Student, texts: list[str]) -> None:
        self._student, self._texts = student, texts
        self.tokenizer = student.tokenizer

    def encode(self, *arguments):  # type: ignore[no-untyped-def]
        return self._student.encode(*arguments)

    def generate(self, inputs, _length, sampled=None):  # type: ignore[no-untyped-def]
        assert sampled is None or len(sampled.seeds) == len(inputs)
        return [self._texts.pop(0) for _ in inputs]


def test_the_majority_of_votes_is_the_answer_and_of_equal_ones_the_first(student: Student) -> None:
    [question] = make_questions(1)
    for stated, expected in (("0110", 0), ("0112", 1), ("1002", 0), ("-3-", 3), ("---", None)):
        texts = ["So what?" if one == "-" else f"As is.\nAnswer: {question.options[int(one)]}" for one in stated]
        how = Explaining(target="rationale-first", votes=len(stated))
        [found] = explain_and_answer(Speaking(student, texts), [question], how, LIMITS)  # type: ignore[arg-type]
        assert found.option == expected
        assert found.correct == (expected == question.answer)
        assert found.text is not None
        assert how.option(found.text, question.options) == expected
        assert found.written_tokens


def test_sampled_texts_depend_on_their_seed_alone(student: Student) -> None:
    read = [
        example.input for example in student.encode([Task.single(ANSWER, f"predict: {n}") for n in range(5)], LIMITS)
    ]
    together = student.generate(read, 12, Sampled(temperature=1.5, seeds=[7, 8, 9, 10, 11]))
    alone = [student.generate([ids], 12, Sampled(temperature=1.5, seeds=[7 + n]))[0] for n, ids in enumerate(read)]
    assert together == alone
    assert student.generate(read[:1], 12, Sampled(temperature=1.5, seeds=[70])) != together[:1]
    cold = student.generate(read, 12, Sampled(temperature=1e-4, seeds=range(5)))
    assert cold == student.generate(read, 12)


def test_sampled_tokens_have_the_frequencies_of_the_model(student: Student) -> None:
    [example] = student.encode([Task.single(ANSWER, "predict: number")], LIMITS)
    drawn = student.generate([example.input] * 400, 1, Sampled(temperature=1.0, seeds=range(400)))
    start = student.option_scores([example.input], [[[token] for token in range(len(student.tokenizer))]])[0]
    likely = max(range(len(start)), key=start.__getitem__)
    expected = float(torch.tensor(start).exp()[likely])
    text = student.tokenizer.decode([likely], skip_special_tokens=True).strip()
    same = sum(float(torch.tensor(start[token]).exp()) for token in range(len(start))
               if student.tokenizer.decode([token], skip_special_tokens=True).strip() == text)  # fmt: skip
    assert same >= expected
    assert drawn.count(text) / 400 == pytest.approx(same, abs=4 * (same * (1 - same) / 400) ** 0.5)


def test_the_loss_of_the_gold_answer_behind_the_rationale(student: Student) -> None:
    questions = make_questions(3)
    texts = {
        "train-0": "It follows.\nAnswer: thing 3",
        "train-1": "Only this one fits the number",
        "train-2": "Answer: x",
    }
    texts = dict(zip([one.key for one in questions], texts.values(), strict=True))
    found = gold_loss_after(student, questions, texts, LIMITS)
    for question, loss in zip(questions, found, strict=True):
        rationale = texts[question.key].partition("\nAnswer")[0]
        rationale = "." if rationale.startswith("Answer") else rationale
        segments = (Segment(name="t", text=rationale), Segment(name=ANSWER, text=f"\nAnswer: {question.gold}"))
        [example] = student.encode([Task(input=student_input(EXPLAIN_PREFIX, question), segments=segments)], LIMITS)
        before, whole = example.target[: -example.spans[-1].length], example.target
        total = [naive_score(student, example.input, part) * len(part) for part in (before, whole)]
        assert loss == pytest.approx((total[0] - total[1]) / example.spans[-1].length, rel=1e-3)
