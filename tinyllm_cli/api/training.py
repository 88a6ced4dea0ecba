"""`distill` and `plan_distillation`: train a student on answers and rationales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.config.ranges import check_icl
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.events import Finished, Notice, OnEvent, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.records.settings import RationaleKind, TextChoice
    from tinyllm_cli.training.alpha import AlphaChoice
    from tinyllm_cli.training.data import TrainingData, TrainingPlan
    from tinyllm_cli.training.recipes import TrainingRecipe

DEFAULT_STUDENT = "google/flan-t5-small"
_LORA_RANK = 8  # of method "lora" where the settings name no rank


class DistillOptions(TypedDict, total=False):
    """Keywords of `distill` and `plan_distillation`."""

    alpha: Mapping[str, float] | float | str | None
    """Weights by teacher, one weight for all, or text such as "t5=1,llama=0.5". Default: 1 for every teacher that has
    rationales; 0: full fine-tuning."""

    method: str | None
    """finetune, lora, standard-kd, pinto, distill-step-by-step or tinyllm; default: what alpha and settings imply."""

    dataset: str | None
    """Default: the only data set that has rationales of these teachers."""

    student: str
    """A hub name, a folder, a .gguf file, or smollm2; default: google/flan-t5-small."""

    limit: int | None
    """Only the first N questions of train and of valid; default: all."""

    valid_limit: int | None
    """Only the first N questions of valid; default: as `limit`."""

    gates: bool
    """Train on rationales that pass the gates; default: True."""

    usefulness: Literal["none", "weight", "filter"]
    """Weight rationales by usefulness, or drop useless ones; default: none."""

    usefulness_model: str | None
    """Whose usefulness scores; default: the only model that scored all."""

    samples: int | None
    """The best K of several samples for a question; default: all."""

    rationales: RationaleKind
    """forced: from teachers that saw the gold answer; correct: written without it, and right; correct-or-forced: the
    former where a question has none of the latter; default: forced."""

    per_question: int | None
    """The best N texts of all teachers per question; default: all."""

    choose: TextChoice | None
    """By what these are chosen: learnability, usefulness, agreement or random; default: agreement."""

    icl: int | None
    """Only rationales elicited with this number of in-context examples."""

    shuffle_rationales: bool
    """A control: each question gets another question's rationales; default: False."""

    recipe: TrainingRecipe
    """best, paper, authors or quick: settings by student and data, for all that `settings` does not name; default:
    best."""

    settings: Mapping[str, Any]
    """Fields of `TrainSettings` that replace the recipe's, such as {"epochs": 3, "target": "rationale-first"}."""

    save_every: float
    """Checkpoint interval in seconds; default: 300."""

    restart: bool
    """Train again although a finished or interrupted run has this configuration; default: False."""

    shard: bool
    """Divide parameters, gradients and optimizer state among the processes that torchrun started; default: False."""

    track: str | None
    """Send the curves to tensorboard, wandb, trackio or mlflow."""

    trust_remote_code: bool
    """Run code that comes with the student; default: False."""

    command: str
    """The command line to record with the run; default: none."""


@dataclass(frozen=True, kw_only=True)
class DistillationPlan:
    """What a training would do. `dataset_found`: the data set was not named, it is the only one that fits."""

    plan: TrainingPlan
    data: TrainingData
    dataset_found: bool

    def summary(self) -> dict[str, Any]:
        """The plan as plain values."""
        plan = self.plan
        return {
            "method": plan.method,
            "dataset": plan.dataset,
            "student": plan.student,
            "alpha": {one.teacher: one.alpha for one in plan.teachers},
            "questions": len(self.data.training_questions),
            "steps": plan.settings.steps(len(self.data.training_questions)),
            "rationales": self.data.lineage,
        }


def plan_distillation(
    project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[DistillOptions]
) -> DistillationPlan:
    """Choose data set, teachers and rationales, and load the training data; trains nothing.

    Raises UsageProblem for a wrong setting, and where a teacher has no rationales."""
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.training.alpha import choose, parse_alpha
    from tinyllm_cli.training.data import load_training_data

    check_options(options)
    alpha = options.get("alpha")
    if alpha is None and options.get("method") in ("finetune", "lora"):
        alpha = 0.0
    weights = parse_alpha(alpha) if isinstance(alpha, str) else alpha
    dataset = options.get("dataset")
    if dataset is not None:
        dataset = ingest_named(project.store, dataset, project.settings).name
    choice = choose(project.store, project.settings, float(weights) if isinstance(weights, int) else weights, dataset)
    plan = _plan(project, options, choice)
    by = plan.selection
    # Notices, no errors: an experiment gives all methods the same options.
    if not plan.learns_rationales and (by.reads_scores or by.usefulness_model or by.chooses or by.gates is None):
        without = "--usefulness, --samples, --rationales, --per-question and --no-gates have no effect"
        on_event(Notice(message=f"{plan.method} trains on no rationales: {without}."))
    if plan.settings.lora_alpha and not plan.settings.lora_rank:
        on_event(Notice(message=f"{plan.method} trains all weights: --lora-alpha has no effect without --lora-rank."))
    data = load_training_data(project.store, plan)
    return DistillationPlan(plan=plan, data=data, dataset_found=choice.chosen)


def distill(project: Project, *, on_event: OnEvent = ignore_events, **options: Unpack[DistillOptions]) -> Run:
    """Train a student on L = L_A + sum of alpha_m L_Tm, and record it as a run. An interrupted run with this
    configuration resumes; a finished one is returned. Emits the `DistillationPlan` before training.

    Raises UsageProblem for a wrong setting or diverging training, Busy when another process trains this run, and
    InterruptedByUser on Ctrl-C, after which the same call resumes."""
    from tinyllm_cli.api.training_events import Outlook, TrainingEvents
    from tinyllm_cli.students.loading import load_student
    from tinyllm_cli.training.distill import RunControl, finished
    from tinyllm_cli.training.distill import distill as run_distill
    from tinyllm_cli.training.distributed import is_first, sharding, take_own_gpu
    from tinyllm_cli.training.optimizers import check_divisible
    from tinyllm_cli.training.recipes import DEFAULT_RECIPE
    from tinyllm_cli.training.tracking import Tracker

    shard = sharding(options.get("shard", False))
    planned = plan_distillation(project, on_event=on_event, **options)
    if shard:
        check_divisible(planned.plan.settings.optimizer)
    on_event(Finished(value=planned))
    plan, restart = planned.plan, options.get("restart", False)
    done = None if restart else finished(project.store, plan, planned.data)
    if done is not None:
        on_event(Notice(message=f"Run {done.id} has this configuration and is done. --restart trains again."))
        return done
    track = options.get("track")
    tracker = None
    if track is not None and is_first():
        tracker = Tracker(track, project.store.path.parent / "tinyllm-tracking", asdict(plan.settings))
    take_own_gpu()
    student = load_student(plan.student, trust_remote_code=options.get("trust_remote_code", False), in_memory=shard)
    watch = TrainingEvents(on_event, tracker, plan.settings.budget_on(student.device))
    if is_first():
        watch.outlook = Outlook.of(plan, planned.data, options.get("recipe", DEFAULT_RECIPE))
    control = RunControl(save_every=options.get("save_every", 300.0), restart=restart, shard=shard)
    with watch.interruptible():
        return run_distill(project.store, plan, student, planned.data, watch, control)


def check_options(options: DistillOptions) -> None:
    """Raises UsageProblem for names and combinations that are wrong whatever the database holds."""
    from tinyllm_cli.training.methods import METHODS
    from tinyllm_cli.training.tracking import TRACKERS

    method, track = options.get("method"), options.get("track")
    if method is not None and method not in METHODS:
        raise UsageProblem(f"There is no method '{method}'.", f"Methods: {choices(METHODS)}.")
    if track is not None and track not in TRACKERS:
        raise UsageProblem(f"There is no tracker '{track}'.", f"Trackers: {choices(TRACKERS)}.")
    if options.get("choose") is not None and options.get("per_question") is None:
        raise UsageProblem("--choose has no effect without --per-question.", "Add --per-question 1.")
    about_rationales = options.get("shuffle_rationales", False) or options.get("icl") is not None
    if about_rationales and (without := _without_rationales(options)):
        raise UsageProblem(
            f"{without} trains on no rationales, which --shuffle-rationales and --icl are about.",
            "Remove them, or choose another method or --alpha.",
        )
    check_icl(options.get("icl"))
    settings = options.get("settings", {})
    if settings.get("warmup_steps") and settings.get("schedule") == "constant":
        raise UsageProblem(
            "The schedule 'constant' has no warm-up, so --warmup-steps has no effect.",
            "Use --schedule constant_with_warmup, or remove --warmup-steps.",
        )


def _without_rationales(options: DistillOptions) -> str | None:
    """The option because of which no rationale is trained on; None if there is none."""
    from tinyllm_cli.training.alpha import parse_alpha
    from tinyllm_cli.training.methods import METHODS, ON_RATIONALES

    method, alpha = options.get("method"), options.get("alpha")
    if method in METHODS and method not in ON_RATIONALES:
        return f"--method {method}"
    weights = parse_alpha(alpha) if isinstance(alpha, str) else alpha
    if weights is None:
        return None
    return None if any(weights.values() if isinstance(weights, Mapping) else [weights]) else "--alpha 0"


def _plan(project: Project, options: DistillOptions, choice: AlphaChoice) -> TrainingPlan:
    from dataclasses import replace

    from tinyllm_cli.rationales.selection import Selection
    from tinyllm_cli.students.model_names import absolute
    from tinyllm_cli.students.shape import student_shape
    from tinyllm_cli.training.data import TrainingPlan
    from tinyllm_cli.training.methods import METHODS, method_for
    from tinyllm_cli.training.recipes import DEFAULT_RECIPE, Situation, with_recipe

    student = absolute(options.get("student", DEFAULT_STUDENT))
    limit, valid_limit = options.get("limit"), options.get("valid_limit")
    sizes = project.store.questions.splits(choice.dataset)
    situation = Situation(
        shape=student_shape(student),
        questions=min(sizes.get("train", 0), limit or sizes.get("train", 0)),
        valid=min(sizes.get("valid", 0), valid_limit or limit or sizes.get("valid", 0)),
    )
    settings = with_recipe(options.get("recipe", DEFAULT_RECIPE), situation, options.get("settings", {}))
    if options.get("method") == "lora" and not settings.lora_rank:
        settings = replace(settings, lora_rank=_LORA_RANK)
    model, per_question = options.get("usefulness_model"), options.get("per_question")
    active = sum(one.alpha > 0 for one in choice.teachers)
    method = method_for(options.get("method"), active, settings.lora_rank)
    if METHODS[method].takes != "rationales":
        settings = replace(settings, target="multitask")  # without rationales all targets are the answer
    return TrainingPlan(
        method=method,
        dataset=choice.dataset,
        student=student,
        teachers=choice.teachers,
        settings=settings,
        limit=limit,
        valid_limit=valid_limit,
        selection=Selection(
            gates=project.gates(options.get("gates", True), settings.max_target),
            usefulness=options.get("usefulness", "none"),
            usefulness_model=absolute(model) if model else None,
            samples=options.get("samples"),
            icl=options.get("icl"),
            shuffled=options.get("shuffle_rationales", False),
            rationales=options.get("rationales", "forced"),
            per_question=per_question,
            choose=options.get("choose") or ("agreement" if per_question else None),
        ),
        command=options.get("command", ""),
    )
