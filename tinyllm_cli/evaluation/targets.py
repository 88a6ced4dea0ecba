"""Who is evaluated: a run's student, any model, or a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tinyllm_cli.config import Settings, match_name
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.records.evaluations import Scoring, Subject
from tinyllm_cli.records.experiments import Scorings
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.explain import ANSWERS_ALONE, Explaining
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
    explaining: Explaining = ANSWERS_ALONE
    extra_context: ExtraContext = field(default_factory=dict)

    def with_context(self, extra_context: ExtraContext, digest: str) -> EvaluationTarget:
        """The same target, which reads this context; `digest` identifies it in the subject."""
        return replace(self, subject=replace(self.subject, extra_context=digest), extra_context=extra_context)

    def explains(self, explaining: Explaining, teacher: str | None) -> EvaluationTarget:
        """The same target, which explains its answers so, in this teacher's style if it has several."""
        votes = explaining.votes if explaining.votes > 1 else None
        return replace(self, subject=replace(self.subject, explain_as=teacher, votes=votes), explaining=explaining)


def run_target(run: Run) -> EvaluationTarget:
    """The student of a run, with the limits of its training. It answers at once, unless it learned to explain first."""
    return EvaluationTarget(
        subject=run_subject(run), model=run.folder, limits=Limits.of(run.settings.train),
        explaining=Explaining(target=run.explains) if run.explains == "rationale-first" else ANSWERS_ALONE,
    )  # fmt: skip


def explaining_run(run: Run, explain_as: str | None = None, votes: int = 1) -> tuple[Explaining, str | None]:
    """How the student of a run explains, and the teacher whose style that is, by default the one with the highest
    alpha; None where its training had all teachers in one text, or none.

    Raises UsageProblem for a teacher that the student can't imitate alone."""
    target = run.explains
    if target != "multitask":
        if explain_as is not None:
            why = "it writes what all its teachers write" if target else "it was trained on answers alone"
            raise UsageProblem(f"Run {run.id} has no style of one teacher: {why}.", "Remove --explain-as.")
        return replace(ANSWERS_ALONE, target=target or ANSWERS_ALONE.target, votes=votes), None
    prefixes = run.settings.prefixes
    if explain_as is None:
        teacher = max(sorted(prefixes), key=lambda name: run.alpha.get(name, 0.0))
    else:
        teacher = match_name(explain_as, prefixes, "teacher")
    return Explaining(target=target, style=prefixes[teacher], votes=votes), teacher


def explaining_model(
    prefixes: Mapping[str, str], explain_as: str | None, votes: int = 1
) -> tuple[Explaining, str | None]:
    """How a model that was not trained here explains: after the prefix of a teacher, of which `prefixes` has several;
    without one it writes its answer alone.

    Raises UsageProblem for an unknown teacher."""
    if explain_as is None:
        return replace(ANSWERS_ALONE, votes=votes), None
    teacher = match_name(explain_as, prefixes, "teacher")
    return Explaining(target="multitask", style=prefixes[teacher], votes=votes), teacher


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


def scorings_of(target: EvaluationTarget, wanted: Scorings | None) -> tuple[Scoring, ...]:
    """The scorings to carry out; None is "explain" for a student that explains before it answers, else "both". Of a
    teacher its stored replies come first; "both" ranks it too only where its model is on this machine.

    Raises UsageProblem for a scoring that has no meaning for the target."""
    explains_first = target.explaining.target == "rationale-first"
    wanted = wanted or ("explain" if explains_first else "both")
    if wanted == "explain" and target.teacher is not None:
        raise UsageProblem(
            f"{target.teacher} is evaluated by its stored replies, which explain.", "Use --scoring generate."
        )
    if wanted in ("generate", "both") and explains_first:
        raise UsageProblem(
            f"The student of {target.subject.name} explains before it answers, so its text is no answer.",
            "Use --scoring explain.",
        )
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
