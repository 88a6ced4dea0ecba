"""Who is evaluated: a run's student, any model, or a teacher."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from tinyllm_cli.config import Settings, match_name
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.records.evaluations import Scoring, Subject
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.loading import is_local, model_fingerprint


@dataclass(frozen=True, kw_only=True)
class EvaluationTarget:
    """`model` is a hub name, a folder or a file; empty for a teacher without a Hugging Face model. `extra_context` is
    in the input beside the questions (PINTO)."""

    subject: Subject
    model: str
    limits: Limits
    teacher: str | None = None
    revision: str | None = None
    extra_context: ExtraContext = field(default_factory=dict)

    def with_context(self, extra_context: ExtraContext, digest: str) -> EvaluationTarget:
        """The same target, which reads this context; `digest` identifies it in the subject."""
        return replace(self, subject=replace(self.subject, extra_context=digest), extra_context=extra_context)


def run_target(run: Run) -> EvaluationTarget:
    """The student of a run, with the limits of its training."""
    return EvaluationTarget(subject=run_subject(run), model=run.folder, limits=Limits.of(run.settings.train))


def model_target(model: str, max_input: int) -> EvaluationTarget:
    """A model that was not trained here; a local one by its absolute path."""
    limits = Limits(input=max_input)
    return EvaluationTarget(subject=model_subject("model", model, model, limits), model=model, limits=limits)


def teacher_target(store: Store, settings: Settings, name: str, dataset: str, max_input: int) -> EvaluationTarget:
    """A teacher by its name or the beginning of it.

    Raises UsageProblem for an unknown or ambiguous name."""
    known = {variant.teacher for variant in store.rationales.variants(dataset)}
    teacher = match_name(name, {*settings.teachers, *known}, "teacher")
    spec = settings.teachers.get(teacher)
    options = spec.options if spec and spec.backend == "huggingface" else {}
    model, revision = str(options.get("model") or ""), options.get("revision")
    limits = Limits(input=max_input)
    subject = model_subject("teacher", teacher, model, limits, revision)
    return EvaluationTarget(subject=subject, model=model, limits=limits, teacher=teacher, revision=revision)


def scorings_of(target: EvaluationTarget, wanted: Literal["rank", "generate", "both"]) -> tuple[Scoring, ...]:
    """The scorings to carry out. Of a teacher its stored replies come first; `both` ranks it too only where its model
    is on this machine.

    Raises UsageProblem for `rank` of a teacher that is not a Hugging Face model."""
    if wanted != "both":
        if target.teacher is not None and wanted == "rank" and not target.model:
            raise UsageProblem(
                f"{target.teacher} can't be ranked: it is not a Hugging Face model.", "Use --scoring generate."
            )
        return (wanted,)
    if target.teacher is None:
        return ("rank", "generate")
    return ("generate", "rank") if is_local(target.model) else ("generate",)


def only_dataset(store: Store) -> str:
    """The one data set of the database.

    Raises UsageProblem when there are none or several."""
    names = store.questions.names()
    if len(names) == 1:
        return names[0]
    raise UsageProblem("Which data set?", f"Name it with --dataset. The database has: {choices(names)}.")


def run_subject(run: Run) -> Subject:
    """A run's student: by its step, and during the training by the files of its checkpoint."""
    fingerprint = model_fingerprint(run.folder) if run.checkpoint is None else None
    return Subject(kind="run", name=f"run {run.id}", run=run.id, step=run.checkpoint, model_fingerprint=fingerprint)


def model_subject(
    kind: Literal["model", "teacher"], name: str, model: str, limits: Limits, revision: str | None = None
) -> Subject:
    """A model that was not trained here. A local model has a fingerprint instead of a revision."""
    fingerprint = model_fingerprint(model) or None
    return Subject(
        kind=kind, name=name, model=model or None, model_fingerprint=fingerprint, max_input=limits.input,
        revision=None if fingerprint else revision or None,
    )  # fmt: skip
