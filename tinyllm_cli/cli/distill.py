"""`tinyllm distill`: a student learns answers and rationales."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Gates, Json, Quiet
from tinyllm_cli.cli.resolve import resolved
from tinyllm_cli.cli.session import Session, command_line, guarded
from tinyllm_cli.cli.views.distill import announce, say, train

if TYPE_CHECKING:
    from tinyllm_cli.training.data import TrainingData, TrainingPlan

_panel = partial(typer.Option, rich_help_panel="Training")
_choice = partial(typer.Option, rich_help_panel="Which rationales")


@guarded
def distill(
    alpha: Annotated[
        str | None,
        typer.Option(
            help="Weight of each teacher's rationales: t5=1,llama=0.5. One number is for all teachers; empty or 0 is"
            " full fine-tuning.",
            show_default="1 for every teacher that has rationales",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="inference (train nothing), finetune, lora, standard-kd (learn the teachers' own answers), pinto (read"
            " what teachers wrote beside each question), distill-step-by-step or tinyllm.",
            show_default="what --alpha and --lora-rank imply",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="A data set.", show_default="the one that has these teachers' rationales"),
    ] = None,
    student: Annotated[
        str, typer.Option("--student", "-s", help="A hub name, a folder, a .gguf file, or smollm2.")
    ] = "google/flan-t5-small",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N training questions.")] = None,
    gates: Gates = True,
    usefulness: Annotated[
        str,
        _choice(
            help="weight: weight rationales by usefulness; filter: drop useless ones; none. See tinyllm usefulness."
        ),
    ] = "none",
    usefulness_model: Annotated[
        str | None, _choice(help="Whose scores count, or how its name begins.", show_default="the one that scored")
    ] = None,
    samples: Annotated[
        int | None,
        _choice(min=1, help="Of several samples for a question, learn the best so many.", show_default="all"),
    ] = None,
    icl: Annotated[
        int | None, _choice(min=0, help="Learn the rationales that were asked for with so many in-context examples.")
    ] = None,
    shuffle_rationales: Annotated[
        bool, _choice("--shuffle-rationales", help="A control: each question gets the rationales of another.")
    ] = False,
    epochs: Annotated[int, _panel(min=1, help="Passes over the training questions.")] = 1,
    batch_size: Annotated[int, _panel(min=1, help="Questions in an optimizer step.")] = 8,
    lr: Annotated[float, _panel(min=0.0, help="Peak learning rate.")] = 5e-5,
    schedule: Annotated[str, _panel(help="Of the learning rate: a name of transformers', such as cosine.")] = "linear",
    warmup_steps: Annotated[int, _panel(min=0, help="Steps until the peak learning rate.")] = 0,
    optimizer: Annotated[str, _panel(help="A name of transformers', such as adafactor.")] = "adamw_torch_fused",
    weight_decay: Annotated[float, _panel(min=0.0, help="The optimizer's weight decay.")] = 0.0,
    lora_rank: Annotated[
        int, _panel("--lora-rank", min=0, help="Train low-rank additions of this rank instead of the weights.")
    ] = 0,
    lora_alpha: Annotated[float, _panel(min=0.0, help="LoRA's alpha.", show_default="twice the rank")] = 0.0,
    max_input: Annotated[int, _panel(min=8, help="Longest input in tokens; longer ones are cut and counted.")] = 1024,
    max_target: Annotated[int, _panel(min=2, help="Longest target in tokens.")] = 256,
    loss: Annotated[
        str,
        _panel(help="example: mean over examples (the paper's); token: mean over target tokens (its code's)."),
    ] = "example",
    precision: Annotated[str, _panel(help="auto, float32 or bfloat16.")] = "auto",
    token_budget: Annotated[
        int | None,
        _panel(min=64, help="Tokens in a micro-batch: memory against speed.", show_default="3000; 16000 on a GPU"),
    ] = None,
    gradient_checkpointing: Annotated[
        bool, _panel("--gradient-checkpointing", help="Less memory, half the speed.")
    ] = False,
    evals_per_epoch: Annotated[int, _panel(min=1, help="Valid evaluations an epoch; the best one is kept.")] = 2,
    patience: Annotated[int, _panel(min=0, help="Early stopping: evaluations without improvement (0: off).")] = 0,
    select_by: Annotated[
        str, _panel(help="accuracy or loss on valid: what chooses the checkpoint; the other one decides ties.")
    ] = "accuracy",
    seed: Annotated[int, _panel(help="Decides order and dropout.")] = 0,
    save_every: Annotated[float, _panel(min=0.0, help="Checkpoint interval in minutes.")] = 5.0,
    restart: Annotated[bool, _panel(help="Begin a new run, even where this one is done or could be resumed.")] = False,
    track: Annotated[str | None, _panel(help="Send the curves to tensorboard, wandb, trackio or mlflow.")] = None,
    trust_remote_code: Annotated[bool, _panel(help="Run code that comes with the model.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained on.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a student on answers and on teachers' rationales together: L = L_A + sum of alpha_m L_Tm.

    Example: tinyllm distill --alpha t5=1,llama=0.5
    """
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.rationales.selection import Selection
    from tinyllm_cli.records.settings import TrainSettings
    from tinyllm_cli.training.alpha import choose, parse_alpha
    from tinyllm_cli.training.data import TrainingPlan, load_training_data
    from tinyllm_cli.training.distill import finished
    from tinyllm_cli.training.distributed import is_first, take_own_gpu
    from tinyllm_cli.training.methods import METHODS
    from tinyllm_cli.training.objective import READINGS
    from tinyllm_cli.training.optimizers import SCHEDULES, optimizer_names
    from tinyllm_cli.training.tracking import TRACKERS, Tracker

    for option, value, known in (
        ("--loss", loss, READINGS),
        ("--precision", precision, ("auto", "float32", "bfloat16")),
        ("--select-by", select_by, ("accuracy", "loss")),
        ("--schedule", schedule, SCHEDULES),
        ("--optimizer", optimizer, (optimizer,) if optimizer == "adamw_torch_fused" else optimizer_names()),
        ("--usefulness", usefulness, ("none", "weight", "filter")),
        ("--method", method, (None, "inference", *METHODS)),
        ("--track", track, (None, *TRACKERS)),
    ):
        if value not in known:
            raise UsageProblem(f"{option} can't be '{value}'.", f"Choose one of: {', '.join(filter(None, known))}.")
    _refuse_without_rationales(method, about_them=shuffle_rationales or icl is not None)
    first = is_first()  # of the processes that torchrun started, only one talks
    session = Session(db, config, Console(json=json and first, quiet=quiet or not first))
    standing = session.gates(gates, max_target)
    if method == "inference":
        _answer_as_it_is(session, student, dataset)
        return
    if method in ("finetune", "lora") and alpha is None:
        alpha = "0"
    weights = None if alpha is None else parse_alpha(alpha)
    settings = TrainSettings(
        epochs=epochs, batch_size=batch_size, lr=lr, schedule=schedule, warmup_steps=warmup_steps,
        optimizer=optimizer, weight_decay=weight_decay, lora_rank=lora_rank or (8 if method == "lora" else 0),
        lora_alpha=lora_alpha,
        max_input=max_input, max_target=max_target, reading=loss, precision=precision,  # type: ignore[arg-type]
        token_budget=token_budget or 0, gradient_checkpointing=gradient_checkpointing, evals_per_epoch=evals_per_epoch,
        patience=patience, select_by=select_by, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    with closing(session.open_store(create=dataset is not None)) as store:
        if dataset is not None:
            dataset = ingest_named(store, dataset, session.settings).name
        choice = choose(store, session.settings, weights, dataset)
        plan = TrainingPlan(
            dataset=choice.dataset,
            student=resolved(student),
            voices=choice.voices,
            settings=settings,
            limit=limit,
            teaching={"standard-kd": "labels", "pinto": "hints"}.get(method or "", "rationales"),  # type: ignore[arg-type]
            selection=Selection(
                gates=standing,
                usefulness=usefulness,  # type: ignore[arg-type]
                usefulness_model=resolved(usefulness_model) if usefulness_model else None,
                samples=samples,
                icl=icl,
                shuffled=shuffle_rationales,
            ),
            command=command_line(),
        )
        if method not in (None, plan.method):
            raise UsageProblem(
                f"This is {plan.method}, not {method}: {len(plan.active)} teachers have an alpha above 0.",
                "Set --alpha and --lora-rank to what the method needs, or leave --method out.",
            )
        _say_what_has_no_effect(session, plan)
        material = load_training_data(store, plan)
        announce(session, plan, material, chosen=choice.chosen)
        if dry_run:
            session.console.result(_plan_summary(plan, material))
            session.console.say("Nothing was trained.")
            return
        run = None if restart else finished(store, plan, material)
        if run is not None:
            session.console.note(f"Run {run.id} has this configuration and is done. --restart trains again.")
        else:
            from tinyllm_cli.students.loading import load_student

            tracker = (
                Tracker(track, db.resolve().parent / "tinyllm-tracking", asdict(settings)) if track and first else None
            )
            take_own_gpu()
            learner = load_student(plan.student, trust_remote_code=trust_remote_code)
            run = train(
                session, store, plan, learner, material, save_every=60 * save_every, restart=restart, tracker=tracker
            )
    if first:
        say(session, run)


def _refuse_without_rationales(method: str | None, *, about_them: bool) -> None:
    from tinyllm_cli.errors import UsageProblem

    if about_them and method in ("standard-kd", "pinto"):
        raise UsageProblem(
            f"--method {method} learns no teacher's rationales, which --shuffle-rationales and --icl are about.",
            "Leave them out, or choose another method.",
        )


def _say_what_has_no_effect(session: Session, plan: TrainingPlan) -> None:
    """No error: an experiment gives all methods the same words."""
    by = plan.selection
    if not plan.told and (by.usefulness != "none" or by.usefulness_model or by.samples):
        session.console.note(f"{plan.method} learns no rationales: --usefulness and --samples change nothing.")


def _answer_as_it_is(session: Session, student: str, dataset: str | None) -> None:
    session.console.say(f"Inference trains nothing: {student} answers as it is.")
    session.console.result({"run": None, "method": "inference", "student": student})
    session.console.next(f"tinyllm eval --model {student}" + (f" --dataset {dataset}" if dataset else ""))


def _plan_summary(plan: TrainingPlan, material: TrainingData) -> dict[str, Any]:
    return {
        "method": plan.method,
        "dataset": plan.dataset,
        "student": plan.student,
        "alpha": {voice.teacher: voice.alpha for voice in plan.voices},
        "questions": len(material.training_questions),
        "steps": plan.settings.steps(len(material.training_questions)),
        "rationales": material.lineage,
    }
