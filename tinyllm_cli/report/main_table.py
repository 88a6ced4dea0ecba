"""The paper's Table 1: every method on every data set and student, from what was evaluated on test.

Where several settings of a method were tried, such as alphas or teachers, the best on valid represents it; test scores
are not used for selection. Settings that tie on valid are pooled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from statistics import fmean

from tinyllm_cli.report.arms import Arm, pooled
from tinyllm_cli.training.methods import ON_GOLD, TITLES


@dataclass(frozen=True, kw_only=True)
class Column:
    """A data set as the table shows it: `n` test questions, students trained on `size` of `whole` questions. `data`
    changes with these and with the valid split: of a data set that was edited, one state is shown."""

    dataset: str
    n: int
    size: int
    data: str
    whole: int
    chance: float
    majority: float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The arm that represents a method, of `tried` settings, `finalists` of them with the most seeds. `on_valid`: the
    accuracy on valid chose it; else there is nothing to choose, or nothing to choose by. Settings between which valid
    does not decide are `tied`, and `arm` pools them. `best` is among the lines of one student."""

    arm: Arm
    tried: int
    finalists: int
    on_valid: bool
    tied: tuple[Arm, ...] = ()
    best: bool = False

    @property
    def one(self) -> Arm:
        """A single setting: of tied ones the first in the order of their alphas."""
        return self.tied[0] if self.tied else self.arm


@dataclass(frozen=True, kw_only=True)
class MethodLine:
    """A method, or a teacher, by data set. `mean` is over all data sets, None where one is missing."""

    method: str
    treatment: str
    label: str
    entries: Mapping[str, Entry]
    mean: float | None
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class AccuracyGain:
    """How much more accurate line `arm` is than line `against`, relative to the latter, by data set; `mean` of the
    means."""

    arm: str
    against: str
    by_dataset: Mapping[str, float]
    mean: float | None

    @property
    def label(self) -> str:
        return f"{self.arm} over {self.against}"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One student."""

    student: str
    lines: tuple[MethodLine, ...]
    gains: tuple[AccuracyGain, ...]


@dataclass(frozen=True, kw_only=True)
class MainTable:
    """`aside` counts the arms that were trained on another state of a data set than the one shown."""

    scoring: str
    aside: int
    columns: tuple[Column, ...]
    teachers: tuple[MethodLine, ...]
    blocks: tuple[Block, ...]


def scoring_order(scoring: str) -> tuple[int, str]:
    """A key to sort scorings by; one that is not ranked or generated comes last."""
    known = ("rank", "generate")
    return (known.index(scoring) if scoring in known else len(known)), scoring


def main_tables(found: Sequence[Arm], sizes: Mapping[str, int]) -> list[MainTable]:
    """One for each scoring of students on test; none where nothing was evaluated there."""
    tested = [arm for arm in found if arm.split == "test"]
    students = [arm for arm in tested if arm.method in TITLES and arm.trained_on in (None, arm.dataset)]
    tables = []
    for scoring in sorted({arm.scoring for arm in students}, key=scoring_order):
        own = [arm for arm in students if arm.scoring == scoring]
        columns = tuple(_columns(own, sizes))
        teachers = [arm for arm in tested if arm.method == "teacher"]
        tables.append(
            MainTable(
                scoring=scoring,
                aside=sum(_of_another_state(arm, columns) for arm in own),
                columns=columns,
                teachers=tuple(_teachers(teachers, columns, scoring)),
                blocks=tuple(_blocks(own, columns)),
            )
        )
    return tables


def comparable(found: Iterable[Arm], column: Column) -> list[Arm]:
    """Those that were trained on the same questions and answered the same ones, controls left out."""
    return [
        arm for arm in found
        if arm.dataset == column.dataset and arm.n == column.n and not arm.shuffled and arm.icl is None
        and _trained_on(arm, column.size, column.data)
    ]  # fmt: skip


def _trained_on(arm: Arm, size: int, data: str) -> bool:
    """Whether an arm was trained on these questions. Labels and extra context of teachers make other data of them."""
    if arm.method == "inference":
        return True
    return arm.size == size and (arm.method not in ON_GOLD or "" in (arm.data, data) or arm.data == data)


def stands_for(candidates: Sequence[Arm]) -> Entry:
    """Of several settings of a method those with the most seeds, of these the best on valid, of these the one with the
    least loss on valid. Neither age nor test decides: settings that are still equal are pooled.

    States of an untrained model are no settings: the newest is what the model is now."""
    seeds = max(len(arm.seeds) for arm in candidates)
    finalists = [arm for arm in candidates if len(arm.seeds) == seeds]
    known = [arm for arm in finalists if arm.valid is not None]
    if not finalists[0].runs:
        tied = [max(finalists, key=lambda arm: max(arm.evaluations))]
    else:
        tied = _best_on_valid(known) if known else finalists
    tied = sorted(tied, key=lambda arm: (sorted(arm.alpha.items()), arm.recipe, arm.gates, min(arm.evaluations)))
    return Entry(
        arm=tied[0] if len(tied) == 1 else pooled(tied),
        tried=len(candidates),
        finalists=len(finalists),
        on_valid=bool(known),
        tied=tuple(tied) if len(tied) > 1 else (),
    )


def _best_on_valid(known: Sequence[Arm]) -> list[Arm]:
    top = max(arm.valid or 0.0 for arm in known)
    best = [arm for arm in known if isclose(arm.valid or 0.0, top, abs_tol=1e-9)]
    losses = [arm.valid_loss for arm in best if arm.valid_loss is not None]
    return [arm for arm in best if arm.valid_loss == min(losses)] if len(losses) == len(best) else best


def _of_another_state(arm: Arm, columns: Iterable[Column]) -> bool:
    [column] = [one for one in columns if one.dataset == arm.dataset]
    return arm.n == column.n and _trained_on(arm, column.size, "") and not _trained_on(arm, column.size, column.data)


def _columns(students: Sequence[Arm], sizes: Mapping[str, int]) -> Iterator[Column]:
    """Of each data set the questions, and those of training, that most methods have in common; then the most, then
    the newest."""
    for dataset in dict.fromkeys(arm.dataset for arm in _in_order(students)):
        own = [arm for arm in students if arm.dataset == dataset]
        trained = {(arm.size, arm.data) for arm in own if arm.method != "inference"} or {(0, "")}
        held = {
            (size, n, data): [arm for arm in own if arm.n == n and _trained_on(arm, size, data)]
            for size, data in trained for n in {arm.n for arm in own}
        }  # fmt: skip
        (size, n, data), arms = max(held.items(), key=_most_in_common)
        yield Column(
            dataset=dataset, n=n, size=size, data=data, whole=sizes.get(dataset, 0),
            chance=arms[0].chance, majority=arms[0].majority,
        )  # fmt: skip


def _most_in_common(held: tuple[tuple[int, int, str], Sequence[Arm]]) -> tuple[int, int, int, int]:
    (size, n, _), arms = held
    newest = max((max(arm.evaluations) for arm in arms if arm.method != "inference"), default=0)
    return len({(arm.student, arm.method) for arm in arms}), size, n, newest


def _teachers(found: Sequence[Arm], columns: Sequence[Column], scoring: str) -> Iterator[MethodLine]:
    """By the scoring of the students where there is one, else by what they wrote."""
    for name in sorted({arm.student for arm in found}):
        entries = {}
        for column in columns:
            own = [a for a in found if a.student == name and a.dataset == column.dataset and a.n == column.n]
            if own:
                chosen = max(own, key=lambda arm: (arm.scoring == scoring, max(arm.evaluations)))
                tried = sum(arm.scoring == chosen.scoring for arm in own)
                entries[column.dataset] = Entry(arm=chosen, tried=tried, finalists=tried, on_valid=tried == 1)
        if entries:
            yield _line("teacher", "", name, entries, columns)


def _blocks(students: Sequence[Arm], columns: Sequence[Column]) -> Iterator[Block]:
    for student in dict.fromkeys(arm.student for arm in _in_order(students)):
        entries: dict[tuple[str, str], dict[str, Entry]] = defaultdict(dict)
        for column in columns:
            candidates: dict[tuple[str, str], list[Arm]] = defaultdict(list)
            for arm in comparable((arm for arm in students if arm.student == student), column):
                candidates[arm.method, arm.treatment].append(arm)
            for key, own in candidates.items():
                entries[key][column.dataset] = stands_for(own)
        order = sorted(entries, key=lambda key: (list(TITLES).index(key[0]), key[1]))
        lines = [_line(*key, line_name(*key), entries[key], columns) for key in order]
        if lines:
            lines = list(_with_best(lines, columns))
            yield Block(student=student, lines=tuple(lines), gains=tuple(_gains(lines)))


def _in_order(found: Iterable[Arm]) -> list[Arm]:
    """As they were first evaluated."""
    return sorted(found, key=lambda arm: min(arm.evaluations))


def line_name(method: str, treatment: str) -> str:
    return TITLES[method] + (f" + {treatment}" if treatment else "")


def _line(
    method: str, treatment: str, label: str, entries: Mapping[str, Entry], columns: Sequence[Column]
) -> MethodLine:  # fmt: skip
    whole = len(entries) == len(columns) > 1
    mean = fmean(entry.arm.mean for entry in entries.values()) if whole else None
    return MethodLine(method=method, treatment=treatment, label=label, entries=entries, mean=mean)


def _with_best(lines: Sequence[MethodLine], columns: Sequence[Column]) -> Iterator[MethodLine]:
    """Marks the highest of each column, where there is something to be higher than."""
    tops = {
        column.dataset: max(scores, default=None) if len(scores) > 1 else None
        for column in columns
        for scores in [[line.entries[column.dataset].arm.mean for line in lines if column.dataset in line.entries]]
    }
    means = [line.mean for line in lines if line.mean is not None]
    for line in lines:
        entries = {
            name: replace(entry, best=entry.arm.mean == tops[name]) for name, entry in line.entries.items()
        }  # fmt: skip
        yield replace(line, entries=entries, best=len(means) > 1 and line.mean == max(means))


def _gains(lines: Sequence[MethodLine]) -> Iterator[AccuracyGain]:
    """TinyLLM over full fine-tuning, and over the best teacher's Distill-step-by-step of the same treatment."""
    for line in lines:
        if line.method != "tinyllm":
            continue
        for method in ("finetune", "distill-step-by-step"):
            others = [other for other in lines if other.method == method]
            others.sort(key=lambda other: other.treatment != line.treatment)
            if others:
                yield _gain(line, others[0])


def _gain(line: MethodLine, other: MethodLine) -> AccuracyGain:
    by_dataset = {
        name: entry.arm.mean / other.entries[name].arm.mean - 1
        for name, entry in line.entries.items()
        if name in other.entries and other.entries[name].arm.mean > 0
    }
    mean = line.mean / other.mean - 1 if line.mean is not None and other.mean else None
    return AccuracyGain(arm=line.label, against=other.label, by_dataset=by_dataset, mean=mean)
