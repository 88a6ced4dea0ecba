"""The report as one self-contained HTML page. The template escapes every value: teachers' texts are untrusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from tinyllm_cli.reporting.audit import AuditSection
from tinyllm_cli.reporting.cells import Sheet
from tinyllm_cli.reporting.data import Report, comparisons
from tinyllm_cli.reporting.drawing import Plot
from tinyllm_cli.reporting.pace import pace_plot
from tinyllm_cli.reporting.paper import Missing, Paper
from tinyllm_cli.reporting.plots import plot
from tinyllm_cli.reporting.sheets import contests_sheet, sweep_sheet, table_sheets
from tinyllm_cli.reporting.tables import alpha_text, percent


@dataclass(frozen=True, kw_only=True)
class Sections:
    """Parts of the page that take a while to collect; each is shown by the partial of its name, `_data.html.j2` and so
    on. None leaves one out, or shows plainly what the report itself holds of it."""

    audit: AuditSection | None = None
    data: object | None = None
    teachers: object | None = None
    cases: object | None = None
    curves: object | None = None
    pareto: object | None = None
    provenance: object | None = None


NO_SECTIONS = Sections()


def html_page(report: Report, sections: Sections = NO_SECTIONS) -> str:
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
    environment.globals["pace_plot"] = pace_plot
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        comparisons=comparisons(report.results),
        paper=_shown(report.paper),
        sections=sections,
        contents=list(_contents(report, sections)),
    )


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The paper's parts as the page shows them: `figures` are (kind, title, plots with their numbers)."""

    tables: list[Sheet]
    figures: list[tuple[str, str, list[tuple[Plot, Sheet]]]]
    comparisons: Sheet | None
    missing: tuple[Missing, ...]


def _shown(paper: Paper) -> _Shown:
    figures = [
        (kind, title, [(plot(sweep), sweep_sheet(sweep)) for sweep in sweeps])
        for kind, title, sweeps in (
            ("train-size", "Accuracy against the size of the training set", paper.sizes),
            ("alpha", "Accuracy against alpha", paper.alphas),
        )
        if sweeps
    ]
    compared = contests_sheet(paper.contests) if paper.contests else None
    return _Shown(tables=table_sheets(paper), figures=figures, comparisons=compared, missing=paper.missing)


def _contents(report: Report, sections: Sections) -> Iterator[tuple[str, str]]:
    """(anchor, title) of every section that is shown, in the page's order."""
    yield "results", "Results"
    yield "accuracy", "Every evaluation"
    if sections.cases:
        yield "cases", "Case study"
    if sections.curves:
        yield "curves", "Learning curves"
    if sections.pareto:
        yield "pareto", "Cost and accuracy"
    yield "data", "Data sets"
    yield "teachers", "Teachers"
    if sections.audit:
        yield "audit", "What there is to learn from"
    if not sections.cases:
        yield "cases", "Rationales"
    yield ("provenance", "Provenance") if sections.provenance else ("runs", "Runs")
