"""Which data set and which rationale sets a command means, where the user named only some or none."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.config import match_name
from tinyllm_cli.errors import UsageProblem, choices, command_text
from tinyllm_cli.rationales.correct import RationaleSources, rationale_sources
from tinyllm_cli.rationales.selection import best_covered
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.records.settings import RationaleKind
from tinyllm_cli.store import Store


def dataset_with_rationales(store: Store, split: str, typed: str | None) -> str:
    """The data set of this name, or the only one that has rationales for this split.

    Raises UsageProblem when there is none, or more than one."""
    if typed is not None:
        return match_name(typed, store.questions.names(), "data set")
    found = sorted(store.rationales.datasets_with_rationales(split))
    if len(found) == 1:
        return found[0]
    if not found:
        asking = ("elicit", "--teacher", "NAME", "--dataset", "NAME", *([] if split == "train" else ["--split", split]))
        raise UsageProblem(
            f"No data set has rationales for its {split} split.",
            f"Run: {command_text(*asking)} (or import recorded ones:"
            f" {command_text('import', 'FILE', '--teacher', 'NAME', '--dataset', 'NAME')})",
        )
    raise UsageProblem("Which data set?", f"Name it with --dataset. These have rationales: {choices(found)}.")


def rationale_sets(
    store: Store, dataset: str, split: str, teachers: Sequence[str] = (), icl: int | None = None
) -> list[RationaleSet]:
    """Of each of these teachers, or of all, the rationale set that `distill` trains on by default; with `icl`, among
    those with this number of in-context examples.

    Raises UsageProblem when the split has no rationales, or a teacher is unknown."""
    known, chosen = _known(store, dataset, split, teachers)
    return [best_covered(known, teacher, dataset, icl, split) for teacher in chosen]


def teacher_sources(
    store: Store, place: tuple[str, str], teachers: Sequence[str], kind: RationaleKind, icl: int | None = None
) -> dict[str, RationaleSources]:
    """By teacher, the sets that a kind of rationales comes from, at a `place` (data set, split).

    Raises UsageProblem as `rationale_sets`, and when a teacher has none of this kind."""
    known, chosen = _known(store, *place, teachers)
    return {teacher: rationale_sources(known, teacher, place, kind, icl) for teacher in chosen}


def _known(store: Store, dataset: str, split: str, teachers: Sequence[str]) -> tuple[list[RationaleSet], list[str]]:
    """All sets of a split, and the names of the teachers that were typed, or of all."""
    known = store.rationales.variants(dataset, split)
    names = sorted({one.teacher for one in known})
    if not names:
        splits = store.questions.splits(dataset)
        if split not in splits:
            raise UsageProblem(f"{dataset} has no split '{split}'.", f"It has: {choices(splits)}.")
        raise UsageProblem(
            f"There are no rationales for {dataset}, split {split}.",
            f"Run: {command_text('elicit', '--teacher', 'NAME', '--dataset', dataset, '--split', split)}",
        )
    return known, sorted({match_name(name, names, "teacher") for name in teachers}) or names
