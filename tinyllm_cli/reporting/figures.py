"""The paper's Figures 2 and 3 from experiments: accuracy against the training set's size, and against each alpha."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from tinyllm_cli.reporting.plot import Plot, Point, Series, plot
from tinyllm_cli.store import Store
from tinyllm_cli.store import experiments as stored_experiments
from tinyllm_cli.store.experiments import StoredCell

if TYPE_CHECKING:
    from tinyllm_cli.reporting.data import Result

_Curves: TypeAlias = "dict[str, dict[float, list[Result]]]"


def figures(store: Store, results: Mapping[int, Result]) -> tuple[Plot, ...]:
    """One plot for each data set and student of every experiment train-size or alpha that has results. `results` are
    by evaluation."""
    found: list[Plot] = []
    for name, draw in (("train-size", _train_size), ("alpha", _alpha)):
        grouped: dict[tuple[str, str], list[StoredCell]] = defaultdict(list)
        for cell in stored_experiments.cells_of(store, name):
            if cell.evaluation in results:
                grouped[str(cell.label["dataset"]), str(cell.label["student"])].append(cell)
        for (dataset, student), cells in grouped.items():
            drawn = draw(f"{dataset}, {student.rpartition('/')[2]}", cells, results)
            found += [drawn] if drawn else []
    return tuple(found)


def _train_size(where: str, cells: Sequence[StoredCell], results: Mapping[int, Result]) -> Plot | None:
    curves: _Curves = defaultdict(lambda: defaultdict(list))
    whole: list[float] = []
    for cell in cells:
        assert cell.evaluation is not None
        result = results[cell.evaluation]
        if cell.label["method"] == "finetune":
            whole.append(result.accuracy)
            continue
        teacher = f", {cell.label['teacher']}" if "teacher" in cell.label else ""
        curves[f"{cell.label['method']}{teacher}"][float(cell.label["fraction"])].append(result)
    if not curves:
        return None
    levels = [("full fine-tuning", fmean(whole))] if whole else []
    return plot(f"Training set size: {where}", "share of the training set", _series(curves), levels, percent_x=True)


def _alpha(where: str, cells: Sequence[StoredCell], results: Mapping[int, Result]) -> Plot | None:
    curves: _Curves = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        assert cell.evaluation is not None
        curves[f"alpha of {cell.label['teacher']}"][float(cell.label["alpha"])].append(results[cell.evaluation])
    return plot(f"Alpha: {where}", "alpha, the other teachers' as they are", _series(curves), logarithmic=True)


def _series(curves: _Curves) -> list[Series]:
    """Means over seeds, with the mean of their Wilson intervals' ends."""
    return [
        Series(
            name=name,
            points=tuple(
                Point(
                    x=x, y=fmean(one.accuracy for one in own), low=fmean(one.low for one in own),
                    high=fmean(one.high for one in own),
                )
                for x, own in sorted(points.items())
            ),
        )
        for name, points in curves.items()
    ]  # fmt: skip
