"""Agreement of answers, overlap of texts, and which samples are learned from."""

from __future__ import annotations

import random

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyllm_cli.audit.agreement import agreement, alphas
from tinyllm_cli.rationales.best_of import Sampled, best_of
from tinyllm_cli.rationales.similarity import overlap

WIKIPEDIA = (
    "* * * * * 3 4 1 2 1 1 3 3 * 3",
    "1 * 2 1 3 3 4 3 * * * * * * *",
    "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)
"""The worked example of Krippendorff's alpha there: nominal alpha 0.691, to three places."""


def test_alpha_is_that_of_a_published_example() -> None:
    raters = [[None if cell == "*" else int(cell) for cell in row.split()] for row in WIKIPEDIA]
    found = agreement(zip(*raters, strict=True))
    assert found is not None
    assert found.alpha == pytest.approx(0.691, abs=0.0005)
    assert found.questions == 12, "a question with one answer says nothing"
    assert found.same == pytest.approx(9 / 12)
    assert found.low < found.alpha < found.high


def test_raters_who_guess_have_an_alpha_of_0_and_who_agree_of_1() -> None:
    draw = random.Random(3)
    predictions = agreement([[draw.randrange(4), draw.randrange(4)] for _ in range(2000)])
    assert predictions is not None
    assert predictions.low < 0 < predictions.high
    assert predictions.high - predictions.low < 0.15
    same = agreement([[number % 4, number % 4, None] for number in range(40)])
    assert same is not None
    assert (same.alpha, same.low, same.high, same.same) == (1, 1, 1, 1)


@pytest.mark.parametrize("answers", [[], [[1, None]], [[2, 2], [2, 2]], [[None, None]]])
def test_alpha_is_undefined_without_pairs_or_with_one_option(answers: list[list[int | None]]) -> None:
    assert agreement(answers) is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.none() | st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=30))
def test_alpha_is_the_library_s_over_the_ratings_themselves(answers: list[list[int | None]]) -> None:
    found = agreement(answers)
    if found is None:
        return
    ratings = np.array([[np.nan if option is None else option for option in row] for row in answers]).T
    assert found.alpha == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="nominal"))
    assert found.low <= found.high


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(lambda row: sum(row) > 1), min_size=2, max_size=9
    )
)
def test_a_resample_s_alpha_is_the_library_s(rows: list[list[int]]) -> None:
    counts = np.array(rows)
    [found] = alphas(counts, np.ones((1, len(counts)), dtype=int))
    named = (counts.sum(axis=0) > 0).sum() > 1
    assert found == pytest.approx(
        krippendorff.alpha(value_counts=counts, level_of_measurement="nominal") if named else 1
    )
    [twice] = alphas(counts, np.array([[2, 0, *[1] * (len(counts) - 2)]]))
    same = np.array([counts[0], counts[0], *counts[2:]])
    named = (same.sum(axis=0) > 0).sum() > 1
    assert twice == pytest.approx(krippendorff.alpha(value_counts=same, level_of_measurement="nominal") if named else 1)


def test_overlap_counts_words_and_not_their_order_or_case() -> None:
    assert overlap("Plants need light.", "LIGHT is what plants need") == 1.0
    assert overlap("Plants need light.", "Whales sing songs") < 0.5
    assert overlap("", "Plants need light.") == 0.0


def kept(*texts: str) -> list[Sampled]:
    return [Sampled(verdict="kept", text=text) for text in texts]


def test_the_gates_come_before_usefulness_and_what_they_reject_is_never_taken() -> None:
    samples = [
        Sampled(verdict="rejected", text="Useful, but wrong.", gain=9.0),
        Sampled(verdict="repaired", text="Cut short.", gain=3.0),
        Sampled(verdict="kept", text="Fine as it is.", gain=-1.0),
        Sampled(verdict="kept", text="Fine and useful.", gain=0.5),
    ]
    assert best_of(samples, 4) == [3, 2, 1]
    assert best_of(samples, 1) == [3]


def test_a_scored_sample_comes_before_one_that_is_not() -> None:
    samples = [Sampled(verdict="kept", text="Not scored."), Sampled(verdict="kept", text="Harmful.", gain=-2.0)]
    assert best_of(samples, 2) == [1, 0]


def test_without_scores_the_first_is_the_most_typical_and_the_second_the_most_different() -> None:
    sun = "Plants need light from the sun to grow"
    samples = kept("Whales sing in the cold sea", sun, f"{sun} tall", f"{sun} tall and green", "Iron rusts when wet")
    assert best_of(samples, 1) in ([1], [2], [3])
    second = best_of(samples, 2)[1]
    assert second in (0, 4), "not the same thing said again"


def test_the_same_text_is_taken_once_although_it_is_the_likeliest() -> None:
    samples = kept("Light makes plants grow.", "Light makes plants grow.", "Water rusts iron.")
    assert best_of(samples, 3) == [0, 2]


def test_nothing_is_taken_from_nothing() -> None:
    assert best_of([], 2) == []
    assert best_of([Sampled(verdict="kept", text="")], 2) == []
    assert best_of(kept("Any."), 0) == []


sampled = st.builds(
    Sampled,
    verdict=st.sampled_from(("kept", "repaired", "rejected")),
    text=st.sampled_from(("", "a b", "a b c", "c d e", "x", "y z")),
    gain=st.none() | st.floats(-2, 2),
)


@given(samples=st.lists(sampled, max_size=6), k=st.integers(0, 6))
def test_the_choice_is_distinct_and_a_smaller_k_takes_its_beginning(samples: list[Sampled], k: int) -> None:
    chosen = best_of(samples, k)
    texts = [samples[index].text for index in chosen]
    fit = {one.text for one in samples if one.verdict != "rejected" and one.text}
    assert len(set(texts)) == len(texts) == min(k, len(fit))
    assert set(texts) <= fit
    assert chosen[: k - 1 if k else 0] == best_of(samples, max(0, k - 1))
    verdicts = [samples[index].verdict for index in chosen]
    assert verdicts == sorted(verdicts), "kept before repaired"
