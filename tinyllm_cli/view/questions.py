"""*Questions*: search with facets, and one question with everything that is known of it."""

from __future__ import annotations

from typing import Any

from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.gates.meanings import MEANINGS
from tinyllm_cli.store.question_lookup import Place
from tinyllm_cli.view.page import Html, Json, PageRequest, Reply

_FILTERS = ("words", "dataset", "split", "teacher", "verdict", "gate", "outcome", "run")
_TITLES = {
    "dataset": "Data set", "split": "Split", "teacher": "Teacher", "verdict": "Verdict", "gate": "Gate",
    "outcome": "Answers",
}  # fmt: skip
_OUTCOMES = {"right": "all right", "wrong": "all wrong", "mixed": "methods disagree", "not answered": "not answered"}


def _options(request: PageRequest) -> dict[str, Any]:
    """The search that the address asks for."""
    given: dict[str, Any] = {name: request.one(name) for name in _FILTERS if request.one(name) is not None}
    if "run" in given:
        given["run"] = request.number("run")
    return given


def _at(request: PageRequest, prefix: str = "") -> Place | None:
    """The place that the address names; None without one."""
    parts = [request.one(prefix + name) for name in ("in", "of", "id")]
    if None in parts:
        return None
    dataset, split, key = map(str, parts)
    return Place(dataset=dataset, split=split, key=key, question="", text="")


def page(project: Project, request: PageRequest) -> Reply:
    """A page of the search."""
    wanted = _options(request)
    found = api.search_questions(project, after=_at(request, "after-"), **wanted)
    return Html(
        template="questions.html.j2", title="Questions",
        values={"found": found, "wanted": wanted, "titles": _TITLES, "outcomes": _OUTCOMES},
    )  # fmt: skip


def as_json(project: Project, request: PageRequest) -> Reply:
    """The same for programs: what `tinyllm find --json` prints."""
    return Json(value=api.search_questions(project, after=_at(request, "after-"), **_options(request)))


def one(project: Project, request: PageRequest) -> Reply:
    """One question, with the ones before and after it in the search."""
    place = _at(request)
    if place is None:
        raise UsageProblem("Which question?", "Choose one on the page Questions.")
    places = [found for found in api.find_questions(project, place.key, dataset=place.dataset, split=place.split)
              if found.key == place.key]  # fmt: skip
    if not places:
        raise UsageProblem(f"No question in {place.dataset}/{place.split} has the id {place.key}.")
    wanted = _options(request)
    view = api.inspect_question(project, places[0])
    return Html(
        template="question.html.j2", title=f"Question {place.key}",
        values={
            "view": view, "place": places[0], "wanted": wanted, "explained": MEANINGS,
            "around": api.question_neighbours(project, places[0], **wanted),
        },
    )  # fmt: skip
