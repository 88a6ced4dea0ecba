"""The paper's parts from the results in a store: main table, ablation, the two figures, and the paired tests."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.errors import at_place
from tinyllm_cli.files import from_here
from tinyllm_cli.report.ablation import Ablation, ablations
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.comparisons import Comparison, Pairing, comparisons
from tinyllm_cli.report.main_table import Block, MainTable, main_tables
from tinyllm_cli.report.paper_figures import Published
from tinyllm_cli.report.sweeps import Sweep, alphas, train_sizes
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class MissingExperiment:
    """A part without data, and the command that produces it."""

    what: str
    command: str


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """Number of trainings of the alpha searches on a data set, by state."""

    dataset: str
    trials: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """`place` are the options with which `tinyllm experiment` adds to this report; `published` are the paper's own
    figures, where they were asked for."""

    tables: tuple[MainTable, ...]
    ablations: tuple[Ablation, ...]
    sizes: tuple[Sweep, ...]
    alphas: tuple[Sweep, ...]
    comparisons: tuple[Comparison, ...]
    searches: tuple[SearchSummary, ...]
    missing: tuple[MissingExperiment, ...]
    place: str = ""
    published: Published | None = None


def paper(store: Store, found: Sequence[Arm], sizes: Mapping[str, int], published: Published | None) -> Paper:
    """`sizes` are the data sets' numbers of training questions."""
    tables = main_tables(found, sizes)
    ablated = ablations(found, tables)
    by_size, by_alpha = train_sizes(found, tables), alphas(found, tables)
    place = _place(store, found)
    pairings = [one for table in tables for block in table.blocks for one in _of_block(block)]
    pairings += [one for ablation in ablated for one in _of_ablation(ablation)]
    return Paper(
        tables=tuple(tables),
        ablations=tuple(ablated),
        sizes=tuple(by_size),
        alphas=tuple(by_alpha),
        comparisons=tuple(comparisons(store, pairings)),
        searches=tuple(_searches(store)),
        missing=tuple(
            MissingExperiment(what=what, command=at_place(f"tinyllm experiment {name}{place}"))
            for what, name, there in (
                ("Comparison of the methods (Table 1)", "table1", tables),
                ("Ablation (Table 2)", "ablation", ablated),
                ("Accuracy against the size of the training set (Figure 2)", "train-size", by_size),
                ("Accuracy against alpha (Figure 3)", "alpha", by_alpha),
            )
            if not there
        ),
        place=place,
        published=published,
    )


def _place(store: Store, found: Sequence[Arm]) -> str:
    """The options for an experiment like the last training: data set, student, and a database that is not the current
    folder's."""
    words = []
    trained = [arm for arm in found if arm.runs and arm.trained_on]
    if trained:
        last = max(trained, key=lambda arm: max(arm.evaluations))
        words += ["--dataset", str(last.trained_on), "--student", from_here(last.student)]
    if store.place != Path("tinyllm.db"):
        words += ["--db", str(store.place)]
    return f" {shlex.join(words)}" if words else ""


def _of_block(block: Block) -> Iterator[Pairing]:
    """Every TinyLLM line against every other line; two TinyLLM lines once."""
    for index, line in enumerate(block.lines):
        if line.method != "tinyllm":
            continue
        for position, other in enumerate(block.lines):
            if other.method != "tinyllm" or position < index:
                pairs = [(entry.arm, other.entries[name].arm) for name, entry in line.entries.items()
                         if name in other.entries]  # fmt: skip
                yield from _apart_and_together("methods", line.label, other.label, block.student, pairs)


def _of_ablation(one: Ablation) -> Iterator[Pairing]:
    for variant in one.variants:
        pairs = [(one.whole[name], arm) for name, arm in variant.arms.items()]
        yield from _apart_and_together("parts and controls", one.label, variant.label, one.student, pairs)


def _apart_and_together(
    part: str, arm: str, against: str, student: str, pairs: Sequence[tuple[Arm, Arm]]
) -> Iterator[Pairing]:  # fmt: skip
    """By data set, and over several data sets together."""
    for pair in pairs:
        yield Pairing(part=part, arm=arm, against=against, student=student, pairs=(pair,))
    if len(pairs) > 1:
        yield Pairing(part=part, arm=arm, against=against, student=student, pairs=tuple(pairs))


def _searches(store: Store) -> Iterator[SearchSummary]:
    by_dataset: dict[str, dict[str, int]] = {}
    for row in store.experiments.trials():
        by_dataset.setdefault(str(row["data_set"]), {})[row["state"]] = row["n"]
    return (SearchSummary(dataset=dataset, trials=trials) for dataset, trials in by_dataset.items())
