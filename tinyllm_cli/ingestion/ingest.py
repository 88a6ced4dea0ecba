"""The import stage: bring a data set into the store. Knows nothing of teachers or models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from tinyllm_cli.config import Settings
from tinyllm_cli.config.names import check_name
from tinyllm_cli.datasets.catalogue import Source, find_source, unknown_dataset
from tinyllm_cli.datasets.faults import OptionFaults
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Notice
from tinyllm_cli.store import Store

_ENOUGH = 15  # questions of which the first option is never right by chance in one case of seventy, with four options

OnProgress = Callable[[int], None]
"""Called with the number of rows read so far."""


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """`fresh`: False when the store already held exactly this. `warnings`: likely mistakes in what was read."""

    name: str
    origin: str
    splits: dict[str, int]
    fresh: bool
    warnings: tuple[str, ...] = ()


def ingest_named(store: Store, wanted: str, settings: Settings, report: OnProgress | None = None) -> Ingested:
    """Make the data set `wanted` (a name or a path) available in the store, reading it only when it may be new.

    Raises UsageProblem when there is no such data set."""
    known = store.questions.find(wanted)
    if known is not None and wanted not in settings.datasets and wanted != "everyday":
        # Imported before: by its own path, or a local copy in place of the hub's.
        return Ingested(name=wanted, origin=known.source, splits=store.questions.splits(wanted), fresh=False)
    source = find_source(wanted, settings)
    if source is None:
        raise unknown_dataset(wanted, settings, store.questions.names())
    return ingest(store, source, report)


def ingest(store: Store, source: Source, report: OnProgress | None = None) -> Ingested:
    """Bring `source` into the store, all or nothing.

    Raises UsageProblem when another data set has its name, or a row is wrong."""
    check_name(source.name, "data set", "Give it another: --name NAME")
    known = store.questions.find(source.name)
    if known is not None and known.fingerprint == source.fingerprint:
        return Ingested(name=source.name, origin=source.origin, splits=store.questions.splits(source.name), fresh=False)
    if known is not None and known.source not in (source.origin, *source.formerly):
        raise UsageProblem(
            f"The database already has a data set '{source.name}', from {known.source}.",
            "Give this one another name: add --name NAME.",
        )
    faults = OptionFaults()
    rows = faults.counted(_reported(source.read(), report))
    first = list(islice(rows, 1))  # the download happens here, before the store is locked
    with store.atomic():
        if not store.questions.replace(source.name, source.origin, source.fingerprint, chain(first, rows)):
            raise UsageProblem(f"{source.origin} holds no questions.")
    return Ingested(
        name=source.name,
        origin=source.origin,
        splits=store.questions.splits(source.name),
        fresh=True,
        warnings=(*source.notes(), *faults.warnings(source.name)),
    )


def _reported(questions: Iterator[Question], report: OnProgress | None) -> Iterator[Question]:
    for number, question in enumerate(questions, start=1):
        if report is not None and number % 100 == 0:
            report(number)
        yield question


def likely_mistakes(store: Store, dataset: str) -> Iterator[Notice]:
    """Signs of a mistake in the file: answers that look counted from 1, questions that are there more than once."""
    questions = sum(store.questions.splits(dataset).values())
    if questions >= _ENOUGH and store.questions.first_is_never_right(dataset):
        yield Notice(
            message=f"In {dataset} the first option is never the right one.",
            hint="Numbers are read as counted from 0. If the first option is 1, import again with --answers-from 1.",
            warning=True,
        )
    for one in store.questions.repeated(dataset):
        if one.disagree:
            yield Notice(
                message=f"{one.disagree} {one.split} questions of {dataset} are there with two right options:"
                f" {one.key}.",
                warning=True,
            )
        elif one.again:
            yield Notice(
                message=f"{one.again} {one.split} questions of {dataset} are there more than once, such as {one.key}."
            )
