"""`audit`: problems of questions and rationales, and what each choice of rationales leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Notice, OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.audit.audit import Audit
    from tinyllm_cli.audit.measure import Measure
    from tinyllm_cli.rationales.gates import GateSettings
    from tinyllm_cli.rationales.selection import Selection
    from tinyllm_cli.rationales.training_rationales import LearningTask
    from tinyllm_cli.records.settings import RationaleKind, TextChoice

DEFAULT_STUDENT = "google/flan-t5-small"
DEFAULT_SAMPLE = 10_000


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

    rationales: RationaleKind
    """Of which kind the texts per question are; default: forced."""

    per_question: int | None
    """Also count what is left of the best N texts of all teachers per question; default: not."""

    choose: TextChoice | None
    """By what these are chosen: learnability (of `student`), usefulness, agreement or random; default: agreement."""

    usefulness_model: str | None
    """Whose usefulness scores; default: the only model that scored all."""

    sample: int | None
    """Read the rationales of so many questions of each split, drawn at random; None: of all. Default: 10,000."""

    trust_remote_code: bool
    """Run code that comes with the student; default: False."""


def audit(project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[AuditOptions]) -> Audit:
    """Check rationales and questions before training: missing, unfit or truncated rationales, leaks from the test
    split.

    Raises UsageProblem for an unknown check or data set."""
    from tinyllm_cli.audit.audit import audit as run_audit
    from tinyllm_cli.audit.audit import datasets_to_audit, passed_by_teacher
    from tinyllm_cli.audit.checks import KINDS
    from tinyllm_cli.audit.choices import Counting, rationale_choices
    from tinyllm_cli.audit.sampling import Reading
    from tinyllm_cli.audit.summary import Surveyor
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.rationales.known_sets import KnownSets

    allowed = options.get("allowed", ())
    unknown = sorted(set(allowed) - set(KINDS))
    if unknown:
        raise UsageProblem(f"There is no check '{unknown[0]}'.", f"Checks: {', '.join(KINDS)}.")
    if options.get("per_question") is None:
        _refuse_without_limit(options)
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

    sets, sample = KnownSets(store), options.get("sample", DEFAULT_SAMPLE)
    surveyor = Surveyor(
        store=store, sets=sets, gates=gates, measure=measure, reading=Reading(texts=sample), watch=watch
    )
    found = run_audit(surveyor, datasets, allowed=allowed)
    task, selection, choices = _learning_task(project, options), _selection(gates, options), []
    for one in found.surveys:
        watch(f"choices of rationales for {one.dataset}")
        counting = Counting(sets=sets, task=task, sample=sample, passed=passed_by_teacher(one))
        choices.append(rationale_choices(store, one.dataset, selection, counting))
    return replace(found, choices=tuple(choices))


def _learning_task(project: Project, options: AuditOptions) -> Callable[[str], LearningTask]:
    from tinyllm_cli.rationales.training_rationales import LearningTask
    from tinyllm_cli.records.usefulness import Scorer
    from tinyllm_cli.students.loading import model_fingerprint
    from tinyllm_cli.students.model_names import absolute
    from tinyllm_cli.training.alpha import prefix_of

    student = absolute(options.get("student") or DEFAULT_STUDENT)
    scorer = Scorer(model=student, fingerprint=model_fingerprint(student))
    return lambda teacher: LearningTask(teacher=teacher, prefix=prefix_of(teacher, project.settings), student=scorer)


def _selection(gates: GateSettings | None, options: AuditOptions) -> Selection:
    from tinyllm_cli.rationales.selection import Selection
    from tinyllm_cli.students.model_names import absolute

    model, per_question = options.get("usefulness_model"), options.get("per_question")
    return Selection(
        gates=gates, rationales=options.get("rationales", "forced"), per_question=per_question,
        choose=options.get("choose") or ("agreement" if per_question else None),
        usefulness_model=absolute(model) if model else None,
    )  # fmt: skip


def _refuse_without_limit(options: AuditOptions) -> None:
    given = {
        "--rationales": options.get("rationales", "forced") != "forced",
        "--choose": options.get("choose"),
        "--usefulness-model": options.get("usefulness_model"),
    }
    without = next((name for name, value in given.items() if value), None)
    if without is not None:
        raise UsageProblem(f"{without} has no effect without --per-question.", "Add --per-question 1.")


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
