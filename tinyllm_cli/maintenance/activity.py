"""What works on a database now, and what ended last: elicitations, trainings and plans of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.store import Store, now
from tinyllm_cli.store.inventory import PlanItem


@dataclass(frozen=True, kw_only=True)
class ElicitationActivity:
    """An elicitation. `state` is running, waiting (for batches), done, stopped, failed or killed. While it runs: `rate`
    in answers per second, `in_flight` requests, `left` requests neither answered nor in flight, and `endpoints` with
    their limits of requests in flight; null where nothing is noted yet."""

    id: int
    teacher: str
    model: str
    dataset: str
    split: str
    state: str
    replies: int
    failures: int
    rate: float | None
    in_flight: int | None
    left: int | None
    seconds_left: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    endpoints: Mapping[str, int]
    started: str
    finished: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class TrainingActivity:
    """A training. `state` is running, done, stopped, failed or killed. `losses` are the last ones by task, in nats per
    token; `valid` is the last accuracy on valid, `best` that of the student that is kept."""

    run: int
    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    state: str
    step: int
    steps: int | None
    losses: Mapping[str, float]
    valid: float | None
    best: float | None
    tokens_per_second: float | None
    seconds_left: float | None
    started: str
    finished: str | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class PlanActivity:
    """A plan of an experiment, with its cells by state. `state` is running, done, failed (some cells) or unfinished
    (nothing works on the pending cells)."""

    id: int
    name: str
    datasets: tuple[str, ...]
    state: str
    done: int
    failed: int
    pending: int
    running: int
    pruned: int
    created: str


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What runs, and what ended last; the newest first. `at` is the time of this state. Costs are in `currency`, an ISO
    4217 code; null while there are none."""

    at: str
    database: str
    currency: str | None
    elicitations: tuple[ElicitationActivity, ...]
    trainings: tuple[TrainingActivity, ...]
    plans: tuple[PlanActivity, ...]

    @property
    def running(self) -> int:
        """How many of them run."""
        states = [one.state for one in self.elicitations] + [one.state for one in self.trainings]
        return [*states, *(one.state for one in self.plans)].count("running")


def activity(store: Store, recent: int) -> Activity:
    """Everything that runs, and the `recent` latest of each kind."""
    plans = {one.id: one for one in store.inventory.plans()}
    return Activity(
        at=now(),
        database=str(store.path),
        currency=store.currency.code(),
        elicitations=tuple(_elicitation(row) for row in store.activity.elicitations(recent)),
        trainings=tuple(_training(row) for row in store.activity.trainings(recent)),
        plans=tuple(_plan(plans[number]) for number in store.activity.plans(recent) if number in plans),
    )


def _elicitation(row: Mapping[str, Any]) -> ElicitationActivity:
    running = row["state"] == "running"
    rate, left, in_flight = (row[name] if running else None for name in ("rate", "requests_left", "in_flight"))
    rest = left + in_flight if left is not None and in_flight is not None else None
    names = ("id", "teacher", "model", "dataset", "split", "replies", "failures", "prompt_tokens", "completion_tokens",
             "cost", "started", "finished", "error")  # fmt: skip
    return ElicitationActivity(
        **{name: row[name] for name in names},
        state="waiting" if running and row["batches"] else row["state"],
        rate=rate, in_flight=in_flight, left=left, endpoints=row["endpoints"] if running else {},
        seconds_left=rest / rate if rest is not None and rate else None,
    )  # fmt: skip


def _training(row: Mapping[str, Any]) -> TrainingActivity:
    metrics, running = row["metrics"], row["state"] == "running"
    valid, curve = metrics.get("valid") or [], metrics.get("curve") or []
    training = metrics.get("training_seconds")
    step, steps = metrics.get("steps", 0), metrics.get("total_steps")
    spent = (training or 0.0) + metrics.get("evaluating_seconds", 0.0)
    best = next((point["accuracy"] for point in valid if point["step"] == metrics.get("best_step")), None)
    names = ("method", "student", "dataset", "alpha", "seed", "started", "finished", "error")
    return TrainingActivity(
        **{name: row[name] for name in names},
        run=row["id"],
        state="killed" if row["state"] == "stopped" and row["error"] == "killed" else row["state"],
        step=step, steps=steps,
        losses={name: loss for name, loss in curve[-1].items() if name != "step"} if curve else {},
        valid=valid[-1]["accuracy"] if valid else None, best=best,
        tokens_per_second=metrics["tokens"] / training if training and "tokens" in metrics else None,
        seconds_left=spent / step * (steps - step) if running and step and steps else None,
    )  # fmt: skip


def _plan(one: PlanItem) -> PlanActivity:
    counts = {state: one.cells.get(state, 0) for state in ("done", "failed", "running", "pruned")}
    pending = one.cells.get("planned", 0)
    state = "running" if counts["running"] else "unfinished" if pending else "failed" if counts["failed"] else "done"
    return PlanActivity(
        id=one.id, name=one.name, datasets=one.datasets, state=state, pending=pending, created=one.created, **counts
    )
