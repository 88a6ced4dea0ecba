"""The paper's data sets from the Hugging Face hub, with the paper's splits.

Files come from each repository's `refs/convert/parquet` revision (datasets runs no loading scripts any more) and
are cached by the hub's own client, so that the second time needs no network.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.datasets.rows import read_rows
from tinyllm_cli.errors import WorldProblem

REVISION = "refs/convert/parquet"
HubRow = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Where a data set lies and how its rows become `{id, question, options, answer}`.

    `files` maps the hub's split to the names of ours that its rows are divided among."""

    name: str
    repository: str
    config: str
    files: Mapping[str, str]
    columns: Mapping[str, str]
    adapt: Callable[[HubRow, str, int], HubRow]
    divide: Callable[[str, int], Callable[[int], str]] | None = None
    """(hub split, its size) -> (row number -> our split), where the paper's splits are not the hub's."""

    @property
    def source(self) -> str:
        return f"hub:{self.repository}/{self.config}@{REVISION}"

    def questions(self) -> Iterator[Question]:
        """Every question of every split. All files are here before the first one comes.

        Raises WorldProblem when a file is not cached and the hub can't be reached."""
        paths = {hub_split: self._download(hub_split) for hub_split in self.files}
        for hub_split, path in paths.items():
            place = None
            if self.divide is not None:
                size = sum(1 for _ in read_rows(path))
                place = self.divide(hub_split, size)
            for number, row in enumerate(read_rows(path)):
                adapted = self.adapt(row, hub_split, number)
                if adapted:
                    where = Where(file=f"{self.repository}, {hub_split}", row=number + 1)
                    split = place(number) if place else self.files[hub_split]
                    yield parse_row(adapted, where, self.columns, dataset=self.name, split=split)

    def _download(self, hub_split: str) -> Path:
        from huggingface_hub import hf_hub_download

        from backends.hub import prepare

        prepare()

        name = f"{self.config}/{hub_split}/0000.parquet"
        try:
            return Path(hf_hub_download(self.repository, name, repo_type="dataset", revision=REVISION))
        except Exception as error:  # the hub's client lets its HTTP library's errors through
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a full or read-only disk, not the hub
            raise WorldProblem(
                f"The data set {self.name} ({self.repository}) is not on this machine and the hub can't be reached.",
                "Three ways on: a local copy (tinyllm import FOLDER --name "
                f"{self.name}), the embedded data set (--dataset everyday), or a mirror (HF_ENDPOINT).",
            ) from error


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


_SAME = {"train": "train", "validation": "valid", "test": "test"}
_DIVIDED = {"train": "train", "validation": "valid"}

HUB_DATASETS: Mapping[str, HubDataset] = {
    dataset.name: dataset
    for dataset in (
        HubDataset(
            name="obqa",
            repository="allenai/openbookqa",
            config="main",
            files=_SAME,
            columns={"question": "question_stem", "options": "choices", "answer": "answerKey"},
            adapt=_as_it_is,
        ),
        HubDataset(
            name="arc",
            repository="allenai/ai2_arc",
            config="ARC-Challenge",
            files=_SAME,
            columns={"options": "choices", "answer": "answerKey"},
            adapt=_four_options,
        ),
        HubDataset(
            name="piqa",
            repository="ybisk/piqa",
            config="plain_text",
            files=_DIVIDED,
            columns={},
            adapt=_piqa,
            divide=halves,
        ),
        HubDataset(
            name="riddle",
            repository="INK-USC/riddle_sense",
            config="default",
            files=_DIVIDED,
            columns={"options": "choices", "answer": "answerKey"},
            adapt=_numbered,
            divide=halves,
        ),
        HubDataset(
            name="pubmedqa",
            repository="qiaojin/PubMedQA",
            config="pqa_labeled",
            files={"train": "train"},
            columns={},
            adapt=_pubmedqa,
            divide=pubmedqa_split,
        ),
    )
}
