"""The distillation stage: train a student on the loaded data, and record it as a run that can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from tinyllm_cli.errors import Busy
from tinyllm_cli.records.runs import Run, RunIdentity
from tinyllm_cli.records.settings import RunSettings, SelectionRecord
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.students.saving import clear_up, is_student
from tinyllm_cli.training.checkpoint import discard_state, runs_root, state_folder
from tinyllm_cli.training.data import TrainingData, TrainingPlan
from tinyllm_cli.training.distributed import process_group
from tinyllm_cli.training.environment import environment_of, versions
from tinyllm_cli.training.model_card import model_card
from tinyllm_cli.training.progress import Progress
from tinyllm_cli.training.steps import Training
from tinyllm_cli.training.trainer import Keeping, Trainer

OnProgress = Callable[[Progress], None]

_NOTE_EVERY = 2.0
"""Seconds between two notes of the progress in the run's row."""


@dataclass(frozen=True, kw_only=True)
class RunControl:
    """How a run is begun and kept: `save_every` are the seconds between two states on disk, 0 saves after every step;
    `restart` begins a new run even where this one is done or could be resumed; `shard` divides the student among the
    processes, which does not make another run of it."""

    save_every: float = 300.0
    restart: bool = False
    shard: bool = False


def distill(
    store: Store,
    plan: TrainingPlan,
    student: Student,
    data: TrainingData,
    watch: OnProgress,
    control: RunControl = RunControl(),
) -> Run:
    """Train `student` on `data`, keep the best checkpoint on valid, and record it all as a run.

    An interrupted run of exactly this plan resumes from its last state, unless `control.restart`; a finished one is
    returned. The run's row says 'stopped' after Ctrl-C or a kill, and 'failed' with the reason after an error.

    Started by torchrun or `accelerate launch`, all processes call this and share the work; the first keeps the
    records. Raises Busy when another process, not of these, trains the same run."""
    with process_group(shards=control.shard) as processes, ExitStack() as held:
        training = Training(  # before the run: one that can't begin leaves no row
            student,
            encoded(student, data, Limits.of(plan.settings)),
            plan.settings,
            {one.teacher: one.alpha for one in plan.active},
            processes,
        )
        run = _resumed_or_begun(store, plan, identity(plan, data), held, control) if processes.first else None
        run = processes.broadcast_from_rank0(run)
        assert run is not None
        if run.state == "done":
            return run
        keeping = Keeping(
            valid=data.valid, extra_context=data.extra_context, card=partial(model_card, run),
            save_every=control.save_every,
        )  # fmt: skip
        trainer = Trainer(run, training, keeping)
        if processes.first:
            _train(store, run, trainer, watch)
        else:
            for progress in trainer.run():
                watch(progress)
            return run
    done = store.runs.find(run.id)
    assert done is not None
    return done


def _train(store: Store, run: Run, trainer: Trainer, watch: OnProgress) -> None:
    """Train to the end, and keep the run's row up to date."""
    evaluated, noted = 0, 0.0
    try:
        for progress in trainer.run():
            # A run that is not over shows its valid accuracies and how far it is.
            if len(progress.valid) > evaluated:
                evaluated, noted = len(progress.valid), time.monotonic()
                store.runs.note_metrics(run.id, trainer.figures())
            elif time.monotonic() - noted >= _NOTE_EVERY:
                noted = time.monotonic()
                store.runs.note_metrics_if_free(run.id, trainer.figures())
            watch(progress)
    except KeyboardInterrupt:
        with signals_deferred():  # a second Ctrl-C waits for what the first one saves
            store.runs.finish(run.id, "stopped", trainer.figures(), "stopped by the user")
            trainer.save()
        if trainer.progress.unsaved:
            watch(trainer.progress)
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        store.runs.finish(run.id, "failed", trainer.figures(), reason)
        raise
    store.runs.finish(run.id, "done", trainer.figures())
    discard_state(state_folder(Path(run.folder)))


def encoded(student: Student, data: TrainingData, limits: Limits) -> list[list[Example]]:
    """The examples of each training question, all tasks encoded in one call."""
    flat = iter(student.encode([task for one in data.training_questions for task in one.tasks], limits))
    return [[next(flat) for _ in one.tasks] for one in data.training_questions]


def finished(store: Store, plan: TrainingPlan, data: TrainingData) -> Run | None:
    """The run of exactly this plan, on a machine like this one, that is done and whose student still exists."""
    return _whole(store.runs.same(identity(plan, data)))


def _whole(alike: Sequence[Run]) -> Run | None:
    return next((run for run in alike if run.state == "done" and is_student(Path(run.folder))), None)


def _resumed_or_begun(
    store: Store, plan: TrainingPlan, wanted: RunIdentity, held: ExitStack, control: RunControl
) -> Run:
    """The run, and its lock in `held` unless it is done. With `restart`, only a run that the same command, also with
    --restart, began is resumed."""
    restart = control.restart
    with store.writing():
        alike = [run for run in store.runs.same(wanted) if not restart or run.command == plan.command]
        whole = None if restart else _whole(alike)
        if whole is not None:  # another process has finished it in the meantime
            return whole
        earlier = next((run for run in alike if run.state != "done"), None)
        claimed = earlier is not None and held.enter_context(store.runs.claiming(earlier.id))
        if earlier is not None and not claimed and not restart:
            raise Busy(
                f"Another process is training run {earlier.id}, which has this configuration.",
                "Wait for it, or begin another run with --restart.",
            )
        if earlier is None or not claimed:
            run = _begin(store, plan, wanted)
            held.enter_context(store.runs.claiming(run.id))
            return run
    clear_up(Path(earlier.folder))
    return store.runs.resume(earlier.id)


def identity(plan: TrainingPlan, data: TrainingData) -> RunIdentity:
    """What makes two trainings the same one: the plan, the data, and what of this machine can change the weights."""
    return RunIdentity(
        method=plan.method,
        student=plan.student,
        dataset=plan.dataset,
        alpha={one.teacher: one.alpha for one in plan.active},
        seed=plan.settings.seed,
        settings=RunSettings(
            train=plan.settings,
            limit=plan.limit,
            prefixes={one.teacher: one.prefix for one in plan.active} if plan.learns_rationales else {},
            selection=SelectionRecord(**plan.selection.identity()) if plan.learns_rationales else SelectionRecord(),
            fingerprint=model_fingerprint(plan.student),
            data=data.digest,
            environment=environment_of(plan.settings.precision),
        ),
        sources=data.lineage,
        versions=versions(),
    )


def _begin(store: Store, plan: TrainingPlan, wanted: RunIdentity) -> Run:
    run = store.runs.start(wanted, command=plan.command)
    store.runs.locate(run.id, str(run_folder(store.path, run, plan)))
    begun = store.runs.find(run.id)
    assert begun is not None
    return begun


def run_folder(database: Path, run: Run, plan: TrainingPlan) -> Path:
    """`tinyllm-runs/3-flan-t5-small-obqa` beside `tinyllm.db`; never one that is there already, or a state of which is,
    such as that of an earlier database of the same name."""
    student = plan.student.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    parent, name = runs_root(database), f"{run.id}-{student}-{plan.dataset}"
    numbered = (parent / f"{name}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(folder for folder in numbered if not folder.exists() and not state_folder(folder).exists())
