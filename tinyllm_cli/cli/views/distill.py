"""What the terminal shows of a training: before it, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.session import Session

if TYPE_CHECKING:
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.training.data import TrainingData, TrainingPlan
    from tinyllm_cli.training.progress import Progress
    from tinyllm_cli.training.tracking import Tracker


def train(
    session: Session,
    store: Any,
    plan: TrainingPlan,
    student: Any,
    material: TrainingData,
    *,
    save_every: float,
    restart: bool,
    tracker: Tracker | None,
) -> Run:
    from tinyllm_cli.errors import InterruptedByUser
    from tinyllm_cli.signals import ended_like_interrupted
    from tinyllm_cli.training.distill import RunControl
    from tinyllm_cli.training.distill import distill as distill_stage

    with session.console.meter("training") as meter:
        watch = _Watch(session, meter, tracker, plan.settings.budget_on(student.device))
        try:
            with ended_like_interrupted():
                control = RunControl(save_every=save_every, restart=restart)
                return distill_stage(store, plan, student, material, watch, control)
        except KeyboardInterrupt as error:
            raise InterruptedByUser(
                "Stopped. The run is marked as stopped; its state is kept, and its best checkpoint, if there was one.",
                "Run the same command to go on where it stopped.",
            ) from error
        finally:
            if tracker is not None:
                tracker.finish()


class _Watch:
    """Shows the progress of a training, and what happens to it only now and then once."""

    def __init__(self, session: Session, meter: Any, tracker: Tracker | None, budget: int) -> None:
        self._console, self._meter, self._tracker = session.console, meter, tracker
        self._resumed_at, self._unsaved, self._budget = 0, "", budget

    def __call__(self, progress: Progress) -> None:
        if self._tracker is not None:
            self._tracker(progress)
        report = progress.report
        if progress.resumed_at != self._resumed_at:
            self._resumed_at = progress.resumed_at
            self._console.note(f"Run {progress.run.id} resumes after step {progress.resumed_at}.")
        if progress.unsaved and progress.unsaved != self._unsaved:
            self._console.note(f"The run's state could not be written; the one before is kept ({progress.unsaved}).")
        self._unsaved = progress.unsaved
        if report is None:
            return
        before, self._budget = self._budget, report.token_budget
        if report.token_budget < before:
            self._console.note(
                f"Out of memory: micro-batches of {self._budget} tokens from now on. The gradient stays the same."
            )
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in report.losses.items())
        valid = f" valid {progress.valid[-1][1]:.1%}" if progress.valid else ""
        rate = f" {report.tokens / report.seconds:.0f} tokens/s" if report.seconds else ""
        self._meter(report.step, report.steps, f"loss: {losses}{valid}{rate}")


def announce(session: Session, plan: TrainingPlan, material: TrainingData, *, chosen: bool) -> None:
    console = session.console
    if chosen:
        console.note(f"Data set: {plan.dataset} (the only one that fits).")
    weights = ", ".join(f"{voice.teacher}={voice.alpha:g}" for voice in plan.voices if voice.alpha > 0)
    counts = ", ".join(_counted(plan, name, record) for name, record in material.lineage.items())
    console.note(
        f"{plan.method}: {plan.student} on {len(material.training_questions)} questions of {plan.dataset}"
        + (f" with {counts} (alpha {weights})." if weights else ", answers alone.")
    )
    if not material.valid:
        console.note(f"{plan.dataset} has no valid split: the last checkpoint is kept, not the best.")


def _counted(plan: TrainingPlan, teacher: str, record: Mapping[str, Any]) -> str:
    if plan.teaching == "labels":
        return f"{record['answers']} answers of {teacher}"
    rejected = sum(record.get("rejected", {}).values())
    return f"{record['rationales']} rationales of {teacher}" + (f" ({rejected} rejected)" if rejected else "")


def say(session: Session, run: Run) -> None:
    figures = run.metrics
    cut = [
        f"{figures[key]} {name}" for key, name in (("inputs_cut", "inputs"), ("targets_cut", "targets")) if figures[key]
    ]
    if cut:
        session.console.say(
            f"Longer than the limit and cut: {' and '.join(cut)} (--max-input {run.settings.train.max_input},"
            f" --max-target {run.settings.train.max_target})."
        )
    valid = run.valid_accuracy
    accuracy = "" if valid is None else f", valid accuracy {valid:.1%} at step {figures['best_step']}"
    session.console.say(
        f"Run {run.id} ({run.method}): {figures['steps']} steps in {figures['training_seconds']:.0f} s"
        f" ({figures['questions_per_second']:.1f} questions/s){accuracy}."
    )
    session.console.say(f"Student: {run.folder}")
    session.console.result(
        {"run": run.id, "method": run.method, "folder": run.folder, "alpha": run.alpha, "figures": figures}
    )
    session.console.next(f"tinyllm eval --run {run.id}")
