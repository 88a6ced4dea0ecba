"""Generated questions are deterministic, balanced and without shortcuts; solvers confirm what the teachers write."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from math import ceil
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.datasets.procedural_solvers import SOLVERS
from tinyllm_cli.datasets.matching import stated_option
from tinyllm_cli.datasets.procedural.generate import (
    FAMILIES,
    TEACHERS,
    VERSION,
    Generated,
    generate,
    parameters,
    source,
)
from tinyllm_cli.datasets.procedural.last_letters import LETTERS, WORDS
from tinyllm_cli.datasets.procedural.problem import FamilyName
from tinyllm_cli.datasets.question import MAX_OPTIONS, MIN_OPTIONS, SPLITS, Question, canonical
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.gates import GateSettings, judge

every_family = pytest.mark.parametrize("family", FAMILIES)


def made(family: str, *, size: int | None = None, seed: int = 0, **counts: int) -> list[Generated]:
    return list(generate(parameters(family, counts, size=size, seed=seed), family))


def of_every_size(family: str, count: int) -> Iterator[Generated]:
    """`count` questions of every size of the family."""
    for size in FAMILIES[family].sizes:
        yield from made(family, size=size, train=count)


def test_a_family_has_the_name_that_the_command_takes() -> None:
    assert tuple(FAMILIES) == get_args(FamilyName) == tuple(SOLVERS)


@every_family
def test_stepwise_writes_every_state_and_ends_in_the_right_answer(family: str) -> None:
    solver = SOLVERS[family]
    for one in of_every_size(family, 25):
        text, states = one.rationales["stepwise"], solver.states(one.question.text)
        assert solver.written(text) == states
        assert solver.answer(states[-1], one.question.text) == one.question.gold
        assert stated_option(text, one.question.options) == one.question.answer == one.claims["stepwise"]


@every_family
def test_the_halves_together_determine_the_answer_and_neither_states_it(family: str) -> None:
    for one in of_every_size(family, 25):
        halves = one.rationales["first-half"], one.rationales["second-half"]
        assert SOLVERS[family].join(*halves) == one.question.gold
        assert [stated_option(half, one.question.options) for half in halves] == [None, None]
        assert {"first-half", "second-half"}.isdisjoint(one.claims)


def test_either_half_alone_leaves_the_answer_open() -> None:
    golds: dict[str, set[str]] = defaultdict(set)
    for one in made("coin-flip", size=2, train=5000):  # of 5200
        golds[one.rationales["first-half"]].add(one.question.gold)
        golds[one.rationales["second-half"]].add(one.question.gold)
    assert len(golds) > 1000
    assert sum(found == {"heads", "tails"} for found in golds.values()) > 0.95 * len(golds)


@every_family
def test_one_in_ten_wrong_is_wrong_where_the_generator_says(family: str) -> None:
    solver = SOLVERS[family]
    for size in FAMILIES[family].sizes:
        some = made(family, size=size, train=100)
        wrong = [one for one in some if one.claims["one-in-ten-wrong"] != one.question.answer]
        assert len(wrong) == 10
        for one in some:
            text = one.rationales["one-in-ten-wrong"]
            assert stated_option(text, one.question.options) == one.claims["one-in-ten-wrong"]
            assert (text == one.rationales["stepwise"]) == (one not in wrong)
        for one in wrong:
            right, written = solver.states(one.question.text), solver.written(one.rationales["one-in-ten-wrong"])
            assert len(written) == len(right)
            claimed = one.question.options[one.claims["one-in-ten-wrong"]]
            assert solver.answer(written[-1], one.question.text) == claimed != one.question.gold


@every_family
def test_the_gates_reject_exactly_the_wrong_tenth(family: str) -> None:
    for one in of_every_size(family, 20):
        for teacher, text in one.rationales.items():
            verdict = judge(text, one.question, GateSettings())
            is_wrong = one.claims.get(teacher, one.question.answer) != one.question.answer
            assert [finding.gate for finding in verdict.findings] == (["wrong-answer"] if is_wrong else []), text


@every_family
@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(-(2**40), 2**40))
def test_any_size_and_seed_give_unique_and_balanced_questions(family: str, data: st.DataObject, seed: int) -> None:
    counts = {split: data.draw(st.integers(0, 60), label=split) for split in SPLITS}
    size = data.draw(st.sampled_from(FAMILIES[family].sizes))
    if not any(counts.values()):
        counts["test"] = 1
    some = made(family, size=size, seed=seed, **counts)
    questions = [one.question for one in some]
    assert Counter(question.split for question in questions) == Counter(counts)
    assert len({question.text for question in questions}) == len({q.hash for q in questions}) == len(questions)
    assert len({(question.split, question.key) for question in questions}) == len(questions)
    for split, count in counts.items():
        _check_balance([one for one in some if one.question.split == split], count)


def _check_balance(some: list[Generated], count: int) -> None:
    """In every split: options, positions of the gold answer, and the number of wrong claims."""
    if not some:
        return
    numbers = {len(one.question.options) for one in some}
    assert len(numbers) == 1
    positions = Counter(dict.fromkeys(range(numbers.pop()), 0))
    positions.update(one.question.answer for one in some)
    assert max(positions.values()) - min(positions.values()) <= 1
    assert MIN_OPTIONS <= len(positions) <= MAX_OPTIONS
    assert all(len(set(one.question.options)) == len(positions) for one in some)
    assert all(set(one.rationales) == set(TEACHERS) for one in some)
    assert count // 10 <= sum(one.claims["one-in-ten-wrong"] != one.question.answer for one in some) <= ceil(count / 10)


@every_family
def test_the_same_parameters_give_the_same_and_other_seeds_other_questions(family: str) -> None:
    assert made(family, train=30, test=10) == made(family, train=30, test=10)
    texts = {one.question.text for one in made(family, train=30)}
    assert len(texts & {one.question.text for one in made(family, train=30, seed=1)}) < 5


@every_family
def test_another_number_of_training_questions_leaves_the_other_splits_alone(family: str) -> None:
    few, many = made(family, train=20, valid=10, test=10), made(family, train=200, valid=10, test=10)
    assert few == many[: len(few)]
    assert [one.question.split for one in few] == ["test"] * 10 + ["valid"] * 10 + ["train"] * 20


@every_family
def test_the_generator_gives_what_its_version_gave(family: str) -> None:
    """When this changes, VERSION in generate.py has to change with it, so that stored data sets are renewed."""
    digest = hashlib.sha256()
    for one in made(family, train=20):
        digest.update(canonical([one.question.hash, dict(one.rationales), dict(one.claims)]).encode())
    assert (VERSION, digest.hexdigest()[:16]) == (1, PINNED[family])


def first_option(_train: list[Question]) -> Callable[[Question], int]:
    return lambda question: 0


def longest_option(_train: list[Question]) -> Callable[[Question], int]:
    return lambda question: max(range(len(question.options)), key=lambda option: len(question.options[option]))


def shortest_option(_train: list[Question]) -> Callable[[Question], int]:
    return lambda question: min(range(len(question.options)), key=lambda option: len(question.options[option]))


def frequent_gold(train: list[Question]) -> Callable[[Question], int]:
    """The option that is most often right in train."""
    golds = Counter(question.gold for question in train)
    return lambda question: max(range(len(question.options)), key=lambda option: golds[question.options[option]])


def frequent_option(train: list[Question]) -> Callable[[Question], int]:
    """The option that is most often an option in train."""
    texts = Counter(option for question in train for option in question.options)
    return lambda question: max(range(len(question.options)), key=lambda option: texts[question.options[option]])


def most_similar(_train: list[Question]) -> Callable[[Question], int]:
    """The option that has most characters in common with the other options, place by place."""

    def common(question: Question, option: int) -> int:
        text = question.options[option]
        return sum(one == other for own in question.options for one, other in zip(text, own, strict=False))

    return lambda question: max(range(len(question.options)), key=lambda option: common(question, option))


BASELINES = (first_option, longest_option, shortest_option, frequent_gold, frequent_option, most_similar)
SIZED = [(family, size) for family in FAMILIES for size in (FAMILIES[family].default_size, FAMILIES[family].sizes[-1])]


@pytest.mark.parametrize(("family", "size"), dict.fromkeys(SIZED))
def test_no_baseline_beats_chance(family: str, size: int) -> None:
    questions = [one.question for one in made(family, size=size, train=1000, test=2000)]
    train, test = ([q for q in questions if q.split == split] for split in ("train", "test"))
    chance = sum(1 / len(question.options) for question in test) / len(test)
    for baseline in BASELINES:
        choose = baseline(train)
        right = sum(choose(question) == question.answer for question in test)
        assert binomtest(right, len(test), chance, alternative="greater").pvalue > 0.01, (baseline.__name__, right)


def test_gold_texts_of_families_with_few_are_equally_frequent() -> None:
    for family in ("coin-flip", "shuffled-objects"):
        golds = Counter(one.question.gold for one in made(family, train=220))
        assert set(golds.values()) == {220 // len(FAMILIES[family].golds)}


def test_last_letters_are_equally_frequent_among_the_words() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert set(Counter(word[-1] for word in WORDS).values()) == {len(WORDS) // len(LETTERS)}


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(UsageProblem, match="no procedural family 'dice'"):
        parameters("dice", {"train": 1})
    with pytest.raises(UsageProblem, match="no questions with 4 objects"):
        parameters("shuffled-objects", {"train": 1}, size=4)
    for counts in ({"train": 0}, {"train": 5, "test": -1}, {}):
        with pytest.raises(UsageProblem, match="one question or more"):
            parameters("coin-flip", counts)


def test_the_source_of_a_data_set_names_its_parameters() -> None:
    chosen = parameters("coin-flip", {"train": 4, "test": 2}, seed=7)
    found = source(chosen, "flips")
    assert (found.name, found.origin) == (
        "flips", "--procedural coin-flip --size 6 --train 4 --valid 0 --test 2 --seed 7",
    )  # fmt: skip
    assert {question.dataset for question in found.read()} == {"flips"}
    others = [parameters("coin-flip", {"train": 4, "test": 2}, seed=8), parameters("coin-flip", {"train": 5}, seed=7)]
    assert len({source(one, "flips").fingerprint for one in (chosen, *others)}) == 3


PINNED = {
    "coin-flip": "bc809ab36a73e5d4",
    "last-letters": "85cbdb3762e83e93",
    "shuffled-objects": "7bf9e849a94e3048",
    "date-understanding": "28baa9c3383d5c76",
}
