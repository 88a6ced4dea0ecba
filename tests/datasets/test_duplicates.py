"""Questions that stand in two splits: found whatever their options' order, and nothing found that isn't there."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions
from tinyllm_cli.datasets.duplicates import NEAR, Repeats, repeats
from tinyllm_cli.datasets.question import Question

SNAKES = Question(
    dataset="d", split="train", key="1", text="Where do grass snakes like to live in summer?",
    options=("in trees", "in rivers", "in the mountains", "in turf"), answer=3,
)  # fmt: skip


def twins(one: Question, **changes: object) -> list[Repeats]:
    other = replace(one, split="test", key="2", **changes)  # type: ignore[arg-type]
    return repeats({"train": lambda: [one], "test": lambda: [other]})


def counts(found: list[Repeats]) -> tuple[int, int, int]:
    if not found:
        return 0, 0, 0
    [shared] = found
    return shared.same, shared.answer, shared.near


def test_a_copy_counts_whatever_the_order_of_options_and_the_case() -> None:
    assert counts(twins(SNAKES)) == (1, 0, 0)
    reordered = ("in turf", "in rivers", "in trees", "in the mountains")
    assert counts(twins(SNAKES, options=reordered, answer=0)) == (1, 0, 0)
    assert counts(twins(SNAKES, text="where do GRASS  snakes like to live in summer")) == (1, 0, 0)


def test_a_copy_with_another_right_answer_is_distinguished() -> None:
    [shared] = twins(SNAKES, answer=0)
    assert (shared.same, shared.answer) == (1, 1)
    assert [pair.kind for pair in shared.pairs] == ["answer"]


def test_a_question_with_a_word_or_two_changed_is_near() -> None:
    assert counts(twins(SNAKES, text="Where do grass snakes prefer to live in summer?")) == (0, 0, 1)
    assert counts(twins(SNAKES, text="What do owls eat at night?")) == (0, 0, 0)


def test_numbers_tell_questions_apart_that_are_alike_in_words() -> None:
    sums = replace(SNAKES, text="What comes out when you add 17 to the number 25 and then take 3 away?")
    assert counts(twins(sums, text=sums.text.replace("25", "26"))) == (0, 0, 0)
    assert counts(twins(sums, text=sums.text.replace("comes out", "comes up"))) == (0, 0, 1)


def test_signs_tell_formulas_apart() -> None:
    formula = replace(SNAKES, text="Which x solves x>3 ?")
    assert counts(twins(formula, text="Which x solves x<3 ?"))[:2] == (0, 0)


def test_the_same_words_about_another_text_are_another_question() -> None:
    asked = replace(SNAKES, context="The first trial had forty patients, who took aspirin.")
    assert counts(twins(asked, context="A later study looked at lungs of mice and found them unharmed.")) == (0, 0, 0)
    assert counts(twins(asked)) == (1, 0, 0)


def test_every_question_of_the_later_split_counts_once() -> None:
    copies = [replace(SNAKES, key=str(number)) for number in range(3)]
    later = [replace(SNAKES, split="valid", key="v"), replace(SNAKES, split="test", key="t")]
    found = repeats({"train": lambda: copies, "valid": lambda: later[:1], "test": lambda: later[1:]})
    assert [(one.first, one.second, one.same) for one in found] == [
        ("train", "valid", 1), ("train", "test", 1), ("valid", "test", 1),
    ]  # fmt: skip


def test_different_questions_share_nothing() -> None:
    train = make_questions(30)
    assert repeats({"train": lambda: train[:15], "test": lambda: train[15:]}) == []


def words(question: Question) -> set[str]:
    return set(" ".join((question.text, *question.options)).split())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_the_index_finds_what_comparing_all_with_all_finds(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = ["apple", "bear", "cloud", "door", "eagle", "fire", "grass", "house", "iron", "jump", "kite"]

    def some(split: str, count: int) -> list[Question]:
        texts = [" ".join(draw.choices(vocabulary, k=draw.randint(1, 12))) for _ in range(count)]
        return [
            Question(dataset="d", split=split, key=str(number), text=text, options=("yes", "no"), answer=0)
            for number, text in enumerate(texts)
        ]

    train, test = some("train", 25), some("test", 15)
    found = repeats({"train": lambda: train, "test": lambda: test})
    close = [
        other
        for other in test
        if any(len(words(one) & words(other)) >= NEAR * len(words(one) | words(other)) for one in train)
    ]
    assert sum(one.same + one.near for one in found) == len(close)
