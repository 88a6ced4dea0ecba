"""How many requests to a hosted teacher were in flight, as a small step chart."""

from __future__ import annotations

from datetime import datetime

from tinyllm_cli.records.elicitation import Elicitation
from tinyllm_cli.report.charts import Axis, Chart, draw, horizontal, layer, legend_name, series, vertical

_HEIGHT = 60
_DESCRIBED = 12  # changes that the description spells out


def in_flight_chart(asked: Elicitation) -> Chart | None:
    """A step line for each endpoint; None for a local teacher, which has no limit of requests."""
    if not asked.concurrency:
        return None
    end = max(_seconds(asked), *(change.seconds for change in asked.concurrency), 1e-3)
    endpoints = sorted({change.endpoint for change in asked.concurrency})
    rows = [
        {"series": legend_name(change.endpoint), "x": change.seconds, "y": change.in_flight,
         "hint": f"{change.in_flight} from {change.seconds:.1f} s ({change.why})"}
        for change in asked.concurrency
    ]  # fmt: skip
    last = {str(row["series"]): row["y"] for row in rows}
    rows += [{"series": name, "x": end, "y": limit, "hint": f"{limit} at the end"} for name, limit in last.items()]
    x = Axis(title="seconds", domain=(0.0, 1.02 * end))
    y = Axis(title="", domain=(0.0, 1.05 * max(change.in_flight for change in asked.concurrency)))
    color = series(endpoints)["color"]
    base = layer(rows).encode(x=horizontal("x", x), y=vertical("y", y), color=color)
    changes = [
        f"{change.in_flight} from {change.seconds:.1f} s ({change.why})" for change in asked.concurrency[:_DESCRIBED]
    ]
    more = len(asked.concurrency) - len(changes)
    return draw(
        [base.mark_line(interpolate="step-after"), base.mark_point(filled=True, size=12).encode(description="hint:N")],
        f"Requests in flight to {asked.teacher}",
        "; ".join(changes) + (f"; {more} more changes" if more else ""),
        height=_HEIGHT,
    )


def _seconds(asked: Elicitation) -> float:
    if asked.finished is None:
        return 0.0
    return (datetime.fromisoformat(asked.finished) - datetime.fromisoformat(asked.started)).total_seconds()
