"""Spellings in which models state an answer, and texts that state none."""

from __future__ import annotations

import pytest

from tinyllm_cli.datasets.matching import match_option, stated_option

ANIMALS = ["cat", "dog", "a horse", "The owl"]
KEYS = ["C major", "G major", "D major", "F major"]
SPECIES = ["yeast", "mould", "algae", "C. elegans"]
BLOOD = ["O", "AB", "B", "A"]
PRESIDENTS = ["Barack Obama", "Donald Trump", "Joe Biden", "George Bush"]
VERDICTS = ["yes", "no", "maybe"]
NUMBERS = ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("reply", "options", "index"),
    [
        ("So the answer must be (b).", ANIMALS, 1),
        ("The answer is 'B'.", ANIMALS, 1),
        ("\\boxed{B}", ANIMALS, 1),
        ("The answer is C major because its scale uses only the white keys.", KEYS, 0),
        ("The answer is C. elegans because it has 302 neurons.", SPECIES, 3),
        ("Answer: (c) is incorrect.", ANIMALS, None),
        ("The answer is C minor.", KEYS, None),
        ("Answer: C", KEYS, 2),
        ("Answer: C major", KEYS, 0),
        ("Answer: (c)", KEYS, 2),
        ("Answer: c) D major", KEYS, 2),
        ("Answer: C. D major", KEYS, 2),
        ("The answer is D major.", KEYS, 2),
        ("The answer is A minor", KEYS, None),
        ("The answer is D. Trump won in 2016.", PRESIDENTS, None),
        ("The answer is D. It was Bush.", PRESIDENTS, 3),
        ("The answer is (b), not (c).", ANIMALS, 1),
        ("The answer is not (b).", ANIMALS, None),
        ("The answer isn't (b).", ANIMALS, None),
        ("The answer can't be (b).", ANIMALS, None),
        ("The answer cannot be (b).", ANIMALS, None),
        ("The incorrect answer is (a).", ANIMALS, None),
        ("A wrong answer: (a)", ANIMALS, None),
        ("If the answer is (a), then it meows.", ANIMALS, None),
        ("You may think the answer is (a).", ANIMALS, None),
        ("You may think the answer is (a). But the answer is (b).", ANIMALS, 1),
        ("I think the answer is (b)", ANIMALS, 1),
        ("The answer is (b)?", ANIMALS, None),
        ("Is the answer (b)?", ANIMALS, None),
        ("The answer is (a) or (b).", ANIMALS, None),
        ("The answer is both (a) and (b).", ANIMALS, None),
        ("The answer is a and b", ANIMALS, None),
        ("The answer is (a)/(b)", ANIMALS, None),
        ("Answer: (a), (b)", ANIMALS, None),
        ("The answer is cat or dog.", ANIMALS, None),
        ("The answer is the dog because it barks.", ANIMALS, 1),
        ("The answer is dog house.", ANIMALS, None),
        ("The answer is a dog, which barks.", ANIMALS, 1),
        ("**Answer:** (b)", ANIMALS, 1),
        ("**Answer**: B", ANIMALS, 1),
        ("**Answer: B**", ANIMALS, 1),
        ("### Answer\nB", ANIMALS, 1),
        ("Answer:\n(b)", ANIMALS, 1),
        ("Answer:\n\nB", ANIMALS, 1),
        ("answer = b", ANIMALS, 1),
        ("ANSWER: B.", ANIMALS, 1),
        ("Final answer: B) dog", ANIMALS, 1),
        ("Final Answer: [b]", ANIMALS, 1),
        ("The final answer is $\\boxed{B}$.", ANIMALS, 1),
        ("The answer is $\\boxed{\\text{(B)}}$", ANIMALS, 1),
        ("The answer is \\textbf{B}", ANIMALS, 1),
        ("Answer choice: (b)", ANIMALS, 1),
        ("The correct choice is (b), since it barks.", ANIMALS, 1),
        ("The correct option is B.", ANIMALS, 1),
        ("The best answer is therefore (b).", ANIMALS, 1),
        ("The answer, therefore, is (b).", ANIMALS, 1),
        ("The answer to the question is (b).", ANIMALS, 1),
        ("The answer to this riddle is a dog.", ANIMALS, 1),
        ("The solution is (b)", ANIMALS, 1),
        ("Ans: b", ANIMALS, 1),
        ("Ans. (b)", ANIMALS, 1),
        ("<answer>B</answer>", ANIMALS, 1),
        ("#### B", ANIMALS, 1),
        ('{"answer": "B"}', ANIMALS, 1),
        ('{"answer": "dog"}', ANIMALS, 1),
        ("I choose (b).", ANIMALS, 1),
        ("I would go with (b).", ANIMALS, 1),
        ("I would select option B.", ANIMALS, 1),
        ("(b) is the correct answer.", ANIMALS, 1),
        ("Option B is correct.", ANIMALS, 1),
        ("Option (b) is the right answer.", ANIMALS, 1),
        ("B is correct.", ANIMALS, 1),
        ("(b) is not the correct answer.", ANIMALS, None),
        ("Option B is incorrect.", ANIMALS, None),
        ("(a) or (b) is correct", ANIMALS, None),
        ("Therefore, (b).", ANIMALS, 1),
        ("It barks, so (b)", ANIMALS, 1),
        ("Dogs bark.\n(b)", ANIMALS, 1),
        ("Dogs bark.\n\n**B**", ANIMALS, 1),
        ("Dogs bark.\nB", ANIMALS, 1),
        ("(a) cat\n(b) dog", ANIMALS, None),
        ("Dogs bark.\nThe owl", ANIMALS, 3),
        ("The answer is (a). Wait, the answer is (b).", ANIMALS, 1),
        ("The answer is (b). (b) is wrong, though.", ANIMALS, None),
        ("The answer is (b). Option (c) is incorrect.", ANIMALS, 1),
        ("The answer is (b) cat", ANIMALS, None),
        ("The answer is (b) dog", ANIMALS, 1),
        ("The answer is b: dog", ANIMALS, 1),
        ("The answer is (z).", ANIMALS, None),
        ("The answer is I don't know", ANIMALS, None),
        ("The answer is A", BLOOD, 3),
        ("The answer is (a)", BLOOD, 0),
        ("The answer is B.", BLOOD, 2),
        ("The answer is 'AB'.", BLOOD, 1),
        ("The answer is yes.", VERDICTS, 0),
        ("The answer is no, because it is not so.", VERDICTS, 1),
        ("Answer: maybe", VERDICTS, 2),
        ("The answer is no doubt (c).", VERDICTS, None),
        ("The answer is 2.", NUMBERS, 1),
        ("The answer is (c) 3", NUMBERS, 2),
        ("Answer: 5", NUMBERS, None),
        ("The answer is neither (a) nor (b).", ANIMALS, None),
        ("One possible answer is (a).", ANIMALS, None),
        ("Another option is (a).", ANIMALS, None),
        ("The answer must be the owl.", ANIMALS, 3),
        ("The answer would be (d) the owl.", ANIMALS, 3),
        ("The answer: B — dogs bark.", ANIMALS, 1),
        ("Answer - B", ANIMALS, 1),
        ("Answer → B", ANIMALS, 1),
        ("The answer is **dog**.", ANIMALS, 1),
        ('The answer is "the owl".', ANIMALS, 3),
        ("The answer is: a horse", ANIMALS, 2),
        ("The answer is option c.", ANIMALS, 2),
        ("The answer is letter B", ANIMALS, 1),
        ("The answer is a.", ANIMALS, 0),
        ("The answer is a)", ANIMALS, 0),
        ("The answer is a mammal.", ANIMALS, None),
        ("The answer is dog (c).", ANIMALS, None),
        ("The answer is dog (b).", ANIMALS, 1),
        ("The answer is T-shaped.", ANIMALS, None),
        ("The answer is b because it barks", ANIMALS, 1),
        ("Answer: B\n\nExplanation: dogs bark.", ANIMALS, 1),
        ("The answer is D, as explained above.", ANIMALS, 3),
        ("The answer is clear: (b).", ANIMALS, None),
        ("So (c) is right. So (d) is right.", ANIMALS, None),
        ("The only option that can be eliminated is (a).", ANIMALS, None),
        ("Let's see.\n(a) cat", ANIMALS, None),
        ("cat\ndog\na horse\nThe owl", ANIMALS, None),
        ("The only option left is the dog.", ANIMALS, 1),
    ],
)
def test_a_reply_states_one_option_or_none(reply: str, options: list[str], index: int | None) -> None:
    assert stated_option(reply, options) == index


@pytest.mark.parametrize("option", ["then", "likely", "clearly"])
def test_an_option_may_be_a_word_that_announces_answers(option: str) -> None:
    assert stated_option(f"The answer is {option}.", ["now", option]) == 1


REPEATED = (
    "*", "_", "`", " ", "\n", "(a) ", "a) ", "**a** ", "b*", "answer: ", "the answer is not ", "$\\boxed{",
    "so ", ", ", "# ",
)  # fmt: skip


@pytest.mark.parametrize("ending", ["", "z", "\nred"])
@pytest.mark.parametrize("unit", REPEATED)
def test_a_long_reply_of_one_sign_does_not_hang(unit: str, ending: str) -> None:
    """A pattern that backtracks over 20,000 signs would take longer than any test may."""
    text = unit * (20_000 // len(unit)) + ending
    assert stated_option(text, ["red", "green"]) in (None, 0)
    assert match_option(text, ["red", "green"]) in (None, 0)
