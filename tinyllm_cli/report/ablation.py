"""The paper's Table 2: TinyLLM without one of its parts at a time, and controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.main_table import Column, MainTable, comparable, line_name, stands_for
from tinyllm_cli.training.methods import ON_RATIONALES

WHOLE = "TinyLLM"
NOTHING = "no rationales"
_TAUGHT = ON_RATIONALES | {"finetune"}


@dataclass(frozen=True, kw_only=True)
class AblationVariant:
    """One change, by data set: the arm that has it and is like the whole otherwise."""

    label: str
    arms: Mapping[str, Arm]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One student. `whole` are the arms that the variants lack a part of, by data set."""

    student: str
    scoring: str
    columns: tuple[Column, ...]
    whole: Mapping[str, Arm]
    variants: tuple[AblationVariant, ...]

    @property
    def label(self) -> str:
        """The whole as the main table calls it, where it is the same one on every data set."""
        treatments = {arm.treatment for arm in self.whole.values()}
        return line_name("tinyllm", treatments.pop()) if len(treatments) == 1 else WHOLE


def ablations(found: Sequence[Arm], tables: Sequence[MainTable]) -> list[Ablation]:
    """Of every student that has TinyLLM and a variant of it."""
    made = []
    for table in tables:
        for block in table.blocks:
            own = [a for a in found if a.student == block.student and a.scoring == table.scoring and a.split == "test"]
            one = _ablation(block.student, own, table)
            if one is not None:
                made.append(one)
    return made


def _ablation(student: str, own: Sequence[Arm], table: MainTable) -> Ablation | None:
    whole: dict[str, Arm] = {}
    variants: dict[str, dict[str, Arm]] = {}
    for column in table.columns:
        here = [arm for arm in own if arm.dataset == column.dataset == arm.trained_on]
        here = [arm for arm in here if (arm.n, arm.size) == (column.n, column.size)]
        candidates = [arm for arm in comparable(here, column) if arm.method == "tinyllm"]
        if not candidates:
            continue
        parts = {arm.evaluations: dict(_variants(arm, here)) for arm in candidates}
        most = max(map(len, parts.values()))
        chosen = stands_for([arm for arm in candidates if len(parts[arm.evaluations]) == most]).one
        whole[column.dataset] = chosen
        for label, arm in parts[chosen.evaluations].items():
            variants.setdefault(label, {})[column.dataset] = arm
    if variants.keys() <= {NOTHING}:  # full fine-tuning, which the main table has
        return None
    return Ablation(
        student=student,
        scoring=table.scoring,
        columns=tuple(column for column in table.columns if column.dataset in whole),
        whole=whole,
        variants=tuple(AblationVariant(label=label, arms=by_dataset) for label, by_dataset in variants.items()),
    )


def _variants(whole: Arm, found: Sequence[Arm]) -> Iterator[tuple[str, Arm]]:
    """(what is changed, the arm) for every change of which there is one, all else being the same."""
    alike = [
        arm for arm in found
        if (arm.recipe, arm.data) == (whole.recipe, whole.data) and arm.gates in ("", whole.gates)
        and arm.method in _TAUGHT
    ]  # fmt: skip
    for change in _changes(whole):
        fitting = [arm for arm in alike if Change.of(arm, change.label) == change]
        if fitting:
            yield change.label, stands_for(fitting).arm


@dataclass(frozen=True, kw_only=True)
class Change:
    """What of an arm an ablation changes."""

    label: str
    alpha: Mapping[str, float]
    treatment: str
    icl: int | None = None
    shuffled: bool = False

    @staticmethod
    def of(arm: Arm, label: str) -> Change:
        return Change(
            label=label, alpha=arm.alpha, treatment=arm.treatment, icl=arm.icl, shuffled=arm.shuffled
        )  # fmt: skip


def _changes(whole: Arm) -> Iterator[Change]:
    same = Change.of(whole, WHOLE)
    yield replace(same, label="without in-context examples", icl=0)
    for teacher in whole.alpha:
        rest = {name: weight for name, weight in whole.alpha.items() if name != teacher}
        if len(rest) > 1:
            yield replace(same, label=f"without {teacher}", alpha=rest)
    for teacher, weight in whole.alpha.items():
        others = [name for name in whole.alpha if name != teacher]
        label = f"without {others[0]}: {teacher} alone" if len(others) == 1 else f"{teacher} alone"
        yield replace(same, label=label, alpha={teacher: weight})
    if whole.treatment:
        yield replace(same, label="raw rationales", treatment="")
    yield replace(same, label=NOTHING, alpha={}, treatment="")
    yield replace(same, label="rationales shuffled", shuffled=True)
