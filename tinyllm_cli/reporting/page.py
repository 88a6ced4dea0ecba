"""The report as one self-contained HTML page. The template escapes every value: teachers' texts are untrusted."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from tinyllm_cli.reporting.audit import AuditSection
from tinyllm_cli.reporting.data import Report, comparisons
from tinyllm_cli.reporting.pace import pace_plot
from tinyllm_cli.reporting.tables import alpha_text, p_text, percent


@dataclass(frozen=True, kw_only=True)
class Sections:
    """Parts of the page that take a while to collect; None leaves one out."""

    audit: AuditSection | None = None


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
    environment.filters["p_text"] = p_text
    environment.globals["alpha_text"] = alpha_text
    environment.globals["pace_plot"] = pace_plot
    template = environment.get_template("report.html.j2")
    return template.render(report=report, comparisons=comparisons(report.results), sections=sections)
