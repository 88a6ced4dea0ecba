"""`tinyllm report`: what was measured, in the terminal, as a page, as tables for a paper, or as JSON."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.reporting.audit import AuditSection
    from tinyllm_cli.reporting.data import Report
    from tinyllm_cli.store import Store


@guarded
def report(
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained HTML page here.")] = None,
    md: Annotated[Path | None, typer.Option("--md", help="Write the tables as Markdown here.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables for a LaTeX paper here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write one row for each evaluation here.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Questions to show with their rationales.")] = 5,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show data sets, teachers and their costs, runs and accuracies.

    Example: tinyllm report --html report.html
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with closing(session.open_store(create=False)) as store:
        from tinyllm_cli.reporting.data import collect
        from tinyllm_cli.reporting.tables import report_tables
        from tinyllm_cli.store import runs

        runs.bury_the_dead(store)
        found = collect(store, samples=samples)
        audited = _audited(session, store) if html is not None else None
    for table in report_tables(found):
        session.console.show(table)
    session.console.result(found.as_json())
    _export(session, found, md, latex, csv)
    if html is not None:
        from tinyllm_cli.reporting.page import Sections, html_page

        html.write_text(html_page(found, Sections(audit=audited)), encoding="utf-8")
        session.console.note(f"Report: {html.resolve()}")
    elif not found.results:
        session.console.next("tinyllm eval")
    else:
        session.console.next("tinyllm report --html report.html")


def _export(session: Session, found: Report, md: Path | None, latex: Path | None, csv: Path | None) -> None:
    from tinyllm_cli.reporting import exports

    for path, write in ((md, exports.markdown), (latex, exports.latex), (csv, exports.comma_separated)):
        if path is not None:
            path.write_text(write(found), encoding="utf-8")
            session.console.note(f"Written: {path.resolve()}")


def _audited(session: Session, store: Store) -> AuditSection | None:
    """With the gates that `distill` has by default."""
    from tinyllm_cli.gates import gate_settings
    from tinyllm_cli.reporting.audit import audit_section
    from tinyllm_cli.training import TrainSettings

    return audit_section(store, gate_settings(session.settings.gates, TrainSettings().max_target))
