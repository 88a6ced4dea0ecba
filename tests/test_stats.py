"""Statistics against distributions, worked examples and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, permutation_test

from tinyllm_cli.stats import Difference, holm, mcnemar, paired, smallest_difference, wilson


@given(one=st.integers(0, 40), other=st.integers(0, 40))
def test_mcnemar_is_the_sum_of_the_tails(one: int, other: int) -> None:
    """Against the binomial distribution, term by term."""
    n = one + other
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    expected = sum(chance for chance in chances if chance <= chances[one] * (1 + 1e-7))
    assert mcnemar(one, other) == pytest.approx(expected)
    assert mcnemar(one, other) == pytest.approx(mcnemar(other, one))


def test_mcnemar_on_a_textbook_table() -> None:
    """150 and 86 discordant pairs (Agresti's approval ratings): z = 4.17."""
    assert mcnemar(150, 86) == pytest.approx(3.7e-5, rel=0.1)


def test_holm_steps_down() -> None:
    """Worked by hand: 4, 3, 2 and 1 times the sorted p-values, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(max_examples=20)  # each collects all garbage in statsmodels
@given(ps=st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_p_value_smaller_and_keeps_their_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(before <= after + 1e-12 <= 1 + 1e-9 for before, after in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=ps.__getitem__)
    assert all(adjusted[a] <= adjusted[b] + 1e-12 for a, b in itertools.pairwise(order))


def test_a_paired_difference_of_one_seed_has_mcnemars_p() -> None:
    found = paired([1.0] * 30 + [-1.0] * 12 + [0.0] * 158)
    assert found.mean == pytest.approx(0.09)
    assert found.p == mcnemar(30, 12)
    assert found.low < found.mean < found.high
    half_width = 1.96 * math.sqrt((42 / 200 - 0.09**2) / 200)
    assert found.high - found.low == pytest.approx(2 * half_width, rel=0.1)
    assert paired([0.0] * 9) == Difference(mean=0.0, low=0.0, high=0.0, p=1.0)


def test_several_seeds_are_averaged_by_question() -> None:
    found = paired([1 / 3] * 60 + [-1 / 3] * 20 + [2 / 3] * 4 + [0.0] * 100)
    assert 0 < found.p < 0.001
    assert paired([1 / 3, -1 / 3] * 40).p > 0.9


@given(counts=st.lists(st.tuples(st.sampled_from([-2, -1, 1, 2]), st.integers(2, 5)), min_size=1, max_size=4))
def test_the_test_over_seeds_counts_every_way_to_swap(counts: list[tuple[int, int]]) -> None:
    """Against scipy's own test, which goes through all of them."""
    values = [step / 2 for step, count in counts for _ in range(count)][:12]
    found = paired(values)
    theirs = permutation_test(
        (np.asarray(values),), np.mean, permutation_type="samples", n_resamples=np.inf, rng=np.random.default_rng(0)
    )
    assert found.p == pytest.approx(theirs.pvalue)
    assert paired([-value for value in values]).p == pytest.approx(found.p)


def test_the_interval_is_scipys_bootstrap() -> None:
    values = [1.0] * 60 + [-1.0] * 30 + [0.5] * 12 + [0.0] * 400
    theirs = bootstrap(
        (np.asarray(values),), np.mean, n_resamples=9999, batch=500, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    found = paired(values)
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.003)
    assert found == paired(reversed(values)), "the order of questions says nothing"


@given(
    ours=st.lists(st.booleans(), min_size=1, max_size=60),
    theirs=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_a_difference_turns_round_with_its_sides(ours: list[bool], theirs: list[bool]) -> None:
    values = [own - their for own, their in zip(ours, theirs, strict=False)]
    there, back = paired(values), paired([-value for value in values])
    assert (there.mean, there.p) == (pytest.approx(-back.mean), pytest.approx(back.p))
    assert there.low <= there.mean + 1e-12 and there.mean <= there.high + 1e-12  # noqa: PT018
    assert 0 < there.p <= 1


def test_many_questions_take_no_time() -> None:
    """A hundred thousand questions under three seeds: the p-value that the normal law gives."""
    values = [1 / 3] * 9000 + [-1 / 3] * 8600 + [2 / 3] * 900 + [-2 / 3] * 950 + [1.0] * 70 + [0.0] * 80_480
    z = sum(values) / math.sqrt(sum(value**2 for value in values))
    assert paired(values).p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.05)


def test_wilson_is_the_published_interval() -> None:
    """R. G. Newcombe, Two-sided confidence intervals for the single proportion (1998), table I."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 2000), st.floats(0, 1))
def test_wilson_is_scipys_and_continues_smoothly_between_whole_numbers(total: int, share: float) -> None:
    """A mean over seeds is no whole number of right answers."""
    correct = share * total
    below, above = math.floor(correct), min(total, math.ceil(correct))
    for whole in (below, above):
        expected = binomtest(whole, total).proportion_ci(0.95, method="wilson")
        assert wilson(whole, total) == pytest.approx((expected.low, expected.high), abs=1e-12)
    for limit in (0, 1):
        found = wilson(correct, total)[limit]
        assert wilson(below, total)[limit] - 1e-12 <= found <= wilson(above, total)[limit] + 1e-12


@pytest.mark.parametrize(("questions", "discordant"), [(500, 0.3), (1665, 0.25), (1165, 0.1)])
def test_the_smallest_difference_is_found_four_times_in_five(questions: int, discordant: float) -> None:
    difference = smallest_difference(questions, discordant, discordant)
    assert difference is not None
    rng = np.random.default_rng(1)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2]
    drawn = rng.multinomial(questions, [*shares, 1 - discordant], size=400)
    assert np.mean([mcnemar(int(one), int(other)) < 0.05 for one, other, _ in drawn]) == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize(("questions", "seeds"), [(500, 5), (1665, 3)])
def test_so_it_is_with_the_means_of_several_seeds(questions: int, seeds: int) -> None:
    """Answerers that are right by chance: one in two differs under a seed, their means by less."""
    rng = np.random.default_rng(2)

    def drawn(difference: float) -> list[float]:
        right = rng.random((2, questions, seeds)) < np.array([0.5 + difference, 0.5])[:, None, None]
        return [float(one) for one in (right[0].astype(int) - right[1]).mean(axis=1)]

    spread = 0.5 / seeds
    assert np.mean(np.square(drawn(0.0))) == pytest.approx(spread, rel=0.2)
    difference = smallest_difference(questions, spread, 0.5)
    assert difference is not None
    assert np.mean([paired(drawn(difference), resamples=9).p < 0.05 for _ in range(200)]) == pytest.approx(0.8, abs=0.1)


def test_few_questions_show_nothing() -> None:
    assert smallest_difference(5, 0.2, 0.2) is None
    assert smallest_difference(100, 0.0, 0.0) is None


def test_seeds_that_cancel_show_what_one_seed_cannot() -> None:
    """One question in forty differs under each of five seeds, each time another one: one seed shows nothing there."""
    assert smallest_difference(200, 1 / 40, 1 / 40) is None
    difference = smallest_difference(200, 1 / 200, 1 / 40)
    assert difference is not None
    assert 1 / 200 < difference < 1 / 40
