"""Check the import of real data sets, which the repository does not hold: python benchmarks/real_data.py FOLDER

FOLDER has `openbookqa` and `pubmedqa` (the TinyLLM authors' layout or one file per split) and `piqa` (the paper's
halves of the validation split, with ids `dev-N`). Prints one line per check and fails at the first wrong figure.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import tinyllm_cli
from tinyllm_cli.datasets.duplicates import repeats
from tinyllm_cli.datasets.hub_presets import halves

COPIES = {"openbookqa": {"valid": (7, 1), "test": (14, 2)}, "pubmedqa": {"valid": (0, 0), "test": (0, 0)}}
"""(the same, nearly the same) questions that train shares with a split."""


def check_import(folder: Path, database: Path) -> None:
    with tinyllm_cli.open_store(database) as project:
        first = tinyllm_cli.import_questions(project, folder / "openbookqa")
        again = tinyllm_cli.import_questions(project, folder / "openbookqa")
    assert first.splits == {"train": 4957, "valid": 500, "test": 500}, first.splits
    whole = {(one.teacher, one.new + one.already) for one in first.teachers if one.split == "train"}
    assert whole == {("flan-t5-xl", 4957), ("llama-2-7b-chat", 4957)}, whole
    assert [one.new for one in again.teachers] == [0] * 4
    print("openbookqa: 4957/500/500 questions, both teachers; a second import changes nothing")


def check_copies(folder: Path, database: Path) -> None:
    with tinyllm_cli.open_store(database) as project:
        for name, expected in COPIES.items():
            dataset = tinyllm_cli.import_questions(project, folder / name, name=f"{name}-copies").dataset
            opened = {split: partial(project.store.questions.iterate, dataset, split) for split in ("train", *expected)}
            found = {one.second: (one.same, one.near) for one in repeats(opened) if one.first == "train"}
            assert {split: found.get(split, (0, 0)) for split in expected} == expected, (name, found)
            print(f"{name}: copies across splits {expected}")


def check_halves(folder: Path) -> None:
    place = halves("validation", 1838)
    for split in ("valid", "test"):
        lines = (folder / "piqa" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        numbers = [int(json.loads(line)["id"].removeprefix("dev-")) for line in lines]
        assert (len(numbers), {place(number) for number in numbers}) == (919, {split})
    print("piqa: the halves of validation are the paper's")


def main() -> None:
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        check_import(folder, Path(temporary) / "import.db")
        check_copies(folder, Path(temporary) / "copies.db")
    check_halves(folder)


if __name__ == "__main__":
    main()
