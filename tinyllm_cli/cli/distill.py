"""`tinyllm distill`: a student learns answers and rationales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.api.training import DistillationPlan, DistillOptions, check_options
from tinyllm_cli.cli.completion import dataset_names
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Choose,
    Config,
    Db,
    Debug,
    Gates,
    Icl,
    Json,
    PerQuestion,
    Quiet,
    Rationales,
    TrustRemoteCode,
    UsefulnessModel,
)
from tinyllm_cli.cli.session import Session, command_line, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.distill import show_plan, show_run
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.training.distributed import is_first

_panel = partial(typer.Option, rich_help_panel="Training")
_recipe = partial(_panel, show_default="from --recipe")
_choice = partial(typer.Option, rich_help_panel="Which rationales")


@guarded
def distill(
    alpha: Annotated[
        str | None,
        typer.Option(
            help="Weight of each teacher's rationales: t5=1,llama=0.5. One number: all teachers; empty or 0: full"
            " fine-tuning.",
            show_default="1 for every teacher that has rationales",
        ),
    ] = None,
    method: Annotated[
        Literal["inference", "finetune", "lora", "standard-kd", "pinto", "distill-step-by-step", "tinyllm"] | None,
        typer.Option(
            help="inference: no training; standard-kd: train on the teachers' own answers; pinto: teachers' texts are"
            " input beside each question.",
            show_default="implied by --alpha and --lora-rank",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            help="A data set.",
            show_default="the only one with these teachers' rationales",
            autocompletion=dataset_names,
        ),
    ] = None,
    student: Annotated[
        str, typer.Option("--student", "-s", help="A hub name, a folder, a .gguf file, or smollm2.")
    ] = "google/flan-t5-small",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions of train and of valid.")] = None,
    valid_limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N questions of valid.", show_default="as --limit")
    ] = None,
    rationales: Rationales = "forced",
    gates: Gates = True,
    usefulness: Annotated[
        Literal["none", "weight", "filter"],
        _choice(help="weight: weight rationales by usefulness; filter: drop useless ones. See tinyllm usefulness."),
    ] = "none",
    usefulness_model: UsefulnessModel = None,
    samples: Annotated[
        int | None, _choice(min=1, help="Use the best K of several samples per question.", show_default="all")
    ] = None,
    per_question: PerQuestion = None,
    choose: Choose = None,
    icl: Icl = None,
    shuffle_rationales: Annotated[
        bool, _choice("--shuffle-rationales", help="For a control: each question gets the rationales of another one.")
    ] = False,
    recipe: Annotated[
        Literal["best", "paper", "authors", "quick"],
        _panel(
            help="Settings that you do not give. best: by student and data, early stopping; paper: one epoch, batch 8;"
            " authors: 10,000 steps of 64 questions; quick: at most 200 steps."
        ),
    ] = "best",
    target: Annotated[
        Literal["multitask", "rationale-first", "answer-first"],
        _panel(
            help="What the student learns to write. multitask (the paper): the answer and each rationale as tasks of"
            " their own; rationale-first, answer-first: both in one sequence."
        ),
    ] = "multitask",
    epochs: Annotated[int | None, _recipe(min=1, help="Passes over the training questions.")] = None,
    max_steps: Annotated[
        int | None, _panel(min=1, help="Optimizer steps, instead of epochs.", show_default="off; 10000 for authors")
    ] = None,
    batch_size: Annotated[int | None, _recipe(min=1, help="Questions per optimizer step.")] = None,
    lr: Annotated[float | None, _recipe(min=0.0, help="Peak learning rate.")] = None,
    schedule: Annotated[
        str, _panel(help="Learning rate schedule, by its transformers name, such as cosine.")
    ] = "linear",
    warmup_steps: Annotated[int | None, _recipe(min=0, help="Steps until the peak learning rate.")] = None,
    warmup_ratio: Annotated[
        float | None, _recipe(min=0.0, max=1.0, help="The warm-up as a fraction of all steps.")
    ] = None,
    optimizer: Annotated[
        str, _panel(help="Optimizer, by its transformers name, such as adafactor.")
    ] = "adamw_torch_fused",
    weight_decay: Annotated[
        float, _panel(min=0.0, help="Weight decay of matrices; norms and biases do not decay.")
    ] = 0.0,
    lora_rank: Annotated[
        int | None,
        _panel(
            "--lora-rank",
            min=0,
            help="Train low-rank adapters of this rank (0: train all weights).",
            show_default="0; 8 with --method lora",
        ),
    ] = None,
    lora_alpha: Annotated[float, _panel(min=0.0, help="LoRA's alpha.", show_default="twice the rank")] = 0.0,
    max_input: Annotated[
        int, _panel(min=8, help="Longest input in tokens; longer ones are truncated and counted.")
    ] = 1024,
    max_target: Annotated[int, _panel(min=2, help="Longest target in tokens.")] = 256,
    loss: Annotated[
        Literal["example", "token"] | None,
        _panel(
            help="example: mean over examples (the paper); token: mean over target tokens (its code).",
            show_default="example; token for authors",
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], _panel(help="auto: bfloat16 where the device supports it.")
    ] = "auto",
    token_budget: Annotated[
        int | None,
        _panel(min=64, help="Tokens per micro-batch: memory against speed.", show_default="3000; 16000 on a GPU"),
    ] = None,
    gradient_checkpointing: Annotated[
        bool, _panel("--gradient-checkpointing", help="Less memory, half the speed.")
    ] = False,
    compile_layers: Annotated[
        bool,
        _panel("--compile-layers", help="On a GPU, compile the student's layers: faster steps, a start of minutes."),
    ] = False,
    evals_per_epoch: Annotated[
        int | None, _recipe(min=1, help="Evaluations on valid per epoch; the best student is kept.")
    ] = None,
    eval_every: Annotated[
        int | None,
        _panel(
            min=1, help="Steps between evaluations, instead of --evals-per-epoch.", show_default="off; 250 for authors"
        ),
    ] = None,
    patience: Annotated[
        int | None, _recipe(min=0, help="Early stopping: evaluations without improvement (0: off).")
    ] = None,
    select_by: Annotated[
        Literal["accuracy", "loss"] | None,
        _recipe(help="Selects the checkpoint on valid; the other one decides ties."),
    ] = None,
    seed: Annotated[int, _panel(help="Seed of order and dropout.")] = 0,
    save_every: Annotated[float, _panel(min=0.0, help="Checkpoint interval in minutes.")] = 5.0,
    save_dtype: Annotated[
        Literal["float32", "bfloat16"],
        _panel(help="Precision of the saved weights; bfloat16 takes half the disk and rounds them."),
    ] = "float32",
    shard: Annotated[
        bool,
        _panel(
            "--shard",
            help="Divide parameters, gradients and optimizer state among the processes of torchrun (FSDP2), for a"
            " student that is too large for one GPU.",
        ),
    ] = False,
    restart: Annotated[
        bool,
        _panel("--restart", help="Train from the start, even if a run with this configuration is done or can resume."),
    ] = False,
    track: Annotated[
        Literal["tensorboard", "wandb", "trackio", "mlflow"] | None, _panel(help="Send the curves to a tracker.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; train nothing.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a student on answers and on teachers' rationales together: L = L_A + sum of alpha_m L_Tm.

    Example: tinyllm distill --alpha t5=1,llama=0.5
    """
    first = is_first()  # of the processes that torchrun started, only one prints
    session = Session(db, config, Console(json=json and first, quiet=quiet or not first))
    console = session.console
    if method == "lora" and lora_rank == 0:
        raise UsageProblem(
            "--method lora trains low-rank adapters, and --lora-rank 0 trains all weights.", "Remove one of them."
        )
    check_names(schedule, optimizer)
    given = {
        "epochs": epochs, "max_steps": max_steps, "batch_size": batch_size, "lr": lr, "schedule": schedule,
        "warmup_steps": warmup_steps, "warmup_ratio": warmup_ratio, "optimizer": optimizer,
        "weight_decay": weight_decay, "lora_rank": lora_rank, "lora_alpha": lora_alpha, "max_input": max_input,
        "max_target": max_target, "target": target, "reading": loss, "precision": precision,
        "token_budget": token_budget, "gradient_checkpointing": gradient_checkpointing,
        "compile_layers": compile_layers,
        "evals_per_epoch": evals_per_epoch, "eval_every": eval_every, "patience": patience, "select_by": select_by,
        "seed": seed, "save_dtype": save_dtype,
    }  # fmt: skip
    if method == "inference":
        from tinyllm_cli.training.alpha import parse_alpha

        _check_inference(
            given,
            {"--alpha": alpha is not None and parse_alpha(alpha) != 0, "--limit": limit, "--valid-limit": valid_limit,
             "--no-gates": not gates, "--usefulness": usefulness != "none", "--usefulness-model": usefulness_model,
             "--samples": samples, "--icl": icl is not None, "--shuffle-rationales": shuffle_rationales,
             "--rationales": rationales != "forced", "--per-question": per_question,
             "--shard": shard, "--restart": restart, "--track": track},
        )  # fmt: skip
        console.say(f"Inference trains nothing: evaluate {student} as it is.")
        console.result({"run": None, "method": "inference", "student": student})
        console.next(command_text("eval", "--model", student, *(["--dataset", dataset] if dataset else [])))
        return
    options = DistillOptions(
        alpha=alpha, method=method, dataset=dataset, student=student, limit=limit, valid_limit=valid_limit,
        gates=gates, usefulness=usefulness, usefulness_model=usefulness_model, samples=samples, icl=icl,
        shuffle_rationales=shuffle_rationales, rationales=rationales, per_question=per_question, choose=choose,
        recipe=recipe,
        settings={name: value for name, value in given.items() if value is not None},
        save_every=60 * save_every, shard=shard, restart=restart, track=track, trust_remote_code=trust_remote_code,
        command=command_line(),
    )  # fmt: skip
    check_options(options)
    show = partial(_show_part, console)
    with session.project(create=dataset is not None) as project, console.events(show) as on_event:
        if dry_run:
            planned = api.plan_distillation(project, on_event=on_event, **options)
            show_plan(console, planned)
            console.result(planned.summary())
            console.say("Nothing was trained.")
            return
        run = api.distill(project, on_event=on_event, **options)
    if first:
        show_run(console, run)


def _check_inference(settings: Mapping[str, object], given: Mapping[str, object]) -> None:
    """Raises UsageProblem for an option of a training; `given` holds those that are no settings."""
    from tinyllm_cli.records.settings import TrainSettings

    names = {"reading": "--loss"}
    usual = {one.name: one.default for one in fields(TrainSettings)}
    changed = (name for name, value in settings.items() if value not in (None, usual[name]))
    options = [option for option, value in given.items() if value]
    options += [names.get(name, f"--{name.replace('_', '-')}") for name in changed]
    if options:
        raise UsageProblem(
            f"Inference trains nothing, so {options[0]} has no effect.", f"Remove {options[0]} or --method."
        )


def _show_part(console: Console, part: object) -> None:
    if isinstance(part, DistillationPlan):
        show_plan(console, part)


def check_names(schedule: str, optimizer: str) -> None:
    """Names that transformers defines, before anything is loaded."""
    from tinyllm_cli.training.optimizers import SCHEDULES, optimizer_names

    if schedule not in SCHEDULES:
        raise UsageProblem(f"There is no schedule '{schedule}'.", f"Schedules: {', '.join(SCHEDULES)}.")
    if optimizer != "adamw_torch_fused" and optimizer not in optimizer_names():
        raise UsageProblem(f"There is no optimizer '{optimizer}'.", f"Optimizers: {', '.join(optimizer_names())}.")
