"""`search_questions` and `question_neighbours`: questions by their words and by what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, choices, command_text

if TYPE_CHECKING:
    from tinyllm_cli.audit.question_search import Neighbours, QuestionSearch
    from tinyllm_cli.store.question_lookup import Place
    from tinyllm_cli.store.question_search import Outcome, QuestionFilter, SearchVerdict


class SearchOptions(TypedDict, total=False):
    """Keywords of `search_questions` and `question_neighbours`; each restricts the search."""

    words: str
    """Words of the question and its options, all of them, in any case."""

    dataset: str | None
    """In this data set."""

    split: str | None
    """In this split."""

    teacher: str | None
    """With a rationale of this teacher."""

    verdict: SearchVerdict | None
    """With a rationale that has this verdict: of a person, else of the gates. `not judged`: of neither."""

    gate: str | None
    """With a rationale in which this gate found something; `human`: on which a person decided."""

    outcome: Outcome | None
    """By the evaluated answers: all right, all wrong, mixed (the methods disagree), or not answered."""

    run: int | None
    """With `outcome`: by the answers of this run alone."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""


def search_questions(
    project: Project,
    *,
    limit: int = 50,
    after: Place | None = None,
    facets: bool = True,
    **options: Unpack[SearchOptions],
) -> QuestionSearch:
    """Up to `limit` questions to which all options apply, in the order of data set, split and position, from the one
    that follows `after`; with `facets`, the choices that narrow the search, each with the number of its questions. The
    gates' verdicts are those that are stored.

    Raises UsageProblem for a gate or a run that does not exist."""
    from tinyllm_cli.audit.question_search import search

    wanted = _filter(project, options)
    start = None if after is None else project.store.search.position(after)
    return search(project.store, wanted, count=limit, after=start, facets=facets)


def question_neighbours(project: Project, place: Place, **options: Unpack[SearchOptions]) -> Neighbours:
    """The questions before and after one, in the order of `search_questions`."""
    from tinyllm_cli.audit.question_search import neighbours

    return neighbours(project.store, _filter(project, options), place)


def _filter(project: Project, options: SearchOptions) -> QuestionFilter:
    from tinyllm_cli.rationales.gates.settings import GATES, HUMAN
    from tinyllm_cli.store.question_search import OUTCOMES, VERDICTS, QuestionFilter

    checked = (("verdict", VERDICTS), ("gate", (*GATES, HUMAN)), ("outcome", OUTCOMES))
    for name, known in checked:
        if options.get(name) is not None and options.get(name) not in known:
            raise UsageProblem(f"There is no {name} '{options.get(name)}'.", f"There are: {choices(known)}.")
    run = options.get("run")
    if run is not None and project.store.runs.find(run) is None:
        raise UsageProblem(f"There is no run {run}.", f"To see them: {command_text('list', 'runs')}")
    gates = project.gates(True, options.get("max_target", 256))
    assert gates is not None
    given = {name: value for name, value in options.items() if name not in ("words", "max_target")}
    words = tuple(dict.fromkeys(options.get("words", "").split()))[:200]
    return QuestionFilter(gates=gates.hash, words=words, **given)  # type: ignore[arg-type]
