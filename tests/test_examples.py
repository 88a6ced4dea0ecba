"""The in-context example generator: random, repeatable, and never the question itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.prompts import Recipe, draw_examples

pools = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@settings(deadline=None)
@given(pool=pools, icl=st.integers(0, 6), seed=st.integers(0, 3), which=st.integers(0, 12))
def test_examples_are_distinct_repeatable_and_never_the_question(
    pool: list[int], icl: int, seed: int, which: int
) -> None:
    contents = make_questions(13)
    question, recipe = contents[which], Recipe(icl=icl, seed=seed)

    def at(position: int) -> Question:
        return replace(contents[pool[position]], key=f"place-{position}")

    drawn = draw_examples(question, recipe, len(pool), at)
    assert question.hash not in {example.hash for example in drawn}
    assert len({example.hash for example in drawn}) == len(drawn) <= icl
    assert draw_examples(replace(question, key="elsewhere", split="test"), recipe, len(pool), at) == drawn


def test_as_many_examples_as_asked_for_where_the_pool_has_them() -> None:
    questions = make_questions(40)
    for icl in (0, 1, 2, 8, 16):
        for question in questions[:10]:
            assert len(draw_examples(question, Recipe(icl=icl), 40, questions.__getitem__)) == icl
    assert len(draw_examples(questions[0], Recipe(icl=2), 2, questions.__getitem__)) == 1


def test_every_question_of_the_pool_gets_its_turn() -> None:
    pool = make_questions(30)
    asked = make_questions(300, split="test")
    drawn = [example.key for question in asked for example in draw_examples(question, Recipe(), 30, pool.__getitem__)]
    assert set(drawn) == {question.key for question in pool}
    assert max(map(drawn.count, set(drawn))) < 3 * len(drawn) / len(pool)
