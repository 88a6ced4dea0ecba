"""The paper's own figures, for comparison."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean

_STUDENTS = {"small": "FLAN-T5 small (80M)", "base": "FLAN-T5 base (250M)", "large": "FLAN-T5 large (780M)"}
_ALIASES = {"openbookqa": "obqa", "arc_challenge": "arc", "arc-challenge": "arc", "riddle": "riddlesense",
            "pqa": "pubmedqa"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishedLine:
    """Accuracies on test, in 0..1, by the paper's data sets."""

    student: str
    method: str
    accuracies: Mapping[str, float]

    def on(self, dataset: str) -> float | None:
        """By a name of ours."""
        name = dataset.lower()
        return self.accuracies.get(_ALIASES.get(name, name))

    def mean(self, datasets: list[str]) -> float | None:
        """None where the paper lacks one of them."""
        found = [accuracy for name in datasets if (accuracy := self.on(name)) is not None]
        return fmean(found) if len(found) == len(datasets) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Published:
    main: tuple[PublishedLine, ...]
    ablation: tuple[PublishedLine, ...]


def published() -> Published:
    return Published(main=tuple(_lines("table1.csv")), ablation=tuple(_lines("table2.csv")))


def paper_student(name: str) -> str | None:
    """The paper's name of a student such as google/flan-t5-small."""
    last = name.rpartition("/")[2].lower()
    return next((ours for size, ours in _STUDENTS.items() if last == f"flan-t5-{size}"), None)


def _lines(name: str) -> Iterator[PublishedLine]:
    text = files("tinyllm_cli").joinpath("data/paper", name).read_text(encoding="utf-8")
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        student, method = row.pop("student"), row.pop("method")
        accuracies = {dataset: float(value) / 100 for dataset, value in row.items()}
        yield PublishedLine(student=student, method=method, accuracies=accuracies)
