"""`tinyllm report`: what was measured, in the terminal, as a page, as tables for a paper, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.completion import dataset_names, run_numbers
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, MaxTarget, Quiet
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import command_text

if TYPE_CHECKING:
    from tinyllm_cli.report.collect import Report
    from tinyllm_cli.report.paper_tables import Paper

_FEW = 40  # evaluations that a terminal shows one by one
_PLOTS = 4


@guarded
def report(
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained HTML page here.")] = None,
    md: Annotated[Path | None, typer.Option("--md", help="Write the tables as Markdown here.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables as LaTeX here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write each table as a CSV file into this folder.")] = None,
    with_paper: Annotated[bool, typer.Option("--with-paper", help="Put the paper's own figures beside.")] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="Only this data set. Repeatable.", autocompletion=dataset_names),
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", help="Only this run, with teachers and untrained models. Repeatable.",
                     autocompletion=run_numbers),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Case studies to show for each data set.")] = 5,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Show the paper's tables and figures for your runs, with paired tests; and data, teachers, costs and runs.

    Example: tinyllm report --html report.html
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    with session.project() as project, console.events() as on_event:
        made = api.report(
            project, html=html, md=md, latex=latex, csv=csv, with_paper=with_paper, datasets=dataset or (),
            runs=run or (), samples=samples, max_target=max_target, on_event=on_event,
        )  # fmt: skip
    found = made.report
    _show(console, found)
    if found.left_out:
        whys = "; ".join(sorted({one.why for one in found.left_out}))
        console.warn(
            f"{len(found.left_out)} evaluations are not in tables and comparisons: {whys}.",
            f"Finish the runs, or evaluate them again, with: {command_text('eval')} (the files list them).",
        )
    console.result(found.as_json())
    for path in made.written:
        console.note(f"Written: {path.resolve()}")
    if csv is not None and csv not in made.written:
        console.note(f"No file in {csv.resolve()}: there are no rows yet.")
    if not found.results:
        begun = "tinyllm distill" if found.teachers else "tinyllm elicit --teacher expert --dataset everyday"
        console.next("tinyllm eval" if found.runs else begun)
    elif found.paper.missing:
        console.next(found.paper.missing[0].command)
    elif html is None:
        console.next("tinyllm report --html report.html")
    else:
        console.next("tinyllm export")


def _show(console: Console, found: Report) -> None:
    """The finding first, then the details. Many single evaluations are left to the files."""
    from tinyllm_cli.cli.views.report import finding_text, overview_plots
    from tinyllm_cli.report.terminal import accuracy_tables, report_tables

    if console.json:
        return
    if found.scope.in_words:
        console.say(found.scope.in_words)
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
