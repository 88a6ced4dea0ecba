"""The distillation stage: choose rationales, make lessons, train, keep the best checkpoint, record the run."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from tinyllm_cli import __version__
from tinyllm_cli.card import model_card
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.prompts import rationale_text
from tinyllm_cli.records import Run, Variant
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.store import runs as stored_runs
from tinyllm_cli.students.answering import rank
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.tasks import Lesson, Voice, lessons
from tinyllm_cli.training import StepReport, TrainSettings, train

_CURVE_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to distil into whom. An alpha of 0 for every teacher is full fine-tuning."""

    dataset: str
    student: str
    voices: tuple[Voice, ...]
    settings: TrainSettings
    limit: int | None = None
    command: str = ""

    @property
    def method(self) -> str:
        active = sum(voice.alpha > 0 for voice in self.voices)
        return ("finetune", "distill-step-by-step")[active] if active < 2 else "tinyllm"


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the student will learn from. `lineage` says which rationales, by teacher."""

    lessons: tuple[Lesson, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]


@dataclass(kw_only=True)
class Progress:
    """What a terminal shows while a run goes on. `valid` holds (step, accuracy)."""

    run: Run
    report: StepReport | None = None
    valid: list[tuple[int, float]] = field(default_factory=list)


Watch = Callable[[Progress], None]


def gather(store: Store, plan: Plan) -> Material:
    """Questions of train and valid with every active teacher's newest rationales.

    Raises UsageProblem when the data set has no train split, or a teacher wrote nothing for it."""
    sizes = stored_questions.splits(store, plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    texts: dict[str, Mapping[str, Sequence[str]]] = {}
    lineage: dict[str, Mapping[str, Any]] = {}
    known = stored_rationales.variants(store, plan.dataset, "train")
    for voice in plan.voices:
        if voice.alpha > 0:
            variant = fullest(known, voice.teacher, plan.dataset)
            texts[voice.teacher], lineage[voice.teacher] = _accepted(store, plan, variant, sizes["train"])
    train_split = stored_questions.iterate(store, plan.dataset, "train", plan.limit)
    return Material(
        lessons=tuple(lessons(train_split, texts, plan.voices)),
        valid=tuple(stored_questions.iterate(store, plan.dataset, "valid")),
        lineage=lineage,
    )


def fullest(variants: Sequence[Variant], teacher: str, dataset: str) -> Variant:
    """The way of asking `teacher` that covers most questions, of those that saw the gold answer if any did; of
    several the newest.

    Raises UsageProblem when there are none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split train.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    return max(own, key=lambda variant: (variant.teacher_forcing, variant.questions, variant.latest))


def _accepted(
    store: Store, plan: Plan, variant: Variant, train_size: int
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Usable texts by question key, and the record of which they were."""
    texts: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    empty = 0
    limit = plan.limit or train_size
    for rationale in stored_rationales.iterate(store, plan.dataset, "train", variant):
        if rationale.position >= limit:
            break
        text = rationale_text(rationale.text)
        if not text:
            empty += 1
            continue
        texts.setdefault(rationale.key, []).append(text)
        digest.update(f"{rationale.question}\0{rationale.sample}\0{text}\0".encode())
    if not texts:
        raise UsageProblem(
            f"None of {variant.teacher}'s rationales for {plan.dataset} has any text.",
            f"Ask again, in another way: tinyllm elicit --teacher {variant.teacher} --dataset {plan.dataset}",
        )
    record = {
        "model": variant.model,
        "revision": variant.revision,
        "recipe": variant.recipe,
        "sampling": variant.sampling,
        "questions": len(texts),
        "rationales": sum(map(len, texts.values())),
        "empty": empty,
        "digest": digest.hexdigest()[:16],
    }
    return texts, record


def distill(store: Store, plan: Plan, student: Student, material: Material, watch: Watch) -> Run:
    """Train `student` on `material`, keep the checkpoint with the best valid accuracy, and record it all as a run.

    The run's row says 'stopped' after Ctrl-C and 'failed' after an error, whose reason it keeps."""
    run = stored_runs.start(
        store,
        method=plan.method,
        student=plan.student,
        dataset=plan.dataset,
        alpha={voice.teacher: voice.alpha for voice in plan.voices if voice.alpha > 0},
        seed=plan.settings.seed,
        settings={
            **asdict(plan.settings),
            "limit": plan.limit,
            "prefixes": {voice.teacher: voice.prefix for voice in plan.voices if voice.alpha > 0},
        },
        lineage=material.lineage,
        command=plan.command,
        versions=versions(),
    )
    folder = run_folder(store.path, run, plan)
    stored_runs.locate(store, run.id, str(folder))
    keeper = _Keeper(store, run, plan, student, material, folder, watch)
    try:
        keeper.train()
    except KeyboardInterrupt:
        stored_runs.finish(store, run.id, "stopped", keeper.figures(), "stopped by the user")
        raise
    except Exception as error:
        stored_runs.finish(
            store, run.id, "failed", keeper.figures(), f"{type(error).__name__}: {error}".splitlines()[0]
        )
        raise
    stored_runs.finish(store, run.id, "done", keeper.figures())
    finished = stored_runs.find(store, run.id)
    assert finished is not None
    return finished


def run_folder(database: Path, run: Run, plan: Plan) -> Path:
    """`tinyllm-runs/3-flan-t5-small-obqa` beside `tinyllm.db`; never a folder that is there already, such as that of
    an earlier database of the same name."""
    student = plan.student.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    parent, name = database.resolve().parent / f"{database.stem}-runs", f"{run.id}-{student}-{plan.dataset}"
    numbered = (parent / f"{name}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(folder for folder in numbered if not folder.exists())


def versions() -> dict[str, str]:
    return {
        "tinyllm": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


class _Keeper:
    """Follows one training: measures, evaluates on valid, and keeps the best checkpoint on disk."""

    def __init__(
        self,
        store: Store,
        run: Run,
        plan: Plan,
        student: Student,
        material: Material,
        folder: Path,
        watch: Watch,
    ) -> None:
        self._store, self._run, self._plan, self._student = store, run, plan, student
        self._material, self._folder, self._watch = material, folder, watch
        self._progress = Progress(run=run)
        self._best: tuple[float, int] | None = None
        self._curve: list[dict[str, float]] = []
        self._training_seconds = 0.0
        self._tokens = 0
        self._examples: list[list[Example]] = []

    def train(self) -> None:
        settings = self._plan.settings
        for lesson in self._material.lessons:
            self._examples.append(self._student.encode(lesson.tasks, settings.limits))
        train(self._student, self._examples, settings, self._step, self._checkpoint)

    def _step(self, report: StepReport) -> None:
        self._training_seconds += report.seconds
        self._tokens += report.tokens
        if report.step % max(1, report.steps // _CURVE_POINTS) == 0 or report.step == report.steps:
            self._curve.append({"step": report.step, **{name: round(loss, 5) for name, loss in report.losses.items()}})
        self._progress.report = report
        self._watch(self._progress)

    def _checkpoint(self, step: int) -> None:
        """Equal accuracy goes to the later checkpoint; without a valid split only the last one counts."""
        accuracy = 0.0
        if not self._material.valid:
            if step < self._plan.settings.steps(len(self._examples)):
                return
        else:
            predictions = rank(self._student, self._material.valid, self._plan.settings.limits)
            accuracy = sum(prediction.correct for prediction in predictions) / len(self._material.valid)
            self._progress.valid.append((step, accuracy))
        if self._best is None or accuracy >= self._best[0]:
            self._best = (accuracy, step)
            card = model_card(self._run, step, accuracy if self._material.valid else None)
            save_student(self._student, self._folder, card)
        self._watch(self._progress)

    def figures(self) -> dict[str, Any]:
        flat = [example for examples in self._examples for example in examples]
        done = self._progress.report.step if self._progress.report else 0
        seen = min(done * self._plan.settings.batch_size, len(self._examples) * self._plan.settings.epochs)
        return {
            "questions": len(self._examples),
            "valid_questions": len(self._material.valid),
            "tasks": {name: sum(e.name == name for e in flat) for name in sorted({e.name for e in flat})},
            "inputs_cut": sum(example.input_cut for example in flat),
            "targets_cut": sum(example.target_cut for example in flat),
            "steps": done,
            "best_step": self._best[1] if self._best else None,
            "valid": [{"step": step, "accuracy": accuracy} for step, accuracy in self._progress.valid],
            "curve": self._curve,
            "training_seconds": round(self._training_seconds, 3),
            "tokens": self._tokens,
            "questions_per_second": round(seen / self._training_seconds, 3) if self._training_seconds else None,
        }
