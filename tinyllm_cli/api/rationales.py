"""`gate`, `find_questions` and `inspect_question`: facts on rationales before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.events import Notice, OnEvent, ignore_events
from tinyllm_cli.iteration import processors

if TYPE_CHECKING:
    from tinyllm_cli.audit.question_view import QuestionView
    from tinyllm_cli.rationales.gate_summary import GateResult
    from tinyllm_cli.store.question_lookup import Place


class GateOptions(TypedDict, total=False):
    """Keywords of `gate`."""

    dataset: str | None
    """Default: the only data set with rationales for the split."""

    split: str
    """train, valid or test; default: train."""

    teachers: Sequence[str]
    """Names or unambiguous beginnings; default: all."""

    limit: int | None
    """Only the first N questions; default: all."""

    max_target: int
    """Longest target of the student in tokens, for the gate too-long; default: 256."""

    show: str | None
    """Return examples of this gate's findings; `human`: of human verdicts."""

    examples: int
    """How many examples of each teacher; default: 3."""

    jobs: int | None
    """Processes that judge 10,000 rationales and more; None: one for each processor; default: 1. Several need a program
    with `if __name__ == "__main__":`."""


def gate(project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[GateOptions]) -> GateResult:
    """Apply the gates: each rationale is kept, repaired or rejected. Verdicts are stored, and `distill` uses them.

    Raises UsageProblem for an unknown gate, data set or teacher."""
    from tinyllm_cli.rationales.gate_summary import GateQuery, Shown, summarize
    from tinyllm_cli.rationales.gates.settings import GATES, HUMAN
    from tinyllm_cli.rationales.rationale_sets import rationale_sets

    show = options.get("show")
    if show is not None and show not in (*GATES, HUMAN):
        raise UsageProblem(
            f"There is no gate '{show}'.", f"Gates: {choices(GATES)}; {HUMAN} shows what people decided."
        )
    split = options.get("split", "train")
    dataset = dataset_of(project, split, options.get("dataset"), on_event)
    settings = project.gates(True, options.get("max_target", 256))
    assert settings is not None
    jobs = options.get("jobs", 1) or processors()
    query = GateQuery(dataset=dataset, split=split, limit=options.get("limit"), settings=settings, jobs=jobs)
    sets = rationale_sets(project.store, dataset, split, options.get("teachers", ()))
    return summarize(project.store, query, sets, Shown(gate=show, count=options.get("examples", 3)), on_event)


def find_questions(
    project: Project, wanted: str, *, dataset: str | None = None, split: str | None = None
) -> list[Place]:
    """Every place of the questions that `wanted` means: an id, six or more digits of a hash, or words of the question.

    Raises UsageProblem when there is none."""
    lookup = project.store.lookup
    places = lookup.places(wanted, dataset, split)
    if places:
        return places
    elsewhere = lookup.places(wanted, None, None)
    where = "/".join(filter(None, (dataset, split))) or "the database"
    hint = "Give its id, the first six digits or more of its hash, or some of its words."
    if elsewhere:
        hint = f"It is in: {choices({f'{place.dataset}/{place.split}' for place in elsewhere})}."
    shown = wanted if len(wanted) <= 200 else f"{wanted[:200]}..."
    raise UsageProblem(f"No question in {where} has the id or the words '{shown}'.", hint)


def inspect_question(project: Project, place: Place, *, max_target: int = 256) -> QuestionView:
    """Everything the database holds about one question: rationales with what the gates cut, and all answers."""
    from tinyllm_cli.audit.question_view import question_view

    gates = project.gates(True, max_target)
    assert gates is not None
    return question_view(project.store, place, gates)


def dataset_of(project: Project, split: str, typed: str | None, on_event: OnEvent) -> str:
    """The data set of this name, or the only one with rationales for the split, which is reported."""
    from tinyllm_cli.rationales.rationale_sets import dataset_with_rationales

    found = dataset_with_rationales(project.store, split, typed)
    if typed is None:
        on_event(Notice(message=f"Data set: {found} (the only one with rationales)."))
    return found
