"""Which questions an audit reads: all of a split, or a random sample of a large one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.store import Store

Opened = Callable[[], Iterator[Question]]
"""Starts to read questions of one split, in its order."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How many questions of each split are read, drawn at random; None: all. `texts`: those whose rationales are read,
    and which a student's tokenizer measures. `questions`: those that are compared with each other. `verdicts`: count
    all stored verdicts, also of rationales that are not read."""

    texts: int | None = None
    questions: int | None = None
    verdicts: bool = True


WHOLE_SPLITS = Reading()


def opened(store: Store, dataset: str, count: int | None = None) -> dict[str, Opened]:
    """By split, a function that starts to read its questions, or a sample of `count`."""
    splits = store.questions.splits(dataset)
    if count is None:
        return {split: partial(store.questions.iterate, dataset, split) for split in splits}
    return {split: partial(store.samples.iterate, dataset, split, count) for split in splits}


def sample_sizes(store: Store, dataset: str, count: int | None) -> dict[str, int]:
    """The number of questions in the sample of each split that is larger than `count`."""
    if count is None:
        return {}
    sizes = store.questions.splits(dataset)
    found = {split: len(store.samples.positions(dataset, split, count)) for split in sizes if sizes[split] > count}
    return {split: read for split, read in found.items() if read < sizes[split]}
