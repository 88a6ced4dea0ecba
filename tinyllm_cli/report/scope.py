"""Which part of a store a report shows: some data sets, some runs, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Empty `datasets` and `runs` leave nothing out. With `runs`, teachers and untrained models stay: runs are
    compared with them."""

    datasets: tuple[str, ...] = ()
    runs: tuple[int, ...] = ()

    def has_dataset(self, name: str) -> bool:
        return not self.datasets or name in self.datasets

    def has_run(self, run: Run) -> bool:
        return self.has_dataset(run.dataset) and (not self.runs or run.id in self.runs)

    def has_evaluation(self, one: Evaluation) -> bool:
        run = one.subject.run
        return self.has_dataset(one.dataset) and (run is None or not self.runs or run in self.runs)

    @property
    def in_words(self) -> str:
        """Empty where nothing is left out."""
        parts = [f"data set{'s' if len(self.datasets) > 1 else ''} {', '.join(self.datasets)}"] if self.datasets else []
        parts += [f"run{'s' if len(self.runs) > 1 else ''} {', '.join(map(str, self.runs))}"] if self.runs else []
        return f"Only {' and '.join(parts)}." if parts else ""


WHOLE = Scope()


def find_scope(store: Store, datasets: Sequence[str], runs: Sequence[int]) -> Scope:
    """The scope of these names and numbers. Runs without data sets mean the data sets that they were trained on.

    Raises UsageProblem for a name or number that the database does not have, and runs of other data sets."""
    known = {run.id: run for run in store.runs.everything()}
    names = store.questions.names()
    for name in datasets:
        if name not in names:
            raise UsageProblem(f"There is no data set '{name}'.", f"Data sets: {choices(names)}.")
    for number in runs:
        if number not in known:
            raise UsageProblem(f"There is no run {number}.", f"Runs: {choices(list(known))}.")
        if datasets and known[number].dataset not in datasets:
            raise UsageProblem(
                f"Run {number} was trained on {known[number].dataset}.", "Add that data set, or leave the run out."
            )
    wanted = datasets or [known[number].dataset for number in runs]
    return Scope(datasets=tuple(dict.fromkeys(wanted)), runs=tuple(dict.fromkeys(runs)))
