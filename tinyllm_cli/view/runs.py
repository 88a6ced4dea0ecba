"""*Runs*: all of them, and two or more side by side."""

from __future__ import annotations

from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.view.page import Html, PageRequest, Reply

_MOST = 6
"""More curves in one picture are hard to tell apart."""


def page(project: Project, _request: PageRequest) -> Reply:
    """The runs, the newest first, to choose from."""
    runs = api.inventory(project, "runs").runs or ()
    return Html(template="runs.html.j2", title="Runs", values={"runs": runs[::-1]})


def compare(project: Project, request: PageRequest) -> Reply:
    """The chosen runs: settings that differ, curves, paired tests, and questions with different outcomes."""
    numbers = request.numbers("run")
    if not 1 <= len(numbers) <= _MOST:
        raise UsageProblem(f"Choose one to {_MOST} runs.", "On the page Runs.")
    found = api.compare_runs(project, numbers)
    accuracies: dict[tuple[str, str, str, int], dict[int, object]] = {}
    for one in found.accuracies:
        accuracies.setdefault((one.dataset, one.split, one.scoring, one.n), {})[one.run] = one
    *others, last = [str(one.id) for one in found.runs]
    title = f"Runs {', '.join(others)} and {last}" if others else f"Run {last}"
    return Html(
        template="compare.html.j2", title=title,
        values={"found": found, "accuracies": accuracies, "charts": api.run_charts(project, numbers)},
    )  # fmt: skip
