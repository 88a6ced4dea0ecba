from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backends.base import Message
from tests.conftest import make_questions, ring
from tinyllm_cli.datasets.matching import match_option
from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples, recorded_prompt
from tinyllm_cli.elicitation.replies import STOP, own_answer, rationale_text, stated_answer
from tinyllm_cli.records.elicitation import Prompt, Recipe

POOL = make_questions(30)
QUESTION = make_questions(1, split="test")[0]
ANIMALS = ["cat", "dog", "a horse", "The owl"]

options_lists = st.lists(st.text(max_size=12), min_size=2, max_size=26)
words = st.text("bcdefghjklmnopqrstuvwxyz", min_size=3, max_size=8)
word_lists = st.lists(words, min_size=2, max_size=26, unique=True)
prose = st.lists(words.filter(lambda word: word not in ("answer", "option")), max_size=12).map(" ".join)
replies = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["answer", "option", " is ", ": ", "(b)", "a", "z", "\n", "Q:", "\nQuestion:", "(", ")", "dog", "or"]
    ),
    max_size=10,
).map("".join)


def prompt_for(question: Question = QUESTION, **recipe: object) -> Prompt:
    chosen = Recipe(**recipe)  # type: ignore[arg-type]
    return build_prompt(question, chosen, draw_examples(question, chosen, ring(POOL)))


def text_of(prompt: Prompt) -> str:
    return prompt.messages[-1].content


@given(reply=replies, options=options_lists)
def test_an_answer_that_is_read_is_one_of_the_options(reply: str, options: list[str]) -> None:
    assert stated_answer(reply, options) in (None, *range(len(options)))
    assert match_option(reply, options) in (None, *range(len(options)))


@given(reason=prose, options=word_lists, data=st.data())
@pytest.mark.parametrize(
    "form",
    [
        "{reason}\nAnswer: ({letter})",
        "{reason}. Answer: ({letter}) {text}",
        "{reason}. The answer is {letter}.",
        "{reason}. The answer is ({letter}).",
        "{reason}. Therefore the correct answer is: ({letter})",
        "{reason}. The correct option is ({letter}), since it fits.",
        "{reason}. **Answer: ({letter})**",
        "{reason}.\n**Answer:** ({letter})",
        "{reason}.\n**Final Answer**: {capital}",
        "{reason}. The answer is option ({letter}).",
        "{reason}. Answer: {text}",
        "{reason}. The answer is the {text}.",
        "{reason}. Answer: {capital}) {text}",
        "{reason}. Final Answer: [{letter}]",
        "{reason}.\nAnswer: `{letter}`",
        "{reason}.\nAnswer: $\\boxed{{{letter}}}$",
        "{reason}. The answer is \\boxed{{\\text{{{capital}}}}}.",
        "Answer: (a)\n{reason}\nAnswer: ({letter})",
        "{reason}. Answer: ({letter})\n\nQuestion: What else?\nAnswer: (a)",
        "({letter}) {text}",
        "{letter}",
        " {text}. ",
    ],
)
def test_a_composed_answer_is_found(form: str, reason: str, options: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(options) - 1))
    letter = LETTERS[index]
    reply = form.format(reason=reason, letter=letter, capital=letter.upper(), text=options[index])
    assert stated_answer(reply, options) == index


@given(reply=st.text("bcdefghjklmnopqrstuvwxyz .,\n", min_size=2, max_size=60), options=word_lists)
def test_unrelated_text_is_never_an_answer(reply: str, options: list[str]) -> None:
    assume(not any(option in reply for option in options) and not re.search(r"answer|option", reply))
    assume(len(reply.strip(" .\n")) > 1 and not re.match(r"\s*\w[.]?\s*(\W|$)", reply))
    assert stated_answer(reply, options) is None


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Either (a) or (b) would do.",
        "The answer is (a) or (b).",
        "The answer is b or c",
        "The answer is a mammal of some kind",
        "The answer is I don't know",
        "The answer is (e)",
        "The answer is T-shaped, d'accord.",
        "Answer:",
        "catdog",
        "\nQuestion: Which?\nAnswer: (b)",
        "b) an owl",
    ],
)
def test_a_reply_that_states_nothing_is_no_guess(reply: str) -> None:
    assert stated_answer(reply, ANIMALS) is None


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        ("The answer is a dog.", 1),
        ("The answer is A DOG", 1),
        ("Answer: horse", 2),
        ("Answer: a", 0),
        ("Answer: a) cat", 0),
        ("answer is (D), an owl", 3),
        ("Answer: b because it barks", 1),
        ("the owl", 3),
    ],
)
def test_articles_and_case_do_not_hide_an_answer(reply: str, index: int) -> None:
    assert stated_answer(reply, ANIMALS) == index


def test_a_bare_name_beats_a_bare_letter_and_brackets_beat_both() -> None:
    blood = ["O", "AB", "B", "A"]
    assert stated_answer("The answer is A", blood) == 3
    assert stated_answer("The answer is (a)", blood) == 0
    assert stated_answer("The answer is E. coli", ["yeast", "mould", "algae", "E. coli", "moss"]) == 3


@given(options=word_lists, data=st.data())
def test_an_option_is_matched_by_its_text_and_its_letter(options: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(options) - 1))
    letter, text = LETTERS[index], options[index]
    other = options[index - 1]
    for written in (text, f"  {text.upper()}. ", f"the {text}", f"({letter})", f"{letter}.", f"({letter}) {text}"):
        assert match_option(written, options) == index
    assert match_option(f"({letter}) {other}", options) is None


def test_two_options_that_read_the_same_match_nothing_but_their_own_spelling() -> None:
    assert match_option("cat", ["Cat", "the cat", "dog"]) is None
    assert match_option("the cat", ["Cat", "the cat", "dog"]) == 1
    assert match_option("Rr", ["R", "rr", "Rr", "RR"]) == 2
    assert match_option("5", ["5", ".5", "5'"]) == 0
    assert match_option(" ", ["", "dog"]) is None
    assert stated_answer("It is dominant. The answer is RR", ["rr", "Rr", "RR"]) == 2


pieces = st.sampled_from([*STOP, "\n", "Rain falls.", " ", "<think>", "</think>"])


@given(st.text(max_size=80) | st.lists(pieces, max_size=9).map("".join))
def test_cutting_a_reply_twice_changes_nothing(raw: str) -> None:
    text = rationale_text(raw)
    assert rationale_text(text) == text
    assert text in raw
    assert not any(stop in text for stop in STOP)


@pytest.mark.parametrize("stop", STOP)
def test_a_reply_ends_where_the_next_question_begins(stop: str) -> None:
    assert rationale_text(f" Rain falls.\n{stop} What next?") == "Rain falls."


@given(thought=st.text(max_size=60) | st.lists(pieces, max_size=6).map("".join), around=st.text(" \n\t", max_size=3))
def test_what_a_model_thought_aloud_is_no_part_of_its_rationale(thought: str, around: str) -> None:
    assume("</think>" not in thought)
    for opened in (f"{around}<think>{thought}</think>", f"{thought.replace('<think>', '')}</think>"):
        assert rationale_text(f"{opened}{around}Rain falls. It is wet.{around}") == "Rain falls. It is wet."
        assert rationale_text(f"{opened} Rain falls.\nQuestion: What next?") == "Rain falls."
        assert rationale_text(opened) == ""


@pytest.mark.parametrize("raw", ["<think>", "\n<think>\nThe sky, well", "<think>a</think>\n<think>b"])
def test_a_reply_that_was_cut_off_while_it_thought_is_no_rationale(raw: str) -> None:
    assert rationale_text(raw) == ""
    assert stated_answer(f"{raw} the answer is (b)", ANIMALS) is None


def test_a_thought_states_no_answer() -> None:
    assert stated_answer("<think>The answer is (a). No.</think>The answer is (b).", ANIMALS) == 1
    assert stated_answer("The answer is (a), or not.</think>Hard to say.", ANIMALS) is None


def test_a_tag_in_the_middle_of_a_text_is_text() -> None:
    text = "The tag <think> opens a block, and </think> ends it."
    assert rationale_text(text) == text


def test_teacher_forcing_shows_the_gold_answer_of_the_last_question() -> None:
    last = text_of(prompt_for()).rpartition("Question: ")[2]
    assert f"Answer: (a) {QUESTION.gold}\n" in last
    assert last.endswith("Rationale: Let's think step by step.")


@pytest.mark.parametrize("icl", [0, 2, 5])
@pytest.mark.parametrize("position", range(4))
def test_without_teacher_forcing_nothing_tells_the_gold_answer(icl: int, position: int) -> None:
    question = replace(QUESTION, answer=position)
    text = text_of(prompt_for(question, icl=icl, teacher_forcing=False))
    assert text.count("\nAnswer: ") == icl
    last = text.rpartition("Question: ")[2]
    assert "Answer:" not in last
    assert [last.count(option) for option in question.options] == [1] * 4


def test_without_teacher_forcing_the_prompt_is_the_same_whatever_the_answer_is() -> None:
    prompts = {text_of(prompt_for(replace(QUESTION, answer=n), icl=0, teacher_forcing=False)) for n in range(4)}
    assert len(prompts) == 1


@given(st.integers(0, 29), st.integers(0, 8), st.integers(0, 5))
def test_examples_are_distinct_and_never_the_question_itself(place: int, icl: int, seed: int) -> None:
    recipe = Recipe(icl=icl, seed=seed)
    drawn = draw_examples(POOL[place], recipe, ring(POOL))
    assert len({example.hash for example in drawn}) == len(drawn) == icl
    assert POOL[place].hash not in {example.hash for example in drawn}
    assert drawn == draw_examples(POOL[place], recipe, ring(POOL))


def test_a_copy_of_the_question_under_another_id_is_no_example() -> None:
    pool = [replace(QUESTION, key=f"copy-{n}", answer=n % 4) for n in range(9)] + POOL[:1]
    assert draw_examples(QUESTION, Recipe(icl=2), ring(pool)) == POOL[:1]


def test_another_seed_draws_other_examples() -> None:
    assert len({prompt_for(seed=seed).examples for seed in range(5)}) > 1


def test_the_context_is_before_the_question() -> None:
    text = text_of(prompt_for(replace(QUESTION, context="It rained."), icl=0))
    assert text.index("Context: It rained.") < text.index("Question: ")


def test_recipe_names_say_what_decides_the_prompt() -> None:
    names = [
        Recipe().name,
        Recipe(seed=1).name,
        Recipe(icl=3).name,
        Recipe(teacher_forcing=False).name,
        Recipe(icl=0).name,
        recorded_prompt(QUESTION, teacher_forcing=True).recipe.name,
        recorded_prompt(QUESTION, teacher_forcing=False).recipe.name,
    ]
    assert len(set(names)) == len(names)
    assert Recipe(icl=0, seed=1).name == Recipe(icl=0, seed=2).name


def test_a_prompts_hash_is_that_of_its_content() -> None:
    prompt = prompt_for()
    assert prompt.hash == prompt_for().hash
    changed = [
        replace(prompt, question="other"),
        replace(prompt, recipe=replace(prompt.recipe, template="other")),
        replace(prompt, messages=(Message(role="system", content=text_of(prompt)),)),
        replace(prompt, messages=(Message(role="user", content=text_of(prompt) + " "),)),
        replace(prompt, messages=()),
    ]
    assert len({prompt.hash, *(other.hash for other in changed)}) == len(changed) + 1


@pytest.mark.parametrize(("recorded", "option"), [(1, 1), (0, 0), (None, 2), (-1, 2), (3, 2), (20_000, 2)])
def test_a_recorded_answer_counts_where_it_is_an_option(recorded: int | None, option: int) -> None:
    assert own_answer(recorded, "The answer is (c).", ("one", "two", "three")) == option
