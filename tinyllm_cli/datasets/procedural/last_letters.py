"""`last-letters`: join the last letters of several words.

After Wei et al. 2022, "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", section 5. The options
combine two letters at each of two positions, and no option has a letter twice: nothing but the words tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from tinyllm_cli.datasets.procedural.problem import Family, Problem, conclusion, listed

WORDS = (
    "idea", "sofa", "pizza", "camera", "panda", "opera", "bread", "cloud", "field", "sand", "bird", "wood",
    "frog", "song", "flag", "egg", "leg", "ring", "fish", "beach", "tooth", "cloth", "path", "lunch",
    "clock", "milk", "book", "desk", "duck", "fork", "wheel", "nail", "pearl", "shell", "camel", "towel",
    "farm", "drum", "storm", "room", "team", "dream", "lemon", "train", "moon", "queen", "spoon", "garden",
    "piano", "radio", "photo", "potato", "zero", "tomato", "lamp", "ship", "soup", "map", "sheep", "cup",
    "river", "paper", "door", "sugar", "bear", "flower", "boat", "shirt", "night", "plant", "carrot", "hat",
    "window", "snow", "arrow", "yellow", "straw", "pillow",
)  # fmt: skip
"""Six words for each of 13 last letters: all letters are equally frequent, so a frequent one says nothing. None ends in
e, s or y: the gates compare stems, and these letters are endings."""

LETTERS = tuple(dict.fromkeys(word[-1] for word in WORDS))


def _make(rng: Random, size: int, _gold: str) -> Problem:
    letters = rng.sample(LETTERS, size)
    words = [rng.choice([word for word in WORDS if word[-1] == letter]) for letter in letters]
    half = size // 2
    first, second = rng.randrange(half), rng.randrange(half, size)
    unused = [letter for letter in LETTERS if letter not in letters]
    others = dict(zip((first, second), rng.sample(unused, 2), strict=True))
    mistaken = _replaced(letters, (rng.choice((first, second)),), others)
    spelt = listed([f'"{word}"' for word in words])
    return Problem(
        text=f"Take the last letters of the words {spelt}, in this order, and join them. What is the result?",
        gold="".join(letters),
        distractors=tuple(
            "".join(_replaced(letters, spots, others)) for spots in ((first,), (second,), (first, second))
        ),
        stepwise=_steps(words, letters),
        first_half=_part(words[:half], letters[:half], "begins"),
        second_half=_part(words[half:], letters[half:], "ends"),
        mistaken=_steps(words, mistaken),
        mistake="".join(mistaken),
    )  # fmt: skip


def _replaced(letters: Sequence[str], spots: Sequence[int], others: Mapping[int, str]) -> list[str]:
    return [others[number] if number in spots else letter for number, letter in enumerate(letters)]


def _steps(words: Sequence[str], letters: Sequence[str]) -> str:
    """The joined letters after every word."""
    sentences = [
        f'"{word}" ends in "{letter}", giving {"".join(letters[: number + 1])}.'
        for number, (word, letter) in enumerate(zip(words, letters, strict=True))
    ]
    return " ".join([*sentences, conclusion("".join(letters))])


def _part(words: Sequence[str], letters: Sequence[str], edge: str) -> str:
    """The letters of some of the words, each alone."""
    sentences = [f'"{word}" ends in "{letter}".' for word, letter in zip(words, letters, strict=True)]
    joined = ", ".join(f'"{letter}"' for letter in letters)
    return " ".join([*sentences, f"The result {edge} with {joined}."])


LAST_LETTERS = Family(name="last-letters", unit="words", sizes=tuple(range(3, 9)), default_size=4, make=_make)
