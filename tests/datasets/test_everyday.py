"""What the embedded data set has to be like, question by question and as a whole."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz import fuzz

from tinyllm_cli.config import built_in_teachers
from tinyllm_cli.datasets.catalogue import everyday
from tinyllm_cli.datasets.question import Question

SIZES = {"train": 240, "valid": 60, "test": 100}
ROWS: dict[str, list[dict[str, Any]]] = {
    split: [
        json.loads(line)
        for path in [Path(__file__).parents[2] / "tinyllm_cli" / "data" / "everyday" / f"{split}.jsonl"]
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for split in SIZES
}
EVERY_ROW = [row for rows in ROWS.values() for row in rows]


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def test_the_splits_have_their_sizes() -> None:
    assert {split: len(rows) for split, rows in ROWS.items()} == SIZES
    assert all(row["split"] == split for split, rows in ROWS.items() for row in rows)


def test_the_program_reads_what_the_files_hold() -> None:
    questions: list[Question] = list(everyday().read())
    assert Counter(question.split for question in questions) == SIZES
    assert [(q.key, q.text, list(q.options), q.answer) for q in questions] == [
        (row["id"], row["question"], row["options"], row["answer_index"]) for row in EVERY_ROW
    ]


def test_the_expert_teacher_speaks_from_the_same_files() -> None:
    paths = built_in_teachers()["expert"].options["path"]
    assert [Path(path).name for path in paths] == [f"{split}.jsonl" for split in SIZES]


def test_ids_are_unique_over_all_splits() -> None:
    assert [key for key, count in Counter(row["id"] for row in EVERY_ROW).items() if count > 1] == []


def test_every_question_has_four_different_options() -> None:
    assert [row["id"] for row in EVERY_ROW if len({plain(option) for option in row["options"]}) != 4] == []
    assert [row["id"] for row in EVERY_ROW if row["answer_index"] not in range(4)] == []


@pytest.mark.parametrize("split", SIZES)
def test_answer_positions_are_balanced(split: str) -> None:
    counts = Counter(row["answer_index"] for row in ROWS[split])
    assert max(counts.values()) - min(counts.values()) <= 2
    assert max(counts.values()) / len(ROWS[split]) < 0.35


@pytest.mark.parametrize("split", SIZES)
@pytest.mark.parametrize("measure", [len, lambda option: len(option.split())], ids=["characters", "words"])
def test_choosing_the_longest_option_scores_under_35_percent(split: str, measure: Callable[[str], int]) -> None:
    """Ties count as the share of a guess among the tied ones, and as the first of them."""
    guessed, first = 0.0, 0
    for row in ROWS[split]:
        lengths = [measure(option) for option in row["options"]]
        longest = [position for position, length in enumerate(lengths) if length == max(lengths)]
        guessed += (row["answer_index"] in longest) / len(longest)
        first += row["answer_index"] == longest[0]
    assert guessed / len(ROWS[split]) < 0.35
    assert first / len(ROWS[split]) < 0.35


def test_no_two_questions_are_nearly_the_same() -> None:
    texts = [(row["id"], plain(row["question"])) for row in EVERY_ROW]
    near = [
        (first, second)
        for (first, one), (second, two) in combinations(texts, 2)
        if fuzz.ratio(one, two, score_cutoff=75) or fuzz.token_set_ratio(one, two, score_cutoff=85)
    ]
    assert near == []


def test_no_two_questions_have_the_same_options() -> None:
    options = Counter(tuple(sorted(plain(option) for option in row["options"])) for row in EVERY_ROW)
    assert [texts for texts, count in options.items() if count > 1] == []


def test_no_two_rationales_are_nearly_the_same() -> None:
    texts = [(row["id"], plain(row["rationale"])) for row in EVERY_ROW]
    near = [(a, b) for (a, one), (b, two) in combinations(texts, 2) if fuzz.ratio(one, two, score_cutoff=75)]
    assert near == []


def test_rationales_have_10_to_45_words_and_end_in_a_full_stop() -> None:
    assert [row["id"] for row in EVERY_ROW if not 10 <= len(row["rationale"].split()) <= 45] == []
    assert [row["id"] for row in EVERY_ROW if not re.search(r"[a-z0-9)']\.$", row["rationale"])] == []


def test_no_rationale_names_an_option_by_its_letter() -> None:
    letter = re.compile(r"\([a-dA-D]\)|\b(?:option|answer|choice)s?\s+(?:is\s+)?[a-dA-D]\b")
    assert [row["id"] for row in EVERY_ROW if letter.search(row["rationale"])] == []


def test_rationales_are_more_than_the_answer_said_again() -> None:
    copies = [row["id"] for row in EVERY_ROW if fuzz.ratio(plain(row["rationale"]), plain(row["question"])) > 75]
    assert copies == []
    short = [row["id"] for row in EVERY_ROW if plain(row["rationale"]) == plain(row["options"][row["answer_index"]])]
    assert short == []


def test_texts_are_ascii_without_stray_white_space() -> None:
    for row in EVERY_ROW:
        for text in (row["id"], row["question"], row["rationale"], *row["options"]):
            assert text.isascii(), row["id"]
            assert text == " ".join(text.split()), row["id"]


def test_the_files_hold_the_six_fields_and_no_more() -> None:
    fields = {"id", "split", "question", "options", "answer_index", "rationale"}
    assert [row["id"] for row in EVERY_ROW if set(row) != fields] == []
