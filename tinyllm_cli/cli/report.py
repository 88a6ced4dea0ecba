"""`tinyllm report`: what was measured, in the terminal, as a page, as tables for a paper, or as JSON."""

from __future__ import annotations

from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, MaxTarget, Quiet
from tinyllm_cli.cli.session import Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.rationales.gates import GateSettings
    from tinyllm_cli.report.audit_section import AuditSection
    from tinyllm_cli.report.collect import Report
    from tinyllm_cli.report.paper_tables import Paper
    from tinyllm_cli.store import Store

_FEW = 40  # evaluations that a terminal shows one by one
_PLOTS = 4


@guarded
def report(
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained HTML page here.")] = None,
    md: Annotated[Path | None, typer.Option("--md", help="Write the tables as Markdown here.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables as LaTeX here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write each table as a CSV file into this folder.")] = None,
    with_paper: Annotated[bool, typer.Option("--with-paper", help="Put the paper's own figures beside.")] = False,
    samples: Annotated[int, typer.Option(min=0, help="Case studies to show for each data set.")] = 5,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the paper's tables and figures of what was measured, with paired tests; and data, teachers, costs, runs.

    Example: tinyllm report --html report.html
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with closing(session.open_store(create=False)) as store:
        from tinyllm_cli.rationales.gates import gate_settings
        from tinyllm_cli.report.collect import collect
        from tinyllm_cli.report.outputs import Outputs

        outputs = Outputs(html=html, md=md, latex=latex, csv=csv)
        outputs.check(store.path)

        store.runs.mark_killed()
        gates = gate_settings(session.settings.gates, max_target)
        found = collect(store, samples=samples, with_paper=with_paper, gates=gates)
        audit = _audit(session, store, gates) if html is not None else None
    _show(session, found)
    if found.left_out:
        whys = "; ".join(sorted({one.why for one in found.left_out}))
        session.console.warn(
            f"{len(found.left_out)} evaluations are left out of tables and comparisons: {whys}.",
            "Finish the runs, or evaluate them again, with: tinyllm eval. The files list them.",
        )
    session.console.result(found.as_json())
    written = []
    for path in outputs.write(found, audit):
        session.console.note(f"Written: {path.resolve()}")
        written.append(path)
    if csv is not None and csv not in written:
        session.console.note(f"No file in {csv.resolve()}: there are no rows yet.")
    if not found.results:
        begun = "tinyllm distill" if found.teachers else "tinyllm elicit --teacher expert --dataset everyday"
        session.console.next("tinyllm eval" if found.runs else begun)
    elif found.paper.missing:
        session.console.next(found.paper.missing[0].command)
    elif html is None:
        session.console.next("tinyllm report --html report.html")
    else:
        session.console.next("tinyllm export")


def _show(session: Session, found: Report) -> None:
    """The finding first, then the details. Many single evaluations are left to the files."""
    from tinyllm_cli.cli.views.report import finding_text, overview_plots
    from tinyllm_cli.report.terminal import accuracy_tables, report_tables

    console = session.console
    if console.json:
        return
    console.show(finding_text(found.finding))
    for plot in list(overview_plots(found.paper, console.width))[:_PLOTS]:
        console.say(plot)
    few = len(found.results) <= _FEW
    for table in [*report_tables(found), *(accuracy_tables(found.results) if few else ())]:
        console.show(table)
    if not few:
        console.say(f"{len(found.results)} evaluations: --html, --csv and --json list each of them.")
    _show_paper(console, found.paper)
    for part in found.paper.missing:
        console.note(f"{part.what}: no data yet. Run: {part.command}")


def _show_paper(console: Console, paper: Paper) -> None:
    from tinyllm_cli.cli.views.report import sheet_table, sweep_plots
    from tinyllm_cli.report.sheets import comparisons_sheet, table_sheets
    from tinyllm_cli.report.table_model import by_group

    for sheet in table_sheets(paper):
        console.show(sheet_table(sheet))
    drawn = list(sweep_plots(paper, console.width))
    for plot in drawn[:_PLOTS]:
        console.say(plot)
    if len(drawn) > _PLOTS:
        console.say(f"{len(drawn) - _PLOTS} more plots: see --html.")
    if paper.comparisons:
        for group in by_group(comparisons_sheet(paper.comparisons)):
            console.show(sheet_table(group))


def _audit(session: Session, store: Store, gates: GateSettings) -> AuditSection:
    """Reads every rationale, which takes a while where there are many."""
    from tinyllm_cli.report.audit_section import audit_section

    with session.console.meter("report") as meter:
        read = count(1)
        return audit_section(store, gates, watch=lambda what: meter(next(read), 0, what))
