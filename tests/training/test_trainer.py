"""The training loop and the run around it, on tiny models with real gradients."""

from __future__ import annotations

import errno
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_questions, write_dataset
from tests.models import KINDS, add_dropout, make_folder, record_run, weights
from tinyllm_cli.api.training_events import TrainingEvents
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.errors import TinyLLMError, WorldProblem
from tinyllm_cli.events import Progress as ShownProgress
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import SelectBy, TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.students.predict import rank
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.training.checkpoint import state_folder
from tinyllm_cli.training.data import TrainingPlan, load_training_data, training_questions
from tinyllm_cli.training.distill import RunControl, distill, finished, run_folder
from tinyllm_cli.training.environment import precision_context
from tinyllm_cli.training.gradient import StepLosses
from tinyllm_cli.training.model_card import model_card
from tinyllm_cli.training.objective import Objective
from tinyllm_cli.training.progress import History, Progress, StepReport, ValidPoint
from tinyllm_cli.training.steps import Training, step_batches
from tinyllm_cli.training.trainer import checkpoint_steps


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student"), request.param)


def taught(student: Student, count: int = 8) -> list[list[Example]]:
    return [student.encode(lesson.tasks, Limits()) for lesson in training_questions(make_questions(count), {}, [])]


def train_once(folder: Path, watch: Callable[[StepReport], None] = lambda report: None, **changes: Any) -> Student:
    """The student of `folder` after training with dropout."""
    student = load_student(str(folder))
    add_dropout(student, 0.1)
    settings = TrainSettings(**{"epochs": 2, "batch_size": 4, "lr": 1e-3, "precision": "float32", **changes})
    for report in Training(student, taught(student), settings).steps():
        watch(report)
    return student


def same(one: Student, other: Student) -> bool:
    theirs = weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in weights(one).items())


def test_the_same_seed_gives_the_same_weights_bit_for_bit(folder: Path) -> None:
    assert same(train_once(folder, seed=3), train_once(folder, seed=3))


def test_another_seed_gives_other_weights(folder: Path) -> None:
    assert not same(train_once(folder, seed=3), train_once(folder, seed=4))


def test_micro_batches_of_any_size_end_with_the_same_weights_with_dropout(folder: Path) -> None:
    one, other = weights(train_once(folder, token_budget=5000)), weights(train_once(folder, token_budget=64))
    assert all(torch.allclose(value, other[name], atol=1e-4) for name, value in one.items())


def test_the_last_steps_student_is_in_eval_mode_and_has_learned(folder: Path) -> None:
    losses: list[float] = []
    student = train_once(folder, lambda report: losses.append(report.losses["answer"]), epochs=6)
    assert not student.model.training
    assert losses[-1] < losses[0]


def test_bfloat16_autocast_trains_float32_weights(folder: Path) -> None:
    losses: list[float] = []
    student = train_once(folder, lambda report: losses.append(report.losses["answer"]), precision="bfloat16", epochs=6)
    assert {value.dtype for value in weights(student).values()} == {torch.float32}
    assert losses[-1] < losses[0]
    assert not same(student, train_once(folder, epochs=6))


def test_float16_is_never_used() -> None:
    assert precision_context("float32", "cpu") is None
    chosen: Any = precision_context("auto", "cpu")
    assert chosen is None or chosen.fast_dtype == torch.bfloat16


def steps_of(folder: Path, *, late: bool, **changes: Any) -> tuple[Training, list[StepReport]]:
    """A training at its end, or at a step that is not finite, with the reports of its steps. `late`: as on a GPU, where
    no step waits for its results."""
    student = load_student(str(folder))
    add_dropout(student, 0.1)
    settings = TrainSettings(**{"epochs": 3, "batch_size": 4, "lr": 1e-3, "precision": "float32", **changes})
    training = Training(student, taught(student), settings)
    assert training.guard.possible == (settings.optimizer == "adamw_torch_fused")
    assert not training.late
    training.late = late
    return training, []


def test_showing_progress_waits_for_a_gpu_twice_a_second_at_most(store: Store, folder: Path, tmp_path: Path) -> None:
    """Losses that nobody reads stay on the device; those of the last step are shown in any case."""
    shown: list[ShownProgress] = []
    events = TrainingEvents(lambda event: isinstance(event, ShownProgress) and shown.append(event), None, 10_000)
    events._shown = time.monotonic() + 3600  # as if the step before had just been shown
    row = record_run(store, tmp_path)
    training, reports = steps_of(folder, late=True)
    for report in training.steps():
        events(Progress(run=row, report=report))
        reports.append(report)
    *before, last = [isinstance(report.losses, StepLosses) and report.losses.read for report in reports]
    assert last
    assert not any(before)
    assert [event.done for event in shown] == [training.total]


def test_losses_that_are_read_late_change_nothing(folder: Path) -> None:
    found = []
    for late in (False, True):
        training, reports = steps_of(folder, late=late)
        reports += training.steps()
        found.append(([dict(report.losses) for report in reports], training.student))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("broken", [2, 3, 6])
def test_a_step_that_is_not_finite_leaves_the_weights_of_the_one_before(
    folder: Path, late: bool, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, reports = steps_of(folder, late=late)
    weigh, calls, before = training.objective.token_weights, count(1), {}

    def token_weights(_self: Objective, step: Any) -> list[float]:
        number = next(calls)
        if number == broken:
            before.update(weights(training.student))
        return [math.inf if number == broken else weight for weight in weigh(step)]

    monkeypatch.setattr(Objective, "token_weights", token_weights)
    with pytest.raises(TinyLLMError, match=f"no finite loss or weights at step {broken}"):
        reports += training.steps()
    after = weights(training.student)
    assert training.done == broken - 1
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_run_that_reads_late_is_resumed_to_the_same_weights(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, epochs=2, evals_per_epoch=1)
    whole, expected = final_weights(store, plan)
    begin = Training.__init__

    def late(self: Training, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.late = True

    monkeypatch.setattr(Training, "__init__", late)
    interrupted_training(store, plan, 4, KeyboardInterrupt(), save_every=3600.0, restart=True)
    done, found = final_weights(store, plan, restart=True)
    assert done.id != whole.id
    assert done.metrics["curve"] == whole.metrics["curve"]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def updates(folder: Path, **changes: Any) -> list[float]:
    """The largest change of a weight in each of four steps. Adam moves a weight by the learning rate when its
    gradient stays the same, as it does here: one batch, no dropout, a tiny learning rate."""
    student = load_student(str(folder))
    student.model.double().set_attn_implementation("sdpa")
    before, found = weights(student), []

    def watch(report: StepReport) -> None:
        nonlocal before
        after = weights(student)
        found.append(max(float((after[name] - value).abs().max()) for name, value in before.items()))
        before = after

    settings = TrainSettings(**{"epochs": 4, "lr": 1e-6, "precision": "float32", **changes})
    for report in Training(student, taught(student), settings).steps():
        watch(report)
    return [update / settings.lr for update in found]


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1]),
        ("linear", 0, [1, 0.75, 0.5, 0.25]),
        ("cosine", 0, [1, 0.854, 0.5, 0.146]),
        ("linear", 2, [0, 0.5, 1, 0.5]),
    ],
)
def test_the_schedule_sets_the_learning_rate(folder: Path, schedule: str, warmup: int, expected: list[float]) -> None:
    assert updates(folder, schedule=schedule, warmup_steps=warmup) == pytest.approx(expected, abs=0.03)


SETTINGS = st.builds(
    TrainSettings,
    epochs=st.integers(1, 5),
    batch_size=st.integers(1, 9),
    evals_per_epoch=st.integers(1, 6),
    seed=st.integers(0, 9),
)


@given(settings=SETTINGS, count=st.integers(1, 60))
def test_checkpoints_are_spread_evenly_and_the_last_step_is_one(settings: TrainSettings, count: int) -> None:
    steps, chosen = settings.steps(count), sorted(checkpoint_steps(count, settings))
    assert chosen[-1] == steps
    assert chosen[0] >= 1
    assert len(chosen) == min(steps, settings.epochs * settings.evals_per_epoch)
    gaps = [after - before for before, after in zip([0, *chosen], chosen, strict=False)]
    assert max(gaps) - min(gaps) <= 1


@given(settings=SETTINGS, count=st.integers(1, 60))
def test_every_epoch_has_every_lesson_once_with_all_its_tasks(settings: TrainSettings, count: int) -> None:
    def example(number: int, name: str) -> Example:
        return Example.single(name, (number,), (1,))

    taught = [[example(number, name) for name in ("answer", "t5")] for number in range(count)]
    batches = list(step_batches(taught, settings))
    assert len(batches) == settings.steps(count)
    assert all(len(batch) <= 2 * settings.batch_size for batch in batches)
    seen = [(one.input[0], one.spans[0].name) for batch in batches for one in batch]
    everything = [(number, name) for number in range(count) for name in ("answer", "t5")]
    for epoch in range(settings.epochs):
        assert sorted(seen[epoch * 2 * count : (epoch + 1) * 2 * count]) == everything
    assert [[one.input for one in b] for b in step_batches(taught, settings)] == [[o.input for o in b] for b in batches]


def test_epochs_have_different_orders() -> None:
    alone = [[Example.single("answer", (n,), (1,))] for n in range(20)]
    [first], [second] = (
        [[one.input[0] for one in batch] for batch in step_batches(alone, TrainSettings(batch_size=20, seed=seed))]
        for seed in (0, 1)
    )
    both = [one.input[0] for batch in step_batches(alone, TrainSettings(batch_size=20, epochs=2)) for one in batch]
    assert first == both[:20] != both[20:]
    assert first != second


def contrary(folder: Path) -> Path:
    """Valid asks what train asks and wants another answer: learning train by heart unlearns valid."""
    write_dataset(folder, train=12)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    moved = [{**row, "id": f"v{row['id']}", "answer_index": (row["answer_index"] + 1) % 4} for row in rows]
    (folder / "valid.jsonl").write_text("".join(json.dumps(row) + "\n" for row in moved), encoding="utf-8")
    return folder


def planned(store: Store, data: Path, student: Path, **changes: Any) -> TrainingPlan:
    name = ingest(store, from_path(data)).name
    settings = TrainSettings(**{"batch_size": 4, "lr": 3e-3, "precision": "float32", **changes})
    return TrainingPlan(
        method="finetune", dataset=name, student=str(student), teachers=(), settings=settings,
        command="tinyllm distill --alpha 0",
    )  # fmt: skip


def run(store: Store, plan: TrainingPlan, watch: Callable[[Progress, Student], None]) -> Run:
    student = load_student(plan.student)
    return distill(store, plan, student, load_training_data(store, plan), lambda progress: watch(progress, student))


def trained(store: Store, plan: TrainingPlan, watch: Callable[[Progress], None], **control: Any) -> Run:
    data = load_training_data(store, plan)
    return distill(store, plan, load_student(plan.student), data, watch, RunControl(**control))


def test_the_checkpoint_with_the_best_valid_accuracy_is_what_is_on_disk(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    kept: dict[int, dict[str, Any]] = {}

    def watch(progress: Progress, student: Student) -> None:
        if progress.valid:
            kept.setdefault(progress.valid[-1][0], weights(student))

    plan = planned(store, contrary(tmp_path / "toy"), folder, epochs=30, evals_per_epoch=1, schedule="constant")
    done = run(store, plan, watch)
    curve = done.metrics["valid"]
    best = max(curve, key=lambda point: (point["accuracy"], -point["loss"]))
    assert curve[-1]["accuracy"] < best["accuracy"], (
        "the last checkpoint must not be the best for this to test anything"
    )
    assert done.metrics["best_step"] == best["step"]
    on_disk = weights(load_student(done.folder))
    assert all(torch.equal(value, on_disk[name]) for name, value in kept[best["step"]].items())
    card = (Path(done.folder) / "README.md").read_text("utf-8")
    assert f"step {best['step']}, chosen on the valid split by accuracy" in card


def test_without_a_valid_split_the_last_checkpoint_is_kept(store: Store, folder: Path, tmp_path: Path) -> None:
    last: list[dict[str, Any]] = []
    plan = planned(store, write_dataset(tmp_path / "toy", train=6), folder, epochs=2)
    done = run(store, plan, lambda progress, student: last.append(weights(student)))
    assert done.metrics["best_step"] == done.metrics["steps"] == 4
    on_disk = weights(load_student(done.folder))
    assert all(torch.equal(value, on_disk[name]) for name, value in last[-1].items())


def stop_at(step: int, error: BaseException) -> Callable[[Progress, Student], None]:
    def watch(progress: Progress, student: Student) -> None:
        if progress.report and progress.report.step == step and len(progress.valid) == step - 1:
            raise error

    return watch


def test_ctrl_c_marks_the_run_as_stopped_and_keeps_its_best_checkpoint(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, evals_per_epoch=3)
    with pytest.raises(KeyboardInterrupt):
        run(store, plan, stop_at(2, KeyboardInterrupt()))
    [stopped] = store.runs.everything()
    assert (stopped.state, stopped.error) == ("stopped", "stopped by the user")
    assert stopped.finished
    assert stopped.metrics["steps"] == 2
    assert stopped.metrics["best_step"] == 1
    assert load_student(stopped.folder)
    assert store.runs.latest() is None


def test_a_student_that_could_not_be_saved_is_not_the_best(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation goes by the step that the figures name: it must be the one on the disk."""
    saved: list[int] = []

    def save(*arguments: Any, **options: Any) -> None:
        if saved:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(1)
        save_student(*arguments, **options)

    monkeypatch.setattr("tinyllm_cli.training.trainer.save_student", save)
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, epochs=6, evals_per_epoch=2)
    with pytest.raises(OSError, match="No space"):
        run(store, plan, lambda progress, student: None)
    [failed] = store.runs.everything()
    assert failed.state == "failed"
    assert [point["step"] for point in failed.metrics["valid"]] == [failed.metrics["best_step"]]


def test_a_failure_marks_the_run_as_failed_with_the_reason(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, evals_per_epoch=3)
    with pytest.raises(RuntimeError):
        run(store, plan, stop_at(2, RuntimeError("the machine ran out of memory\nwith a long tail")))
    [failed] = store.runs.everything()
    assert (failed.state, failed.error) == ("failed", "RuntimeError: the machine ran out of memory")


def test_what_the_limits_cut_is_counted(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=5), folder, max_input=16, max_target=2)
    figures = run(store, plan, lambda progress, student: None).metrics
    assert (figures["questions"], figures["inputs_cut"], figures["targets_cut"]) == (5, 5, 5)
    assert figures["peak_memory"].keys() == {"host"}
    assert 10**8 < figures["peak_memory"]["host"] < 10**11, "bytes of a process that has loaded torch"


def interrupted_training(
    store: Store, plan: TrainingPlan, step: int, error: BaseException, *, save_every: float = 0.0, restart: bool = False
) -> None:
    """Train until the watch raises `error` at `step`, as a process that ends there."""

    def watch(progress: Progress) -> None:
        if progress.report and progress.report.step == step:
            raise error

    with pytest.raises(type(error)):
        trained(store, plan, watch, save_every=save_every, restart=restart)


def final_weights(store: Store, plan: TrainingPlan, *, restart: bool = False) -> tuple[Run, dict[str, Any]]:
    done = trained(store, plan, lambda progress: None, restart=restart)
    return done, weights(load_student(done.folder))


@pytest.mark.parametrize("save_every", [0.0, 3600.0], ids=["a state after every step", "no state before the end"])
@pytest.mark.parametrize("step", [1, 3, 4, 7, 12])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("killed")], ids=["interrupted", "failed"])
def test_an_interrupted_run_resumes_to_the_same_weights(
    store: Store, folder: Path, tmp_path: Path, step: int, save_every: float, error: BaseException
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, epochs=4, evals_per_epoch=1)
    interrupted_training(store, plan, step, error, save_every=save_every)
    [half] = store.runs.everything()
    assert half.state in ("stopped", "failed")
    done, found = final_weights(store, plan)
    whole, expected = final_weights(store, plan, restart=True)
    assert (done.id, done.state, done.error) == (half.id, "done", None)
    assert done.metrics["steps"] == whole.metrics["steps"] == 12
    assert done.metrics["valid"] == whole.metrics["valid"]
    assert done.metrics["curve"] == whole.metrics["curve"]
    assert done.metrics["best_step"] == whole.metrics["best_step"]
    if isinstance(error, KeyboardInterrupt):
        for stage in ("training_seconds", "evaluating_seconds"):
            assert done.metrics[stage] >= half.metrics[stage], "what was spent before the end counts"
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not list(Path(done.folder).parent.glob(".*")), "the state of a run that is done is of no use"


def test_a_training_that_patience_ended_does_not_resume(store: Store, folder: Path, tmp_path: Path) -> None:
    """Interrupted while the evaluation that exhausts its patience is shown."""
    plan = planned(store, contrary(tmp_path / "toy"), folder, epochs=30, evals_per_epoch=1, patience=2)

    def watch(progress: Progress) -> None:
        merits = [(point.accuracy, -point.loss) for point in progress.valid]
        if merits and len(merits) - 1 - merits.index(max(merits)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(store, plan, watch, save_every=0)
    done, found = final_weights(store, plan)
    whole, expected = final_weights(store, plan, restart=True)
    assert done.id != whole.id
    assert whole.metrics["steps"] < 90
    assert (done.metrics["steps"], done.metrics["valid"]) == (whole.metrics["steps"], whole.metrics["valid"])
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_only_the_same_training_is_resumed(store: Store, folder: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "toy", train=12, valid=4)
    plan = planned(store, data, folder)
    interrupted_training(store, plan, 2, KeyboardInterrupt())
    other, _ = final_weights(store, planned(store, data, folder, lr=1e-3))
    again, _ = final_weights(store, plan)
    anew = replace(plan, command=f"{plan.command} --restart")
    fresh, _ = final_weights(store, anew, restart=True)
    assert [other.id, again.id, fresh.id] == [2, 1, 3]
    interrupted_training(store, anew, 2, KeyboardInterrupt(), restart=True)
    resumed, _ = final_weights(store, anew, restart=True)
    once_more, _ = final_weights(store, anew, restart=True)
    assert [resumed.id, once_more.id] == [4, 5], "an interrupted fresh run resumes as well"


def test_a_run_that_is_done_is_found_as_long_as_its_student_and_its_questions_are_the_same(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    assert finished(store, plan, load_training_data(store, plan)) is None
    done, _ = final_weights(store, plan)
    found = finished(store, plan, load_training_data(store, plan))
    assert found is not None
    assert found.id == done.id
    other = planned(store, write_dataset(tmp_path / "toy", train=12, valid=5), folder)
    assert finished(store, other, load_training_data(store, other)) is None, (
        "another valid split chooses another checkpoint"
    )
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    (Path(done.folder) / "config.json").unlink()
    assert finished(store, plan, load_training_data(store, plan)) is None


def test_a_training_that_another_process_ended_meanwhile_is_not_done_again(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    """It was asked for before the student was loaded, which takes seconds."""
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    done, _ = final_weights(store, plan)
    again, _ = final_weights(store, plan)
    assert again == done
    assert len(store.runs.everything()) == 1


def test_a_state_of_an_earlier_database_is_not_resumed(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    interrupted_training(store, plan, 2, KeyboardInterrupt())
    [half] = store.runs.everything()
    assert not Path(half.folder).exists(), "no student was saved yet"
    assert state_folder(Path(half.folder)).exists()
    assert run_folder(store.path, half, plan).name == f"{Path(half.folder).name}-2"


@pytest.mark.parametrize("evaluations", [1, 2])
def test_an_interruption_during_the_report_of_an_evaluation_counts_it_once(
    store: Store, folder: Path, tmp_path: Path, evaluations: int
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, epochs=4, evals_per_epoch=1)

    def watch(progress: Progress) -> None:
        if len(progress.valid) == evaluations:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(store, plan, watch, save_every=3600)
    done, _ = final_weights(store, plan)
    assert [point["step"] for point in done.metrics["valid"]] == [3, 6, 9, 12]


def test_a_best_student_is_known_to_a_state_at_once(store: Store, folder: Path, tmp_path: Path) -> None:
    """Or a kill in the next minutes leaves a student on disk of which the run knows nothing."""
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, epochs=4, evals_per_epoch=1)
    states = []

    def watch(progress: Progress) -> None:
        if progress.report and progress.report.step == 4:
            states.extend(state_folder(Path(progress.run.folder)).glob("step-*/state.json"))

    trained(store, plan, watch, save_every=3600)
    assert [path.parent.name for path in states] == ["step-000000003-1"]


def test_a_run_that_another_process_is_at_is_left_to_it(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    interrupted_training(store, plan, 2, KeyboardInterrupt())
    with store.runs.claiming(1) as held:
        assert held
        with pytest.raises(WorldProblem, match="Another process"):
            final_weights(store, plan)
    assert final_weights(store, plan)[0].id == 1


def test_a_killed_run_is_found_out(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder)
    interrupted_training(store, plan, 2, KeyboardInterrupt())
    store.runs.resume(1)
    with store.runs.claiming(1):
        store.runs.mark_killed()
        assert [run.state for run in store.runs.everything()] == ["running"]
    store.runs.mark_killed()
    assert [(run.state, run.error) for run in store.runs.everything()] == [("stopped", "killed")]


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradient(folder: Path) -> None:
    budgets: list[int] = []

    def trained(failures: int) -> Student:
        student = load_student(str(folder))
        left = [failures]

        def short_of_memory(*_: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")

        training = Training(student, taught(student), TrainSettings(batch_size=4, lr=1e-3, precision="float32"))
        student.model.register_forward_pre_hook(short_of_memory)
        budgets.extend(report.token_budget for report in training.steps())
        return student

    expected = weights(trained(0))
    found = weights(trained(2))
    assert budgets == [3000, 3000, 750, 750]
    assert all(torch.allclose(value, found[name], rtol=1e-3, atol=1e-5) for name, value in expected.items())


def test_a_run_records_its_machine_and_is_another_run_elsewhere(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=4), folder, precision="auto")
    done, _ = final_weights(store, plan)
    here = done.settings.environment
    assert here is not None
    assert here.device == f"cpu ({torch.backends.cpu.get_cpu_capability()})"
    native = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
    assert (here.precision, here.threads) == ("bfloat16" if native else "float32", torch.get_num_threads())
    assert done.versions.keys() >= {"tinyllm", "torch", "transformers", "numpy"}
    assert done.metrics["packed"] is True
    for other in (replace(here, threads=here.threads + 1), replace(here, device="cuda (NVIDIA H200)")):
        monkeypatch.setattr("tinyllm_cli.training.distill.environment_of", lambda _, other=other: other)
        assert finished(store, plan, load_training_data(store, plan)) is None
    monkeypatch.undo()
    assert finished(store, plan, load_training_data(store, plan)) == done
    monkeypatch.setattr("tinyllm_cli.training.distill.versions", lambda: {**done.versions, "torch": "2.0.0"})
    assert finished(store, plan, load_training_data(store, plan)) is None


@pytest.mark.parametrize("valid", [0, 4])
def test_a_training_that_diverges_in_its_last_step_fails_and_keeps_no_student(
    store: Store, folder: Path, tmp_path: Path, valid: int
) -> None:
    sizes = {"train": 4, **({"valid": valid} if valid else {})}
    plan = planned(store, write_dataset(tmp_path / "toy", **sizes), folder, lr=1e38, schedule="constant")
    with pytest.raises(TinyLLMError, match=r"diverged|not finite"):
        final_weights(store, plan)
    [failed] = store.runs.everything()
    assert (failed.state, failed.metrics["steps"], failed.metrics["best_step"]) == ("failed", 1, None)
    assert not Path(failed.folder).exists()


def test_equal_checkpoints_keep_the_first_one(store: Store, folder: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "toy", train=12, valid=4)
    plan = planned(store, data, folder, lr=0.0, epochs=3, evals_per_epoch=1)
    figures = final_weights(store, plan)[0].metrics
    assert len({(point["accuracy"], point["loss"]) for point in figures["valid"]}) == 1
    assert (figures["best_step"], figures["steps"]) == (3, 9)


POINTS = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 9)), min_size=1, max_size=9)


@given(points=POINTS, select_by=st.sampled_from(["accuracy", "loss"]))
def test_the_first_of_the_best_is_kept(points: list[tuple[float, float]], select_by: SelectBy) -> None:
    history = History()
    for step, (accuracy, loss) in enumerate(points, start=1):
        point = ValidPoint(step, accuracy, loss)
        history.best_step = step if history.improves(point, select_by) else history.best_step
        history.valid.append(point)
    merits = [(accuracy, -loss) if select_by == "accuracy" else (-loss, accuracy) for accuracy, loss in points]
    best = merits.index(max(merits))
    assert history.best_step == best + 1
    assert history.without_improvement() == len(points) - 1 - best
    assert History.from_json(json.loads(json.dumps(asdict(history)))) == history


def test_valid_loss_chooses_the_checkpoint_where_it_is_asked_to(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, contrary(tmp_path / "toy"), folder, epochs=6, evals_per_epoch=1, select_by="loss")
    done, _ = final_weights(store, plan)
    losses = [point["loss"] for point in done.metrics["valid"]]
    assert done.metrics["best_step"] == done.metrics["valid"][losses.index(min(losses))]["step"]
    student = load_student(done.folder)
    [valid] = [list(store.questions.iterate("toy", "valid"))]
    found = [-(one.scores or ())[q.answer] for q in valid for one in rank(student, [q], Limits())]
    assert sum(found) / len(found) == pytest.approx(min(losses), rel=1e-3)


def test_a_model_card_shows_names_and_texts_as_they_are(store: Store, tmp_path: Path) -> None:
    run = record_run(store, tmp_path / "student", dataset="a|b <i>c</i>", prefixes={"x|y\n# z": "p: "})
    versions = {"tinyllm": "1"}
    sources = {"x|y\n# z": {"rationales": 3, "model": "m|`n`", "recipe": "r_s", "digest": "d"}}
    named = replace(run, versions=versions, sources=sources, command="tinyllm distill \u202e -d 'x\n\ny'")
    card = model_card(named, 4, 0.5)
    [row] = [line for line in card.splitlines() if line.startswith("| rationales of")]
    assert row == r"| rationales of x\|y \# z | 3 by m\|\`n\`, prompt 'r\_s', digest d |"
    assert r"# tiny on a\|b &lt;i>c&lt;/i>" in card
    assert "    tinyllm distill -d 'x y'\n" in card
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in rows)
