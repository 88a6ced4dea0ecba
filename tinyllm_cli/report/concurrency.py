"""How a hosted teacher's requests in flight went, as a small step plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from tinyllm_cli.records.elicitation import Elicitation

WIDTH, HEIGHT = 200.0, 20.0
_TOLD = 12  # changes that the label spells out


@dataclass(frozen=True, kw_only=True)
class PacePlot:
    """`lines` are SVG polylines in a box of 200 by 20, one for each endpoint; `most` is the top of the box."""

    lines: tuple[str, ...]
    most: int
    label: str


def pace_plot(asked: Elicitation) -> PacePlot | None:
    """None where there is nothing to plot: a local teacher, or nothing was asked."""
    if not asked.concurrency:
        return None
    most = max(change.in_flight for change in asked.concurrency)
    end = max(_seconds(asked), *(change.seconds for change in asked.concurrency), 1e-3)
    by_endpoint = groupby(
        sorted(asked.concurrency, key=lambda change: change.endpoint), key=lambda change: change.endpoint
    )
    lines = tuple(
        _steps([(change.seconds / end, change.in_flight / most) for change in changes]) for _, changes in by_endpoint
    )
    told = [f"{change.in_flight} from {change.seconds:.1f} s ({change.why})" for change in asked.concurrency[:_TOLD]]
    more = len(asked.concurrency) - len(told)
    return PacePlot(
        lines=lines, most=most, label="In flight: " + "; ".join(told) + (f"; {more} more changes" if more else "")
    )


def _steps(points: Sequence[tuple[float, float]]) -> str:
    """Shares of the box as a polyline that runs level until the next point."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    corners.append((1.0, corners[-1][1]))
    return " ".join(f"{WIDTH * x:.1f},{HEIGHT - (HEIGHT - 2) * y - 1:.1f}" for x, y in corners)


def _seconds(asked: Elicitation) -> float:
    if asked.finished is None:
        return 0.0
    return (datetime.fromisoformat(asked.finished) - datetime.fromisoformat(asked.started)).total_seconds()
