"""The report as one self-contained HTML page. The template escapes every value: teachers' texts are untrusted."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tinyllm_cli.reporting.data import Report, Result
from tinyllm_cli.reporting.tables import alpha_text, percent


def html_page(report: Report) -> str:
    """The whole page as text: no scripts, no links to anything outside."""
    environment = Environment(
        loader=PackageLoader("tinyllm_cli", "reporting/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.globals["alpha_text"] = alpha_text
    template = environment.get_template("report.html.j2")
    return template.render(report=report, groups=_groups(report.results))


def _groups(results: tuple[Result, ...]) -> list[dict[str, Any]]:
    """Results by set of questions and scoring, with what the template needs of the group."""

    def address(result: Result) -> tuple[str, str, str, int]:
        return result.dataset, result.split, result.scoring, result.n

    groups = []
    for (dataset, split, scoring, n), found in groupby(sorted(results, key=address), key=address):
        rows = list(found)
        groups.append(
            {
                "title": f"{dataset}/{split}, {scoring}, n = {n}",
                "rows": rows,
                "best": max(row.accuracy for row in rows),
                "chance": rows[0].chance,
                "majority": rows[0].majority,
            }
        )
    return groups
