"""Reading `--alpha`, and the data set and the teachers."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import keep, make_questions
from tinyllm_cli.config import Settings, TeacherSpec, built_in_teachers
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.store import Store
from tinyllm_cli.training.alpha import AlphaChoice, choose, parse_alpha, prefix_of

SETTINGS = Settings(
    teachers=built_in_teachers() | {"parrot": TeacherSpec(name="parrot", backend="scripted", prefix="squawk: ")},
    datasets={},
    source=None,
)

weights = st.floats(0, 1e6, allow_nan=False)
teacher_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=12)
spaces = st.sampled_from(["", " ", "  "])


def add_dataset(store: Store, name: str, *teachers: str, split: str = "train") -> None:
    """A data set of two questions, with rationales of `teachers`."""
    made = make_questions(2, dataset=name, split=split)
    questions = [replace(question, text=f"{name}: {question.text}") for question in made]
    store.questions.replace(name, name, name, questions)
    for teacher in teachers:
        asking = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
        store.rationales.add_asking(asking)
        for question in questions:
            prompt = recorded_prompt(question, teacher_forcing=True)
            keep(store, asking, prompt, 0, Completion(text="Yes.", finish_reason="recorded"))


def alphas(choice: AlphaChoice) -> dict[str, float]:
    return {one.teacher: one.alpha for one in choice.teachers}


def rejected(store: Store, alpha: str | None, dataset: str | None = None) -> tuple[str, str]:
    """The message and the hint with which the choice is refused."""
    with pytest.raises(UsageProblem) as caught:
        choose(store, SETTINGS, None if alpha is None else parse_alpha(alpha), dataset)
    return str(caught.value), caught.value.hint


@given(st.dictionaries(teacher_names, weights, min_size=1, max_size=6), spaces)
def test_weights_by_name_come_back_as_typed(typed: dict[str, float], space: str) -> None:
    text = f"{space},{space}".join(f"{name}{space}={space}{weight!r}" for name, weight in typed.items())
    assert parse_alpha(f"{space}{text}{space}") == typed


@given(weights, spaces)
def test_a_bare_number_is_for_every_teacher(weight: float, space: str) -> None:
    assert parse_alpha(f"{space}{weight!r}{space}") == weight


@given(st.text("=,.-+e0123456789 tnaif", max_size=20) | st.text(max_size=20))
def test_any_text_gives_finite_weights_or_a_usage_error(text: str) -> None:
    try:
        alpha = parse_alpha(text)
    except UsageProblem:
        return
    values = [alpha] if isinstance(alpha, float) else list(alpha.values())
    assert values
    assert all(math.isfinite(value) and value >= 0 for value in values)


@pytest.mark.parametrize("text", ["", "  ", "0", "0.0"])
def test_nothing_and_zero_are_full_fine_tuning(text: str) -> None:
    assert parse_alpha(text) == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1", "'-1' must be 0 or more"),
        ("t5=-0.5", "'t5=-0.5' must be 0 or more"),
        ("t5=nan", "'t5=nan' must be 0 or more, and finite"),
        ("t5=inf", "finite"),
        ("t5=1,llama=-inf", "'llama=-inf'"),
        ("t5=1e999", "finite"),
        ("nan", "finite"),
        ("t5", "'t5' has no number"),
        ("t5=", "'t5=' has no number"),
        ("t5=one", "'t5=one' has no number"),
        ("t5=1=2", "'t5=1=2' has no number"),
        ("=1", "'=1' is not a teacher and a weight"),
        ("t5=1,", "'' is not a teacher and a weight"),
        ("t5=1,llama", "'llama' is not a teacher and a weight"),
        ("t5=1,t5=2", "names 't5' twice"),
    ],
)
def test_a_wrong_alpha_says_which_part_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_alpha(text)
    assert said in str(caught.value)
    assert caught.value.hint == "For example: --alpha t5=1,llama=0.5"


def test_the_beginning_of_a_name_finds_the_teacher(store: Store) -> None:
    add_dataset(store, "riddle", "t5", "llama2")
    choice = choose(store, SETTINGS, parse_alpha("t5=1,llama=0.5"), None)
    assert choice.dataset == "riddle"
    assert choice.chosen
    assert [(one.teacher, one.prefix, one.alpha) for one in choice.teachers] == [
        ("llama2", "rationale: ", 0.5),
        ("t5", "explain: ", 1.0),
    ]
    assert choose(store, SETTINGS, parse_alpha("llama=0.5,t5=1"), None) == choice  # the same training


def test_a_teacher_that_wrote_wins_over_one_that_is_only_configured(store: Store) -> None:
    add_dataset(store, "riddle", "llama-3-paper")
    assert alphas(choose(store, SETTINGS, {"llama": 1.0}, None)) == {"llama-3-paper": 1.0}


def test_an_unknown_teacher_lists_the_names(store: Store) -> None:
    add_dataset(store, "riddle", "t5", "notes")
    message, hint = rejected(store, "gpt=1")
    assert "'gpt'" in message
    assert "expert, llama2, notes, parrot, smollm2, t5" in hint


def test_an_ambiguous_teacher_lists_those_that_fit(store: Store) -> None:
    add_dataset(store, "riddle", "llama-7b", "llama-13b", "t5")
    message, _ = rejected(store, "llama=1")
    assert "llama-13b, llama-7b" in message
    assert alphas(choose(store, SETTINGS, {"llama-7b": 1.0}, None)) == {"llama-7b": 1.0}


def test_two_beginnings_of_one_name_are_an_error(store: Store) -> None:
    add_dataset(store, "riddle", "llama2")
    message, _ = rejected(store, "llama=1,llama2=2")
    assert "names one teacher twice" in message


def test_without_alpha_every_teacher_that_wrote_speaks_with_weight_one(store: Store) -> None:
    add_dataset(store, "riddle", "t5", "llama2")
    choice = choose(store, SETTINGS, None, None)
    assert alphas(choice) == {"llama2": 1.0, "t5": 1.0}
    assert alphas(choose(store, SETTINGS, parse_alpha("0.3"), "riddle")) == {"llama2": 0.3, "t5": 0.3}


def test_the_one_data_set_that_all_named_teachers_wrote_for_is_taken(store: Store) -> None:
    add_dataset(store, "riddle", "t5", "llama2")
    add_dataset(store, "obqa", "t5")
    add_dataset(store, "bare")
    assert choose(store, SETTINGS, parse_alpha("t5=1,llama=1"), None).dataset == "riddle"
    message, hint = rejected(store, "t5=1")
    assert "Several data sets have rationales of t5: obqa, riddle" in message
    assert hint == "Choose one: --dataset NAME"
    named = choose(store, SETTINGS, parse_alpha("t5=1"), "obqa")
    assert (named.dataset, named.chosen) == ("obqa", False)


def test_a_weight_of_zero_asks_for_no_rationales(store: Store) -> None:
    add_dataset(store, "riddle", "t5")
    choice = choose(store, SETTINGS, parse_alpha("t5=1,llama=0"), None)
    assert alphas(choice) == {"t5": 1.0, "llama2": 0.0}


def test_no_data_set_with_rationales_says_how_to_get_some(store: Store) -> None:
    add_dataset(store, "bare")
    message, hint = rejected(store, None)
    assert message == "No data set in the database has rationales."
    assert hint == "Run: tinyllm elicit --teacher expert --dataset everyday"
    message, hint = rejected(store, "llama=1")
    assert message == "No data set in the database has rationales of llama2."
    assert "--teacher llama2" in hint


def test_a_named_data_set_without_the_teachers_rationales_says_how_to_get_them(store: Store) -> None:
    add_dataset(store, "riddle", "t5")
    add_dataset(store, "bare")
    assert "no rationales of any teacher for bare" in rejected(store, None, "bare")[0]
    message, hint = rejected(store, "t5=1,llama=1", "riddle")
    assert "no rationales of llama2 for riddle, split train" in message
    assert hint == "Run: tinyllm elicit --teacher llama2 --dataset riddle (or --alpha 0 for full fine-tuning)"


def test_rationales_for_other_splits_do_not_make_a_training_set(store: Store) -> None:
    add_dataset(store, "riddle", "t5", split="test")
    assert "No data set" in rejected(store, "t5=1")[0]


def test_alpha_zero_needs_questions_and_no_rationales(store: Store) -> None:
    assert "a train split" in rejected(store, "0")[0]
    add_dataset(store, "only-test", split="test")
    add_dataset(store, "bare")
    choice = choose(store, SETTINGS, parse_alpha("0"), None)
    assert (choice.dataset, choice.teachers) == ("bare", ())
    add_dataset(store, "riddle", "t5")
    assert "Several data sets have a train split: bare, riddle" in rejected(store, "")[0]
    assert alphas(choose(store, SETTINGS, 0.0, "riddle")) == {"t5": 0.0}
    assert alphas(choose(store, SETTINGS, {"t5": 0.0}, "riddle")) == {"t5": 0.0}


def test_a_prefix_comes_from_the_settings_or_the_teachers_name() -> None:
    assert prefix_of("parrot", SETTINGS) == "squawk: "
    assert prefix_of("somebody", SETTINGS) == "somebody: "


def test_no_teacher_is_learned_from_under_the_name_of_the_answers_task(store: Store) -> None:
    add_dataset(store, "toy", "ann", "answer")
    for alpha in (None, "answer=1"):
        said, hint = rejected(store, alpha, "toy")
        assert "A teacher called 'answer' can't be used" in said
        assert "another name" in hint
    assert alphas(choose(store, SETTINGS, parse_alpha("ann=1,answer=0"), "toy")) == {"ann": 1.0, "answer": 0.0}


def with_prefixes(**prefixes: str) -> Settings:
    teachers = {name: TeacherSpec(name=name, backend="scripted", prefix=prefix) for name, prefix in prefixes.items()}
    return replace(SETTINGS, teachers=SETTINGS.teachers | teachers)


@pytest.mark.parametrize(
    ("prefixes", "owner"),
    [
        ({"ann": "why: ", "bob": "why: "}, "bob has the same prefix as ann"),
        ({"ann": "why: ", "bob": " Why:"}, "bob has the same prefix as ann"),
        ({"ann": "predict: ", "bob": "why: "}, "ann has the same prefix as the answer"),
    ],
)
def test_two_tasks_with_one_prefix_are_refused(store: Store, prefixes: dict[str, str], owner: str) -> None:
    add_dataset(store, "riddle", "ann", "bob")
    with pytest.raises(UsageProblem, match=owner) as refused:
        choose(store, with_prefixes(**prefixes), {"ann": 1.0, "bob": 0.5}, None)
    assert "prefix = " in refused.value.hint
    with pytest.raises(UsageProblem, match=owner):
        choose(store, with_prefixes(**prefixes), None, None)


def test_a_teacher_that_takes_no_part_may_have_any_prefix(store: Store) -> None:
    add_dataset(store, "riddle", "ann", "bob")
    settings = with_prefixes(ann="why: ", bob="why: ")
    assert alphas(choose(store, settings, {"ann": 1.0, "bob": 0.0}, None)) == {"ann": 1.0, "bob": 0.0}
    assert alphas(choose(store, settings, 0.0, "riddle")) == {"ann": 0.0, "bob": 0.0}


def test_the_hint_for_a_prefix_is_valid_toml(store: Store) -> None:
    add_dataset(store, "riddle", "ann", "gpt-4.1")
    settings = with_prefixes(**{"ann": "why: ", "gpt-4.1": "why: "})
    with pytest.raises(UsageProblem) as refused:
        choose(store, settings, None, None)
    line = refused.value.hint.partition("tinyllm.toml: ")[2].replace("] prefix", "]\nprefix")
    assert tomllib.loads(line) == {"teachers": {"gpt-4.1": {"prefix": "..."}}}
