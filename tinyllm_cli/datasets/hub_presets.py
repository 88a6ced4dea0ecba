"""The data sets of the hub that have a name here, with the splits of the paper where it uses them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from tinyllm_cli.datasets.hub import HubDataset, HubRow
from tinyllm_cli.datasets.layout import INDEX, NO_LAYOUT, Layout
from tinyllm_cli.errors import UsageProblem, choices

MMLU_SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge", "college_biology",
    "college_chemistry", "college_computer_science", "college_mathematics", "college_medicine", "college_physics",
    "computer_security", "conceptual_physics", "econometrics", "electrical_engineering", "elementary_mathematics",
    "formal_logic", "global_facts", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
    "high_school_european_history", "high_school_geography", "high_school_government_and_politics",
    "high_school_macroeconomics", "high_school_mathematics", "high_school_microeconomics", "high_school_physics",
    "high_school_psychology", "high_school_statistics", "high_school_us_history", "high_school_world_history",
    "human_aging", "human_sexuality", "international_law", "jurisprudence", "logical_fallacies", "machine_learning",
    "management", "marketing", "medical_genetics", "miscellaneous", "moral_disputes", "moral_scenarios", "nutrition",
    "philosophy", "prehistory", "professional_accounting", "professional_law", "professional_medicine",
    "professional_psychology", "public_relations", "security_studies", "sociology", "us_foreign_policy", "virology",
    "world_religions",
)  # fmt: skip
_MMLU = "mmlu:"


def hub_dataset(name: str) -> HubDataset | None:
    """The data set of the hub with this name, also `mmlu:SUBJECT`; None for other names.

    Raises UsageProblem for a subject that MMLU lacks."""
    if not name.startswith(_MMLU):
        return HUB_DATASETS.get(name)
    subject = name.removeprefix(_MMLU)
    if subject not in MMLU_SUBJECTS:
        near = get_close_matches(subject, MMLU_SUBJECTS) or ["anatomy"]
        raise UsageProblem(f"MMLU has no subject '{subject}'.", f"Subjects: {choices(near)}, ... All of them: mmlu.")
    return _mmlu_of(name, subject)


def halves(hub_split: str, size: int) -> Callable[[int], str]:
    """The paper's rule where the test labels are secret: half of the validation rows are drawn, with seed 0, as
    test; the rest stay valid. Reproduces the PIQA split of the authors row by row."""
    test = set(random.Random(0).sample(range(size), size // 2)) if hub_split == "validation" else set()
    return lambda number: "train" if hub_split == "train" else "test" if number in test else "valid"


def pubmedqa_split(_hub_split: str, size: int) -> Callable[[int], str]:
    """Half train, a tenth valid, the rest test (500, 100, 400), drawn with seed 0. The paper has these sizes but
    publishes no rule for which row falls where."""
    order = list(range(size))
    random.Random(0).shuffle(order)
    rank = {number: place for place, number in enumerate(order)}
    train, valid = size // 2, size // 10
    return lambda number: "train" if rank[number] < train else "valid" if rank[number] < train + valid else "test"


def _as_it_is(row: HubRow, _split: str, _number: int) -> HubRow:
    return row


def _four_options(row: HubRow, _split: str, _number: int) -> HubRow:
    return row if len(row["choices"]["text"]) == 4 else {}


def _numbered(row: HubRow, split: str, number: int) -> HubRow:
    return {**row, "id": f"{'dev' if split == 'validation' else split}-{number}"}


def _piqa(row: HubRow, split: str, number: int) -> HubRow:
    return {
        "id": _numbered(row, split, number)["id"],
        "question": row["goal"],
        "options": [row["sol1"], row["sol2"]],
        "answer": int(row["label"]),
    }


def _pubmedqa(row: HubRow, _split: str, _number: int) -> HubRow:
    return {
        "id": row["pubid"],
        "question": row["question"],
        "options": ["yes", "no", "maybe"],
        "answer": row["final_decision"],
        "context": "\n".join(row["context"]["contexts"]),
    }


def valid_tenth(hub_split: str, size: int) -> Callable[[int], str]:
    """Where there is no validation split: a tenth of the training rows, drawn with seed 0."""
    valid = set(random.Random(0).sample(range(size), size // 10)) if hub_split == "train" else set()
    return lambda number: hub_split if hub_split != "train" else "valid" if number in valid else "train"


def _strategyqa(row: HubRow, _split: str, _number: int) -> HubRow:
    return {
        "id": row["qid"],
        "question": row["question"],
        "options": ["yes", "no"],
        "answer": "yes" if _boolean(row["answer"]) else "no",
    }


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _sciq(row: HubRow, split: str, number: int) -> HubRow:
    """The hub's rows have the right answer in a column of its own: the order of the options is drawn by the row."""
    options = [row["correct_answer"], row["distractor1"], row["distractor2"], row["distractor3"]]
    order = random.Random(f"sciq {split} {number}").sample(range(4), 4)
    return {
        "id": _numbered(row, split, number)["id"],
        "question": row["question"],
        "options": [options[place] for place in order],
        INDEX: order.index(0),
        "context": row["support"],
    }


def _mmlu(row: HubRow, split: str, number: int) -> HubRow:
    return {
        "id": f"{split}-{number}",
        "question": row["question"],
        "options": list(row["choices"]),
        INDEX: row["answer"],
    }


_SAME = {"train": "train", "validation": "valid", "test": "test"}
_DIVIDED = {"train": "train", "validation": "valid"}


def _mmlu_of(name: str, subject: str) -> HubDataset:
    return HubDataset(
        name=name,
        repository="cais/mmlu",
        config=subject,
        files={"dev": "train", "validation": "valid", "test": "test"},
        signature=frozenset({"question", "subject", "choices", "answer"}),
        layout=NO_LAYOUT,
        adapt=_mmlu,
        listed=True,
    )


HUB_DATASETS: Mapping[str, HubDataset] = {
    dataset.name: dataset
    for dataset in (
        HubDataset(
            name="obqa",
            repository="allenai/openbookqa",
            config="main",
            files=_SAME,
            signature=frozenset({"id", "question_stem", "choices", "answerKey"}),
            layout=Layout(columns={"question": "question_stem", "options": "choices", "answer": "answerKey"}),
            adapt=_as_it_is,
        ),
        HubDataset(
            name="arc",
            repository="allenai/ai2_arc",
            config="ARC-Challenge",
            files=_SAME,
            signature=frozenset({"id", "question", "choices", "answerKey"}),
            layout=Layout(columns={"options": "choices", "answer": "answerKey"}),
            adapt=_four_options,
        ),
        HubDataset(
            name="piqa",
            repository="ybisk/piqa",
            config="plain_text",
            files=_DIVIDED,
            signature=frozenset({"goal", "sol1", "sol2", "label"}),
            layout=NO_LAYOUT,
            adapt=_piqa,
            divide=halves,
        ),
        HubDataset(
            name="riddle",
            repository="INK-USC/riddle_sense",
            config="default",
            files=_DIVIDED,
            signature=frozenset({"question", "choices", "answerKey"}),
            layout=Layout(columns={"options": "choices", "answer": "answerKey"}),
            adapt=_numbered,
            divide=halves,
        ),
        HubDataset(
            name="pubmedqa",
            repository="qiaojin/PubMedQA",
            config="pqa_labeled",
            files={"train": "train"},
            signature=frozenset({"pubid", "question", "context", "final_decision"}),
            layout=NO_LAYOUT,
            adapt=_pubmedqa,
            divide=pubmedqa_split,
        ),
        HubDataset(
            name="arc-easy",
            repository="allenai/ai2_arc",
            config="ARC-Easy",
            files=_SAME,
            signature=frozenset({"id", "question", "choices", "answerKey"}),
            layout=Layout(columns={"options": "choices", "answer": "answerKey"}),
            adapt=_four_options,
        ),
        HubDataset(
            name="csqa",
            repository="tau/commonsense_qa",
            config="default",
            files=_DIVIDED,
            signature=frozenset({"id", "question", "question_concept", "choices", "answerKey"}),
            layout=Layout(columns={"options": "choices", "answer": "answerKey"}),
            adapt=_as_it_is,
            divide=halves,
        ),
        HubDataset(
            name="strategyqa",
            repository="ChilleD/StrategyQA",
            config="default",
            files={"train": "train", "test": "test"},
            signature=frozenset({"qid", "term", "question", "answer"}),
            layout=NO_LAYOUT,
            adapt=_strategyqa,
            divide=valid_tenth,
        ),
        HubDataset(
            name="sciq",
            repository="allenai/sciq",
            config="default",
            files=_SAME,
            signature=frozenset({"question", "correct_answer", "distractor1", "distractor2", "distractor3", "support"}),
            layout=NO_LAYOUT,
            adapt=_sciq,
        ),
        _mmlu_of("mmlu", "all"),
    )
}
