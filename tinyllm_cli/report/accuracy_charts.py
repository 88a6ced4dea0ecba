"""Charts of accuracies: every method of a data set beside each other, and against the training size or alpha."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.charts import (
    Axis,
    Chart,
    categories,
    decades,
    draw,
    enclosing,
    horizontal,
    layer,
    legend_name,
    levels,
    series,
    vertical,
    wrapped,
)
from tinyllm_cli.report.main_table import Column, MainTable
from tinyllm_cli.report.sweeps import Sweep
from tinyllm_cli.report.table_model import number, short
from tinyllm_cli.training.methods import TITLES

TEACHERS = "teachers"
_ROW = 34  # pixels for one method of one student
_APART = 5.0  # pixels between the points of several series at one x, so that their whiskers don't hide each other


def overview_charts(table: MainTable) -> Iterator[Chart]:
    """For each data set, the accuracy of every method and teacher with its 95 % interval, against chance."""
    for column in table.columns:
        yield _overview(table, column)


def _overview(table: MainTable, column: Column) -> Chart:
    import altair

    shown = [
        (wrapped(line.label), short(block.student), line.entries[column.dataset].arm)
        for block in table.blocks for line in block.lines if column.dataset in line.entries
    ]  # fmt: skip
    shown += [
        (wrapped(line.label), TEACHERS, line.entries[column.dataset].arm)
        for line in table.teachers if column.dataset in line.entries
    ]  # fmt: skip
    students = list(dict.fromkeys(student for _, student, _ in shown))
    slots = _slots([student for student in students if student != TEACHERS])
    rows = [
        {"method": method, "series": legend_name(student), "slot": slots[student], **_figures(arm),
         "hint": f"{student}, {' '.join(method.split())}: {_interval(arm)}"}
        for method, student, arm in shown
    ]  # fmt: skip
    methods = list(dict.fromkeys(method for method, _, _ in shown))
    bounds = [100 * bound for _, _, arm in shown for bound in (arm.low, arm.high)] + [100 * column.chance]
    x = Axis(
        title=f"accuracy in percent; dashed: chance, {number(column.chance)}",
        domain=enclosing(bounds, left=0.03, right=0.16),  # the figure is written right of the interval
    )
    apart = {"yOffset": altair.YOffset("slot:N", sort="ascending")} if len(set(slots.values())) > 1 else {}
    channels = series(students, legend=len(students) > 1)
    ties = [
        {"method": wrapped(line.label), "series": legend_name(student), "slot": slots[student],
         "mean": 100 * arm.mean, "hint": f"{arm.alphas or 'a setting'}: {_interval(arm)}"}
        for block in table.blocks for student in [short(block.student)]
        for line in block.lines if column.dataset in line.entries
        for arm in line.entries[column.dataset].tied
    ]  # fmt: skip
    base = layer(rows).encode(y=categories("method", methods), color=channels["color"], description="hint:N", **apart)
    chance = layer([{"chance": 100 * column.chance, "hint": f"chance: {number(column.chance)} %"}])
    layers = [
        chance.mark_rule(strokeDash=[4, 3]).encode(x=horizontal("chance", x), description="hint:N"),
        base.mark_rule(strokeWidth=1.75).encode(x=horizontal("low", x), x2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=horizontal("mean", x), shape=channels["shape"]),
        base.mark_text(align="left", dx=5).encode(
            x=horizontal("high", x), text="shown:N", color=altair.value("var(--ink)")
        ),
    ]
    if ties:
        layers.append(
            layer(ties).mark_point(filled=False, size=45, strokeWidth=1.5).encode(
                x=horizontal("mean", x), y=categories("method", methods), color=channels["color"], description="hint:N",
                **apart,
            )
        )  # fmt: skip
    per_method = max(sum(method == one for one, _, _ in shown) for method in methods)
    tallest = max(method.count("\n") for method in methods) + 1
    return draw(
        layers,
        f"Accuracy on {column.dataset}, {column.n:,} test questions, scored by {table.scoring}"
        + ("; hollow: settings that valid does not decide between" if ties else ""),
        f"Chance is {number(column.chance)} %. " + "; ".join(str(row["hint"]) for row in rows),
        height=len(methods) * max(_ROW, 22 * per_method, 16 * tallest),
    )


def _slots(students: Sequence[str]) -> dict[str, str]:
    """Where the students of one method are beside each other. Teachers, which have rows of their own, are in the
    middle: between the students, or where the middle one is."""
    between = len(students) % 2 == 0
    middle = len(students) // 2
    places = {student: place + (between and place >= middle) for place, student in enumerate(students)}
    return {student: str(place) for student, place in {**places, TEACHERS: middle}.items()}


def _figures(arm: Arm) -> dict[str, Any]:
    return {"mean": 100 * arm.mean, "low": 100 * arm.low, "high": 100 * arm.high, "shown": number(arm.mean)}


def _interval(arm: Arm) -> str:
    return f"{number(arm.mean)} % ({number(arm.low)} to {number(arm.high)})"


def sweep_chart(sweep: Sweep) -> Chart:
    """Accuracy against the size of the training set (linear) or one teacher's alpha (logarithmic)."""
    x = _sizes(sweep) if sweep.kind == "train-size" else _alphas(sweep)
    lines = [(one.label, [(p.x, p.arm) for p in one.points if p.x > 0 or x.scale == "linear"]) for one in sweep.series]
    labels = [label for label, _ in lines]
    arms = [arm for _, points in lines for _, arm in points] + ([sweep.level] if sweep.level else [])
    y = Axis(
        title="accuracy on test in percent",
        domain=enclosing([100 * bound for arm in arms for bound in (arm.low, arm.high)]),
        nice=True,
    )
    channels = series(labels)
    layers = []
    for place, (label, points) in enumerate(lines):
        rows = [
            {"series": legend_name(label), "x": value, **_figures(arm), "hint": f"{label}: {_hint(sweep, value, arm)}"}
            for value, arm in points
        ]
        shift = _APART * (place - (len(lines) - 1) / 2)
        base = layer(rows).encode(x=horizontal("x", x), color=channels["color"])
        layers += [
            base.mark_rule(xOffset=shift).encode(y=vertical("low", y), y2="high:Q", description="hint:N"),
            base.mark_line(xOffset=shift).encode(y=vertical("mean", y)),
            base.mark_point(filled=True, size=55, opacity=1, xOffset=shift).encode(
                y=vertical("mean", y), shape=channels["shape"], description="hint:N"
            ),
        ]
    layers += _levels(sweep, y)
    return draw(
        layers,
        f"{short(sweep.student)} on {sweep.dataset}, scored by {sweep.scoring}",
        "; ".join(_in_words(sweep, label, points) for label, points in lines),
    )


def _sizes(sweep: Sweep) -> Axis:
    values = _xs(sweep)
    return Axis(
        title="training questions", domain=(0.0, 1.04 * values[-1]), ticks=tuple(values) if len(values) < 9 else ()
    )


def _alphas(sweep: Sweep) -> Axis:
    values = [x for x in _xs(sweep) if x > 0]
    low, high = values[0], values[-1]
    ticks = tuple(values) if len(values) < 9 else decades(low, high)
    return Axis(title="alpha, logarithmic", domain=(low / 1.2, high * 1.2), scale="log", ticks=ticks)


def _xs(sweep: Sweep) -> list[float]:
    return sorted({point.x for line in sweep.series for point in line.points})


def _levels(sweep: Sweep, y: Axis) -> Iterator[Any]:
    """Lines across: full fine-tuning, and chance where the axis reaches it."""
    shown: list[tuple[str, float]] = []
    if sweep.level is not None:
        text = f"{TITLES['finetune']} on {sweep.level.size:,} questions: {number(sweep.level.mean)}"
        shown.append((text, 100 * sweep.level.mean))
    if y.domain[0] <= 100 * sweep.chance <= y.domain[1]:
        shown.append((f"Chance: {number(sweep.chance)}", 100 * sweep.chance))
    yield from level_layer(shown, y)


def level_layer(shown: Sequence[tuple[str, float]], y: Axis) -> Iterator[Any]:
    """Labelled lines across a chart, in one layer; none where there are none."""
    if shown:
        rows: list[Mapping[str, Any]] = [{"level": legend_name(text), "at": at, "hint": text} for text, at in shown]
        channel = levels([text for text, _ in shown])
        yield (
            layer(rows).mark_rule(strokeWidth=2).encode(y=vertical("at", y), strokeDash=channel, description="hint:N")
        )  # fmt: skip


def _hint(sweep: Sweep, x: float, arm: Arm) -> str:
    where = f"{x:,.0f} questions" if sweep.kind == "train-size" else f"alpha {x:g}"
    return f"{where}, {_interval(arm)}"


def _in_words(sweep: Sweep, label: str, points: Sequence[tuple[float, Arm]]) -> str:
    (first, last), best = (points[0], points[-1]), max(points, key=lambda point: point[1].mean)
    return (
        f"{label}: from {_hint(sweep, *first)} to {_hint(sweep, *last)}, highest at {_hint(sweep, *best)}"
    )  # fmt: skip
