"""`report`, `full_report` and `compare_runs`: what was measured, as typed results and as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.events import OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.rationales.gates import GateSettings
    from tinyllm_cli.rationales.known_sets import KnownSets
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.report.audit_section import AuditSection
    from tinyllm_cli.report.charts import Chart
    from tinyllm_cli.report.collect import Report
    from tinyllm_cli.report.run_comparison import RunComparison
    from tinyllm_cli.report.scope import Scope


class ReportOptions(TypedDict, total=False):
    """Keywords of `report`."""

    html: Path | None
    """Write one self-contained page here."""

    md: Path | None
    """Write the tables as Markdown here."""

    latex: Path | None
    """Write the tables as LaTeX here."""

    csv: Path | None
    """Write each table as a CSV file into this folder."""

    with_paper: bool
    """Include the paper's own figures; default: False."""

    datasets: Sequence[str]
    """Only these data sets; default: all."""

    runs: Sequence[int]
    """Only these runs, beside teachers and untrained models; default: all."""

    samples: int
    """Case studies per data set; default: 5."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """The collected report, and the files that were written."""

    report: Report
    written: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class FullReport:
    """The collected report, and what its page says on the quality of rationales."""

    report: Report
    audit: AuditSection


def report(project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[ReportOptions]) -> ReportResult:
    """Collect all results with paired tests, and write the files that are named.

    Raises UsageProblem for an unknown data set or run, and for an output that is the database, is not an earlier
    report, or is named twice."""
    from tinyllm_cli.rationales.known_sets import KnownSets
    from tinyllm_cli.report.collect import collect
    from tinyllm_cli.report.outputs import Outputs
    from tinyllm_cli.report.scope import find_scope

    outputs = Outputs(
        html=options.get("html"), md=options.get("md"), latex=options.get("latex"), csv=options.get("csv")
    )
    store = project.store
    outputs.check(store.path)
    store.runs.mark_killed()
    scope = find_scope(store, options.get("datasets", ()), options.get("runs", ()))
    gates = project.gates(True, options.get("max_target", 256))
    assert gates is not None
    sets = KnownSets(store)
    found = collect(
        store, samples=options.get("samples", 5), with_paper=options.get("with_paper", False), gates=gates,
        scope=scope, sets=sets,
    )  # fmt: skip
    audit = _audit(sets, gates, scope, on_event) if outputs.html is not None else None
    return ReportResult(report=found, written=tuple(outputs.write(found, audit)))


def _audit(sets: KnownSets, gates: GateSettings, scope: Scope, on_event: OnEvent) -> AuditSection:
    from tinyllm_cli.report.audit_section import audit_section

    read = 0

    def watch(what: str) -> None:
        nonlocal read
        read += 1
        on_event(Progress(label="report", done=read, detail=what))

    return audit_section(sets.store, gates, watch=watch, scope=scope, sets=sets)


def compare_runs(project: Project, runs: Sequence[int], *, questions: int = 50) -> RunComparison:
    """Runs side by side: settings that differ, accuracies, paired tests, and up to so many `questions` that not all of
    them answer equally well.

    Raises UsageProblem for a run that does not exist, and for fewer than one."""
    from tinyllm_cli.report.run_comparison import compare

    return compare(project.store, _runs(project, runs), questions=questions)


def run_charts(project: Project, runs: Sequence[int]) -> list[Chart]:
    """The training curves of runs, overlaid.

    Raises UsageProblem for a run that does not exist."""
    from tinyllm_cli.report.curves import overlaid

    return overlaid(_runs(project, runs))


def full_report(project: Project, *, on_event: OnEvent = ignore_events, max_target: int = 256) -> FullReport:
    """All that the report's page shows: the results, and the quality of the rationales."""
    from tinyllm_cli.rationales.known_sets import KnownSets

    found = report(project, max_target=max_target).report
    gates = project.gates(True, max_target)
    assert gates is not None
    return FullReport(report=found, audit=_audit(KnownSets(project.store), gates, found.scope, on_event))


def _runs(project: Project, numbers: Sequence[int]) -> list[Run]:
    project.store.runs.mark_killed()
    found = [(number, project.store.runs.find(number)) for number in dict.fromkeys(numbers)]
    missing = [str(number) for number, run in found if run is None]
    if missing or not found:
        raise UsageProblem(
            f"There is no run {', '.join(missing)}." if missing else "Which runs?",
            f"To see them: {command_text('list', 'runs')}",
        )
    return [run for _, run in found if run is not None]
