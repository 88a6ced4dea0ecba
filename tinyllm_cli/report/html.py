"""The report as one self-contained HTML page. The template escapes every value: teachers' texts are untrusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tinyllm_cli.errors import command_text
from tinyllm_cli.report.accuracy_charts import overview_charts, sweep_chart
from tinyllm_cli.report.audit_section import AuditSection, audit_sheets, copies_sheet
from tinyllm_cli.report.charts import Chart
from tinyllm_cli.report.collect import Report, comparable_results
from tinyllm_cli.report.concurrency import in_flight_chart
from tinyllm_cli.report.curves import panels
from tinyllm_cli.report.paper_tables import MissingExperiment, Paper
from tinyllm_cli.report.pareto import charts as tradeoff_charts
from tinyllm_cli.report.pareto import tradeoff_sheet
from tinyllm_cli.report.provenance import data_sheets, run_sheet, teacher_sheets
from tinyllm_cli.report.sheets import comparisons_sheet, left_out_sheet, sweep_sheet, table_sheets
from tinyllm_cli.report.table_model import Sheet
from tinyllm_cli.report.terminal import alpha_text, percent
from tinyllm_cli.report.terms import TERMS, anchor, with_terms
from tinyllm_cli.terminal import printable


def html_page(report: Report, audit: AuditSection | None = None) -> str:
    """The whole page as text: no scripts, no links to anything outside. `audit` takes a while to collect, so that it
    may be left out."""
    return environment().get_template("report.html.j2").render(page_values(report, audit))


def page_values(report: Report, audit: AuditSection | None) -> dict[str, Any]:
    """What the sections of the page show, for the templates."""
    sizes = {data.name: data.splits.get("train", 0) for data in report.datasets}
    shown = {
        "overview": [list(overview_charts(table)) for table in report.paper.tables],
        "curves": list(panels(report.runs, sizes)),
        "tradeoffs": [(tradeoff_sheet(one), list(tradeoff_charts(one))) for one in report.tradeoffs],
        "data": data_sheets(report),
        "copies": copies_sheet(audit) if audit and audit.copies else None,
        "teachers": teacher_sheets(report),
        "in_flight": [chart for one in report.asked if (chart := in_flight_chart(one)) is not None],
        "quality": [sheet for survey in audit.surveys for sheet in audit_sheets(survey, report.currency)]
        if audit
        else [],
        "runs": run_sheet(report.runs) if report.runs else None,
        "left_out": left_out_sheet(report.left_out) if report.left_out else None,
    }
    return {
        "report": report,
        "comparisons": comparable_results(report.results),
        "paper": _shown(report.paper),
        "audit": audit,
        "contents": list(_contents(report, shown)),
        **shown,
    }


def environment() -> Environment:
    """What the templates know."""
    made = Environment(
        loader=PackageLoader("tinyllm_cli", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = percent
    made.filters |= {"terms": with_terms, "anchor": anchor}
    made.globals |= {"alpha_text": alpha_text, "command": command_text, "terms": TERMS, "term_names": frozenset(TERMS)}
    return made


def _readable(value: Any) -> Any:
    """What a template puts in, without characters that would show other words in another order."""
    return type(value)(printable(value)) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The paper's parts as the page shows them: `figures` are (title, charts with their numbers)."""

    tables: list[Sheet]
    figures: list[tuple[str, list[tuple[Chart, Sheet]]]]
    comparisons: Sheet | None
    missing: tuple[MissingExperiment, ...]


def _shown(paper: Paper) -> _Shown:
    figures = [
        (title, [(sweep_chart(sweep), sweep_sheet(sweep)) for sweep in sweeps])
        for title, sweeps in (
            ("Accuracy against the size of the training set", paper.sizes),
            ("Accuracy against alpha", paper.alphas),
        )
        if sweeps
    ]
    compared = comparisons_sheet(paper.comparisons) if paper.comparisons else None
    return _Shown(tables=table_sheets(paper), figures=figures, comparisons=compared, missing=paper.missing)


def _contents(report: Report, shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(anchor, title) of every section that is shown, in the page's order."""
    yield "finding", "Finding"
    yield "results", "Results"
    yield "accuracy", "All evaluations"
    if report.cases:
        yield "cases", "Case studies"
    if shown["curves"]:
        yield "curves", "Training curves"
    if shown["tradeoffs"]:
        yield "costs", "Accuracy and cost"
    yield "data", "Data sets"
    yield "teachers", "Teachers"
    if shown["quality"]:
        yield "audit", "Rationale quality"
    yield "provenance", "Provenance"
    yield "terms", "Terms"
