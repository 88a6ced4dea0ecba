"""In-context examples: random, reproducible, and never the question itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions, ring
from tinyllm_cli.elicitation.answered import HashRing
from tinyllm_cli.elicitation.prompts import draw_examples, draw_hashes
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


@settings(deadline=None)
@given(pool=pools, icl=st.integers(0, 6), seed=st.integers(0, 3), which=st.integers(0, 12))
def test_hashes_are_drawn_as_the_examples_are(pool: list[int], icl: int, seed: int, which: int) -> None:
    contents = make_questions(13)
    recipe, places = Recipe(icl=icl, seed=seed), [contents[content] for content in pool]
    hashes = HashRing(sorted(question.hash for question in places))
    drawn = draw_examples(contents[which], recipe, ring(places))
    assert draw_hashes(contents[which].hash, recipe, hashes.after) == [example.hash for example in drawn]


@settings(deadline=None)
@given(pool=st.sets(st.binary(min_size=16, max_size=16)), point=st.binary(min_size=15, max_size=17))
def test_the_ring_gives_the_next_hash_and_the_first_one_behind_the_end(pool: set[bytes], point: bytes) -> None:
    ordered = sorted(one.hex() for one in pool)
    found = HashRing(ordered).after(point.hex())
    assert found == next((one for one in ordered if one > point.hex()), ordered[0] if ordered else None)
