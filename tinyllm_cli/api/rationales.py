"""`gate`, `audit`, `usefulness`, `leakage` and `inspect_question`: what is known about rationales before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.events import Notice, OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.audit.audit import Audit
    from tinyllm_cli.audit.measure import Measure
    from tinyllm_cli.audit.question_view import QuestionView
    from tinyllm_cli.rationales.gate_summary import GateResult
    from tinyllm_cli.rationales.usefulness_summary import LeakageResult, Scoring, TextQuery, UsefulnessResult
    from tinyllm_cli.records.elicitation import RationaleSet
    from tinyllm_cli.store.question_lookup import Place

DEFAULT_STUDENT = "google/flan-t5-small"


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
    dataset = _dataset(project, split, options.get("dataset"), on_event)
    settings = project.gates(True, options.get("max_target", 256))
    assert settings is not None
    query = GateQuery(dataset=dataset, split=split, limit=options.get("limit"), settings=settings)
    sets = rationale_sets(project.store, dataset, split, options.get("teachers", ()))
    return summarize(project.store, query, sets, Shown(gate=show, count=options.get("examples", 3)), on_event)


class AuditOptions(TypedDict, total=False):
    """Keywords of `audit`."""

    datasets: Sequence[str]
    """Default: all data sets with rationales for training questions."""

    student: str | None
    """Whose tokenizer measures lengths; default: flan-t5-small where it is available, else characters."""

    max_input: int
    """The student's longest input in tokens; default: 1024."""

    max_target: int
    """The student's longest target in tokens; default: 256."""

    gates: bool
    """Count what the gates keep; default: True. False: all texts."""

    allowed: Sequence[str]
    """Checks whose findings are warnings, never errors."""

    must_measure: bool
    """Raise UsageProblem when no tokenizer is available; default: False."""

    trust_remote_code: bool
    """Run code that comes with the student; default: False."""


def audit(project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[AuditOptions]) -> Audit:
    """Check rationales and questions before training: missing, unfit or truncated rationales, leaks from the test
    split.

    Raises UsageProblem for an unknown check or data set."""
    from tinyllm_cli.audit.audit import audit as run_audit
    from tinyllm_cli.audit.audit import datasets_to_audit
    from tinyllm_cli.audit.checks import KINDS
    from tinyllm_cli.ingestion.ingest import ingest_named

    allowed = options.get("allowed", ())
    unknown = sorted(set(allowed) - set(KINDS))
    if unknown:
        raise UsageProblem(f"There is no check '{unknown[0]}'.", f"Checks: {', '.join(KINDS)}.")
    store = project.store
    gates = project.gates(options.get("gates", True), options.get("max_target", 256))
    named = [ingest_named(store, name, project.settings).name for name in options.get("datasets", ())]
    datasets = named or datasets_to_audit(store)
    measure = _measure(options, on_event)
    read = 0

    def watch(what: str) -> None:
        nonlocal read
        read += 1
        on_event(Progress(label="reading", done=read, detail=what))

    return run_audit(store, datasets, gates=gates, measure=measure, allowed=allowed, watch=watch)


def _measure(options: AuditOptions, on_event: OnEvent) -> Measure | None:
    """The student's limits and tokenizer. A named student must be available; the default one is optional."""
    from backends.base import ModelUnavailable
    from tinyllm_cli.audit.checks import MEASURED
    from tinyllm_cli.audit.measure import Measure
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.students.loading import load_ruler

    student = options.get("student")
    name = student or DEFAULT_STUDENT
    try:
        counter = load_ruler(name, trust_remote_code=options.get("trust_remote_code", False))
    except ModelUnavailable:
        if student is not None:
            raise
        if options.get("must_measure", False) and not set(options.get("allowed", ())) >= MEASURED:
            raise UsageProblem(
                f"Lengths in tokens can't be checked: {name} is not available here.",
                f"Name a --student, or accept it: {' '.join(f'--allow {kind}' for kind in sorted(MEASURED))}",
            ) from None
        on_event(Notice(message=f"Lengths are in characters: {name} is not available. Name a --student for tokens."))
        return None
    limits = counter.limits(Limits(input=options.get("max_input", 1024), target=options.get("max_target", 256)))
    return Measure(student=name, ruler=counter, max_input=limits.input, max_target=limits.target)


class UsefulnessOptions(TypedDict, total=False):
    """Keywords of `usefulness` and `leakage`."""

    dataset: str | None
    """Default: the only data set with rationales for the split."""

    split: str
    """train, valid or test; default: train."""

    teachers: Sequence[str]
    """Names or unambiguous beginnings; default: all."""

    model: str
    """The model that reads: a hub name, a folder, a .gguf file, or smollm2 (default)."""

    limit: int | None
    """Only the first N questions; default: all."""

    gates: bool
    """Only texts that the gates keep; default: True."""

    max_target: int
    """As for `distill`, for the gates; default: 256."""

    icl: int | None
    """Only rationales elicited with this number of in-context examples."""

    mask_answer: bool
    """Mask the answer's name in what the model reads; default: True. `distill` uses masked scores."""

    trust_remote_code: bool
    """Run code that comes with the model; default: False."""


def usefulness(
    project: Project, *, examples: int = 0, on_event: OnEvent = ignore_events, **options: Unpack[UsefulnessOptions]
) -> UsefulnessResult:
    """How much each rationale raises a model's log-probability of the gold answer, for `distill`'s weights and filter.
    Scores are stored; existing ones are reused. `examples`: return the N most and least useful texts.

    Raises UsageProblem when there is nothing to score."""
    from tinyllm_cli.rationales.usefulness_summary import usefulness as run

    query, sets, scoring = _scoring(project, options, on_event)
    return run(project.store, query, sets, scoring, shown=examples, on_event=on_event)


def leakage(
    project: Project, *, count: int, on_event: OnEvent = ignore_events, **options: Unpack[UsefulnessOptions]
) -> LeakageResult:
    """What a model answers with and without the first `count` rationales of each teacher: whether they explain, or
    only name the answer.

    Raises UsageProblem when a teacher has no rationale to probe."""
    from tinyllm_cli.rationales.usefulness_summary import leakage as run

    query, sets, scoring = _scoring(project, options, on_event)
    return run(project.store, query, sets, scoring, count=count, on_event=on_event)


def _scoring(
    project: Project, options: UsefulnessOptions, on_event: OnEvent
) -> tuple[TextQuery, list[RationaleSet], Scoring]:
    from tinyllm_cli.rationales.rationale_sets import rationale_sets
    from tinyllm_cli.rationales.usefulness_summary import Scoring, TextQuery
    from tinyllm_cli.records.usefulness import Scorer
    from tinyllm_cli.students.loading import model_fingerprint
    from tinyllm_cli.students.model_names import absolute, loaded_once

    split = options.get("split", "train")
    dataset = _dataset(project, split, options.get("dataset"), on_event)
    sets = rationale_sets(project.store, dataset, split, options.get("teachers", ()), options.get("icl"))
    model = absolute(options.get("model", "smollm2"))
    scoring = Scoring(
        scorer=Scorer(model=model, fingerprint=model_fingerprint(model)),
        load=loaded_once(model, trust_remote_code=options.get("trust_remote_code", False)),
        mask=options.get("mask_answer", True),
    )
    gates = project.gates(options.get("gates", True), options.get("max_target", 256))
    return TextQuery(dataset=dataset, split=split, gates=gates, limit=options.get("limit")), sets, scoring


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
    raise UsageProblem(f"No question in {where} has the id or the words '{wanted}'.", hint)


def inspect_question(project: Project, place: Place, *, max_target: int = 256) -> QuestionView:
    """Everything the database holds about one question: rationales with what the gates cut, and all answers."""
    from tinyllm_cli.audit.question_view import question_view

    gates = project.gates(True, max_target)
    assert gates is not None
    return question_view(project.store, place, gates)


def _dataset(project: Project, split: str, typed: str | None, on_event: OnEvent) -> str:
    from tinyllm_cli.rationales.rationale_sets import dataset_with_rationales

    found = dataset_with_rationales(project.store, split, typed)
    if typed is None:
        on_event(Notice(message=f"Data set: {found} (the only one with rationales)."))
    return found
