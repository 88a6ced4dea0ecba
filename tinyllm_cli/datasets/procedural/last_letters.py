"""`last-letters`: join the last letters of several words.

After Wei et al. 2022, "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", section 5. The options
combine two letters at each of two positions, so that no option is closer to the others than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from tinyllm_cli.datasets.procedural.problem import Family, Problem, conclusion, listed

WORDS = (
    "idea", "sofa", "pizza", "camera", "bread", "cloud", "field", "sand", "apple", "house", "table", "stone",
    "frog", "song", "flag", "egg", "fish", "beach", "tooth", "cloth", "clock", "milk", "book", "desk",
    "wheel", "nail", "pearl", "shell", "farm", "drum", "storm", "room", "lemon", "train", "moon", "queen",
    "piano", "radio", "photo", "potato", "lamp", "ship", "soup", "map", "river", "paper", "door", "sugar",
    "glass", "grass", "bus", "dress", "boat", "shirt", "night", "plant", "window", "snow", "arrow", "yellow",
    "baby", "city", "honey", "candy",
)  # fmt: skip
"""Four words for each of sixteen last letters: letters are equally frequent, so a frequent one says nothing."""

LETTERS = tuple(dict.fromkeys(word[-1] for word in WORDS))


def _make(rng: Random, size: int, _gold: str) -> Problem:
    words = rng.sample(WORDS, size)
    letters = [word[-1] for word in words]
    half = size // 2
    first, second = rng.randrange(half), rng.randrange(half, size)
    others = {spot: rng.choice([one for one in LETTERS if one != letters[spot]]) for spot in (first, second)}
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
        f'The last letter of "{word}" is "{letter}": {"".join(letters[: number + 1])}.'
        for number, (word, letter) in enumerate(zip(words, letters, strict=True))
    ]
    return " ".join([*sentences, conclusion("".join(letters))])


def _part(words: Sequence[str], letters: Sequence[str], edge: str) -> str:
    """The letters of some of the words, each alone."""
    sentences = [f'The last letter of "{word}" is "{letter}".' for word, letter in zip(words, letters, strict=True)]
    joined = ", ".join(f'"{letter}"' for letter in letters)
    return " ".join([*sentences, f"The result {edge} with {joined}."])


LAST_LETTERS = Family(name="last-letters", unit="words", sizes=tuple(range(2, 9)), default_size=4, make=_make)
