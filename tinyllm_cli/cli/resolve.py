"""Which student, data set or teachers a command means, and how a student is loaded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.cli.session import Session
    from tinyllm_cli.records.elicitation import RationaleSet
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.store import Store
    from tinyllm_cli.students.base import Student


def run_with_student(store: Store, run_id: int | None) -> Run:
    """The run of this number, or the latest finished one.

    Raises UsageProblem when there is none, and WorldProblem when its student is gone."""
    from tinyllm_cli.errors import UsageProblem, WorldProblem, choices

    run = store.runs.latest() if run_id is None else store.runs.find(run_id)
    if run is None:
        known = choices([one.id for one in store.runs.everything()])
        if run_id is None:
            raise UsageProblem("The database has no finished run yet.", "Run: tinyllm distill")
        raise UsageProblem(f"There is no run {run_id}.", f"Runs: {known}.")
    if not (Path(run.folder) / "config.json").exists():
        raise WorldProblem(
            f"Run {run.id} ({run.state}) has no student at {run.folder or 'any place'}.",
            "Train it again: " + run.command,
        )
    return run


def dataset_with_rationales(session: Session, store: Store, split: str, typed: str | None) -> str:
    """The data set of this name, or the only one that has rationales for this split.

    Raises UsageProblem when there is none, or more than one."""
    from tinyllm_cli.config.names import match_name
    from tinyllm_cli.errors import UsageProblem, choices

    wrote = sorted(store.rationales.datasets_with_rationales(split))
    if typed is not None:
        return match_name(typed, store.questions.names(), "data set")
    if len(wrote) == 1:
        session.console.note(f"Data set: {wrote[0]} (the only one with rationales).")
        return wrote[0]
    if not wrote:
        raise UsageProblem(
            f"There are no rationales for any data set's {split} split.", "Run: tinyllm elicit, or tinyllm import"
        )
    raise UsageProblem("Which data set?", f"Say it with --dataset. There are rationales for: {choices(wrote)}.")


def variants_of(store: Store, dataset: str, split: str, typed: list[str], icl: int | None = None) -> list[RationaleSet]:
    """The way of asking each of these teachers, or of all, that `distill` would learn from; with `icl`, among those
    with so many in-context examples."""
    from tinyllm_cli.config.names import match_name
    from tinyllm_cli.errors import UsageProblem, choices
    from tinyllm_cli.rationales.selection import best_covered

    known = store.rationales.variants(dataset, split)
    wrote = sorted({variant.teacher for variant in known})
    if not wrote:
        splits = store.questions.splits(dataset)
        if split not in splits:
            raise UsageProblem(f"{dataset} has no split '{split}'.", f"It has: {choices(splits)}.")
        raise UsageProblem(
            f"There are no rationales for {dataset}, split {split}.",
            f"Run: tinyllm elicit --teacher TEACHER --dataset {dataset} --split {split}",
        )
    teachers = sorted({match_name(name, wrote, "teacher") for name in typed}) or wrote
    return [best_covered(known, teacher, dataset, icl, split) for teacher in teachers]


def resolved(model: str) -> str:
    """A local model by its absolute path: what is recorded of it means the same from another folder, and however the
    path was typed."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.exists() else model


def loader(model: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Callable[[], Student]:
    """Loads the model on the first call, and remembers it for the next."""

    @cache
    def load() -> Student:
        from tinyllm_cli.students.loading import load_student

        return load_student(model, revision=revision, trust_remote_code=trust_remote_code)

    return load
