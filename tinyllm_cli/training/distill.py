"""The distillation stage: train a student on what was gathered, and record it as a run that can be taken up again."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from itertools import count
from pathlib import Path

from tinyllm_cli import __version__
from tinyllm_cli.errors import Busy, UsageProblem
from tinyllm_cli.records.runs import Run, RunIdentity
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.students.saving import clear_up
from tinyllm_cli.training.checkpoint import discard_state, state_folder
from tinyllm_cli.training.data import TrainingData, TrainingPlan
from tinyllm_cli.training.distributed import process_group
from tinyllm_cli.training.keeper import OnProgress, Progress, Trainer

SAVE_EVERY = 300.0
"""Seconds between two states of a run on disk."""


def distill(
    store: Store,
    plan: TrainingPlan,
    student: Student,
    material: TrainingData,
    watch: OnProgress,
    *,
    save_every: float = SAVE_EVERY,
    restart: bool = False,
) -> Run:
    """Train `student` on `material`, keep the checkpoint with the best valid accuracy, and record it all as a run.

    An interrupted run of exactly this plan resumes from its last checkpoint, unless `restart`; a finished one is
    returned. The run's row says 'stopped' after Ctrl-C or a kill, and 'failed' after an error, whose
    reason it keeps.

    Started by torchrun or `accelerate launch`, all processes call this and share the work; the first keeps the
    records. Raises Busy when another process, not of these, is at the same run, and UsageProblem when
    `accelerate launch` was told to shard the student, which would not happen."""
    _refuse_sharding()
    with process_group() as processes, ExitStack() as held:
        run = (
            _taken_up_or_begun(store, plan, identity(plan, material), held, restart=restart)
            if processes.first
            else None
        )
        run = processes.broadcast_from_rank0(run)
        assert run is not None
        if run.state == "done":
            return run
        evaluated = 0

        def noting(progress: Progress) -> None:
            """Valid accuracies are in the run's row as they come, for whoever looks at a run that isn't over."""
            nonlocal evaluated
            if processes.first and len(progress.valid) > evaluated:
                evaluated = len(progress.valid)
                store.runs.note_metrics(run.id, keeper.figures())
            watch(progress)

        keeper = Trainer(run, plan, student, material, noting, save_every=save_every, processes=processes)
        if not processes.first:
            keeper.train()
            return run
        try:
            keeper.train()
        except KeyboardInterrupt:
            with signals_deferred():  # a second Ctrl-C waits for what the first one saves
                store.runs.finish(run.id, "stopped", keeper.figures(), "stopped by the user")
                keeper.save()
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            store.runs.finish(run.id, "failed", keeper.figures(), reason)
            raise
        store.runs.finish(run.id, "done", keeper.figures())
        discard_state(state_folder(Path(run.folder)))
    done = store.runs.find(run.id)
    assert done is not None
    return done


def finished(store: Store, plan: TrainingPlan, material: TrainingData) -> Run | None:
    """The run of exactly this plan that is done and whose student is still there."""
    return _whole(store.runs.same(identity(plan, material)))


def _whole(alike: Sequence[Run]) -> Run | None:
    return next((run for run in alike if run.state == "done" and Path(run.folder, "config.json").exists()), None)


def _refuse_sharding() -> None:
    for name, kind in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")):
        if os.environ.get(name, "").lower() == "true":
            raise UsageProblem(
                f"{kind} is not supported: every process holds the whole student.",
                "For less memory: --gradient-checkpointing, --lora-rank 8, or a smaller --token-budget.",
            )


def _taken_up_or_begun(store: Store, plan: TrainingPlan, wanted: RunIdentity, held: ExitStack, *, restart: bool) -> Run:
    """The run, and its lock in `held` unless it is done. With `restart`, only a run that the same
    command, also with --restart, began is resumed."""
    with store.writing():
        alike = [run for run in store.runs.same(wanted) if not restart or run.command == plan.command]
        whole = None if restart else _whole(alike)
        if whole is not None:  # another process has ended it meanwhile
            return whole
        earlier = next((run for run in alike if run.state != "done"), None)
        claimed = earlier is not None and held.enter_context(store.runs.claiming(earlier.id))
        if earlier is not None and not claimed and not restart:
            raise Busy(
                f"Run {earlier.id} is this very training, and another process is at it.",
                "Wait for it, or begin another one beside it with --restart.",
            )
        if earlier is None or not claimed:
            run = _begin(store, plan, wanted)
            held.enter_context(store.runs.claiming(run.id))
            return run
    clear_up(Path(earlier.folder))
    return store.runs.resume(earlier.id)


def identity(plan: TrainingPlan, material: TrainingData) -> RunIdentity:
    """What makes two trainings the same one."""
    return RunIdentity(
        method=plan.method,
        student=plan.student,
        dataset=plan.dataset,
        alpha={voice.teacher: voice.alpha for voice in plan.active},
        seed=plan.settings.seed,
        settings={
            **asdict(plan.settings),
            "limit": plan.limit,
            "prefixes": {voice.teacher: voice.prefix for voice in plan.active} if plan.told else {},
            **(plan.selection.identity() if plan.told else {}),
            "fingerprint": model_fingerprint(plan.student),
            "data": material.digest,
        },
        sources=material.lineage,
    )


def _begin(store: Store, plan: TrainingPlan, wanted: RunIdentity) -> Run:
    run = store.runs.start(wanted, command=plan.command, versions=versions())
    store.runs.locate(run.id, str(run_folder(store.path, run, plan)))
    begun = store.runs.find(run.id)
    assert begun is not None
    return begun


def run_folder(database: Path, run: Run, plan: TrainingPlan) -> Path:
    """`tinyllm-runs/3-flan-t5-small-obqa` beside `tinyllm.db`; never one that is there already, or a state of which is,
    such as that of an earlier database of the same name."""
    student = plan.student.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    parent, name = database.resolve().parent / f"{database.stem}-runs", f"{run.id}-{student}-{plan.dataset}"
    numbered = (parent / f"{name}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(folder for folder in numbered if not folder.exists() and not state_folder(folder).exists())


def versions() -> dict[str, str]:
    return {
        "tinyllm": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
