"""What a user names for an experiment, resolved against the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tinyllm_cli.config import Settings
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.experiments.availability import coverage_of
from tinyllm_cli.experiments.grid import ExperimentPlan, Setup
from tinyllm_cli.ingestion.ingest import ingest_named
from tinyllm_cli.rationales.gates import gate_settings
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.records.experiments import CellTraining, OptionValue, Scorings
from tinyllm_cli.records.settings import TrainSettings, check_seed
from tinyllm_cli.store import Store
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.training.alpha import Alpha, WeightedTeacher, named_weights, prefix_of
from tinyllm_cli.training.data import TrainingPlan, load_training_data

DEFAULT_STUDENT = "google/flan-t5-small"


@dataclass(frozen=True, kw_only=True)
class ExperimentRequest:
    """What all runs share, as the user names it. Without `datasets`: those with rationales. Without `students`: the
    student of the latest run on one of them, or DEFAULT_STUDENT. `options` are further parameters of `distill`."""

    datasets: Sequence[str] = ()
    students: Sequence[str] = ()
    alpha: Alpha = 1.0
    seeds: Sequence[int] = (0,)
    limit: int | None = None
    test_limit: int | None = None
    scoring: Scorings = "rank"
    options: Mapping[str, OptionValue] = field(default_factory=dict)


def resolve_setup(store: Store, settings: Settings, request: ExperimentRequest) -> Setup:
    """Data sets that are in the store, teachers by their full names, and what each has.

    Raises UsageProblem for an unknown name, a seed that is too large, and when no data set has rationales."""
    for seed in request.seeds:
        check_seed(seed)
    with_rationales = store.rationales.datasets_with_rationales()
    names = list(dict.fromkeys(ingest_named(store, name, settings).name for name in request.datasets))
    names = names or sorted(with_rationales)
    if not names:
        raise UsageProblem(
            "No data set in the database has rationales.",
            f"Run: {command_text('elicit', '--teacher', 'NAME', '--dataset', 'NAME')}"
            " (or name a data set with --dataset)",
        )
    students = list(dict.fromkeys(request.students)) or [_latest_student(store, names)]
    pool = set[str]().union(*(with_rationales.get(name, set()) for name in names))
    coverages = [
        coverage_of(store, name, settings, limit=request.limit, test_limit=request.test_limit) for name in names
    ]
    for coverage in coverages:
        for split, questions in (("train", coverage.questions), ("test", coverage.test)):
            if not questions:
                raise UsageProblem(
                    f"The data set {coverage.dataset} has no {split} split, which an experiment needs.",
                    "Import it, or name other data sets with --dataset.",
                )
    return Setup(
        coverages=coverages,
        students=students,
        alphas=named_weights(request.alpha, pool, settings),
        seeds=list(dict.fromkeys(request.seeds)),
        limit=request.limit,
        options=request.options,
        scoring=request.scoring,
        test_limit=request.test_limit,
        fingerprints={name: model_fingerprint(name) for name in students},
    )


def _latest_student(store: Store, datasets: Sequence[str]) -> str:
    done = [run for run in store.runs.everything() if run.dataset in datasets and run.state == "done"]
    return done[-1].student if done else DEFAULT_STUDENT


def check_rationales(store: Store, settings: Settings, plan: ExperimentPlan) -> None:
    """Load the rationales of every teacher of the plan as its runs will, so that a run can't fail for lack of any
    after hours of others.

    Raises UsageProblem that names the first teacher without a usable rationale."""
    checked: list[tuple[str, CellTraining]] = []
    for training in (cell.distill for cell in plan.cells if cell.distill is not None):
        if training.method in ("standard-kd", "pinto"):  # these use answers, which the plan has checked
            continue
        for teacher in sorted(training.teachers):
            key = (teacher, _same_choice(training))
            if key not in checked:
                checked.append(key)
                try:
                    load_training_data(store, _alone(settings, training, teacher))
                except UsageProblem as problem:
                    raise UsageProblem(str(problem), _without_teacher(problem.hint)) from problem


def _alone(settings: Settings, training: CellTraining, teacher: str) -> TrainingPlan:
    """The training with this teacher alone, and one validation question."""
    return TrainingPlan(
        method="distill-step-by-step",
        dataset=training.dataset,
        student=training.student,
        teachers=(WeightedTeacher(teacher=teacher, prefix=prefix_of(teacher, settings), alpha=1.0),),
        settings=TrainSettings(),
        limit=training.limit,
        valid_limit=1,
        selection=_selection(settings, training),
    )


def _selection(settings: Settings, training: CellTraining) -> Selection:
    options = training.options
    samples, model = options.get("samples"), options.get("usefulness_model")
    per_question = options.get("per_question")
    gates = gate_settings(settings.gates, int(options.get("max_target", TrainSettings.max_target)))
    return Selection(
        gates=gates if options.get("gates", True) else None,
        usefulness=str(options.get("usefulness", "none")),  # type: ignore[arg-type]
        usefulness_model=None if model is None else str(model),
        samples=None if samples is None else int(samples),
        icl=training.icl,
        rationales=str(options.get("rationales", "forced")),  # type: ignore[arg-type]
        per_question=None if per_question is None else int(per_question),
        choose=None if per_question is None else str(options.get("choose", "agreement")),  # type: ignore[arg-type]
    )


def _same_choice(training: CellTraining) -> CellTraining:
    """Equal for trainings that select the same rationales of a teacher."""
    by_student = training.student if training.options.get("choose") == "learnability" else ""
    return CellTraining(
        dataset=training.dataset, student=by_student, limit=training.limit, icl=training.icl, options=training.options
    )


def _without_teacher(hint: str) -> str:
    return f"{hint.replace('--no-gates', '-- --no-gates')} Or leave the teacher out with --alpha.".strip()
