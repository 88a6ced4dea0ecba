"""Questions found by their words and by what became of them, with the choices that narrow the search."""

from __future__ import annotations

from dataclasses import dataclass

from tinyllm_cli.datasets.question import SPLITS
from tinyllm_cli.rationales.gates.settings import GATES, HUMAN
from tinyllm_cli.store import Store
from tinyllm_cli.store.question_lookup import Place
from tinyllm_cli.store.question_search import (
    FACETS,
    OUTCOMES,
    VERDICTS,
    FacetName,
    FacetValue,
    FoundQuestion,
    Position,
    QuestionFilter,
)


@dataclass(frozen=True, kw_only=True)
class Facet:
    """A way to narrow a search. `chosen` is the value in effect, null without."""

    name: FacetName
    chosen: str | None
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, kw_only=True)
class QuestionSearch:
    """A page of the questions that were found. `total` is null where counting takes too long; `more`: further ones
    follow the last one."""

    total: int | None
    questions: tuple[FoundQuestion, ...]
    more: bool
    facets: tuple[Facet, ...]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The questions before and after one in the order of a search; null at its ends."""

    previous: Place | None
    next: Place | None


def search(store: Store, wanted: QuestionFilter, *, count: int, after: Position | None, facets: bool) -> QuestionSearch:
    """A page of `count` questions; with `facets`, the choices that narrow the search."""
    found = store.search.page(wanted, count + 1, after=after)
    return QuestionSearch(
        total=store.search.count(wanted),
        questions=tuple(found[:count]),
        more=len(found) > count,
        facets=tuple(_facet(store, name, wanted) for name in FACETS) if facets else (),
    )


def _facet(store: Store, name: FacetName, wanted: QuestionFilter) -> Facet:
    fixed = {"split": SPLITS, "verdict": VERDICTS, "gate": (*GATES, HUMAN), "outcome": OUTCOMES}
    known = fixed.get(name) or (store.questions.names() if name == "dataset" else store.search.teachers())
    return Facet(name=name, chosen=getattr(wanted, name), values=store.search.facet(name, wanted, known))


def neighbours(store: Store, wanted: QuestionFilter, place: Place) -> Neighbours:
    """The questions around `place`, which need not be one that the search finds."""
    here = store.search.position(place)
    if here is None:
        return Neighbours(previous=None, next=None)
    before, after = store.search.page(wanted, 1, before=here), store.search.page(wanted, 1, after=here)
    return Neighbours(previous=before[0] if before else None, next=after[0] if after else None)
