"""In-context examples: random, reproducible, and never the question itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions, ring
from tinyllm_cli.elicitation.prompts import draw_examples
from tinyllm_cli.records.elicitation import Recipe

pools = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@settings(deadline=None)
@given(pool=pools, icl=st.integers(0, 6), seed=st.integers(0, 3), which=st.integers(0, 12))
def test_examples_are_distinct_reproducible_and_never_the_question(
    pool: list[int], icl: int, seed: int, which: int
) -> None:
    contents = make_questions(13)
    question, recipe = contents[which], Recipe(icl=icl, seed=seed)
    places = ring([replace(contents[content], key=f"place-{place}") for place, content in enumerate(pool)])
    drawn = draw_examples(question, recipe, places)
    assert question.hash not in {example.hash for example in drawn}
    assert len({example.hash for example in drawn}) == len(drawn) <= icl
    assert draw_examples(replace(question, key="elsewhere", split="test"), recipe, places) == drawn


def test_the_number_of_examples_is_icl_if_the_pool_is_large_enough() -> None:
    questions = make_questions(40)
    for icl in (0, 1, 2, 8, 16):
        for question in questions[:10]:
            assert len(draw_examples(question, Recipe(icl=icl), ring(questions))) == icl
    assert len(draw_examples(questions[0], Recipe(icl=2), ring(questions[:2]))) == 1


def test_examples_come_from_the_whole_pool() -> None:
    pool = make_questions(30)
    asked = make_questions(300, split="test")
    drawn = [example.key for question in asked for example in draw_examples(question, Recipe(), ring(pool))]
    assert len(set(drawn)) > 20
    assert max(map(drawn.count, set(drawn))) < len(drawn) / 5


def test_removing_one_question_changes_few_prompts() -> None:
    pool = make_questions(200)
    before = [draw_examples(question, Recipe(), ring(pool)) for question in pool[:100]]
    after = [draw_examples(question, Recipe(), ring(pool[:-1])) for question in pool[:100]]
    assert 90 <= sum(one == other for one, other in zip(before, after, strict=True)) <= 100
