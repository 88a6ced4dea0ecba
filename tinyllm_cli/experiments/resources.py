"""What a plan will take: time, by earlier runs; memory; and the space of the students on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

from tinyllm_cli.iteration import processors
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.experiments import CellTraining, ExperimentCell
from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.shape import student_shape
from tinyllm_cli.training.recipes import DEFAULT_RECIPE, Situation, with_recipe

_COPIES = 5
"""Weights, gradients, the optimizer's two moments and the best student being written, in float32."""

_BASE = 1.5e9
"""Bytes of the libraries and a batch."""


@dataclass(frozen=True, kw_only=True)
class History:
    """The runs and evaluations of this database."""

    runs: Sequence[Run]
    evaluations: Sequence[Evaluation]

    def student(self, name: str) -> list[Run]:
        """The finished runs of this student with a measured speed."""
        return [
            run for run in self.runs
            if run.student == name and run.state == "done" and run.metrics.get("questions_per_second")
        ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the cells of a plan will take. `seconds` is None until a run of each student is done, `disk` (bytes of the
    saved students, at most) where the size of one is unknown; `jobs` of the wanted processes fit, and `reason` says
    why not all."""

    trainings: int
    seconds: float | None
    disk: int | None
    jobs: int
    reason: str


def estimate(cells: Sequence[ExperimentCell], sizes: Mapping[str, int], wanted: int, history: History) -> Estimate:
    """`sizes` are the data sets' numbers of training questions, `wanted` the processes at the same time."""
    students = [cell.distill.student for cell in cells if cell.distill is not None]
    alike = {_kind(cell): cell for cell in cells}  # cells that differ in their seed alone take the same time
    time_of = {kind: seconds(cell, sizes, history) for kind, cell in alike.items()}
    times = [time_of[_kind(cell)] for cell in cells]
    known = [one for one in times if one is not None]
    size_of = {student: student_bytes(student, history) for student in dict.fromkeys(students)}
    place = [size_of[student] for student in students]
    jobs, reason = jobs_that_fit(list(dict.fromkeys(students)), wanted, history)
    return Estimate(
        trainings=len(students),
        seconds=sum(known) if len(known) == len(times) else None,
        disk=None if None in place else sum(filter(None, place)),
        jobs=jobs,
        reason=reason,
    )


def _kind(cell: ExperimentCell) -> tuple[object, ...]:
    """What `seconds` depends on, besides the history."""
    training = cell.distill
    if training is None:
        return ()
    options = tuple(training.options.items())
    return training.student, training.dataset, training.limit, len(training.teachers), options, cell.evaluate is None


def seconds(cell: ExperimentCell, sizes: Mapping[str, int], history: History) -> float | None:
    """The time to train and evaluate a cell, by the median of earlier runs of its student; None where there are none.
    A cell without a training counts as 0."""
    training = cell.distill
    if training is None:
        return 0.0
    own = history.student(training.student)
    alike = [run for run in own if len(run.alpha) == len(training.teachers)] or own
    if not alike:
        return None
    whole = sizes[training.dataset]
    questions = questions_seen(training, min(whole, training.limit or whole))
    speed: float = median(run.metrics["questions_per_second"] for run in alike)
    valid: float = median(run.metrics.get("evaluating_seconds", 0.0) for run in alike)
    numbers = {run.id for run in own}
    test = [one.seconds or 0.0 for one in history.evaluations if one.subject.run in numbers]
    return questions / speed + valid + (median(test) if test and cell.evaluate is not None else 0.0)


def questions_seen(training: CellTraining, count: int) -> int:
    """Questions in all the steps of a training on `count` questions, each as often as it is seen. Early stopping can
    make it fewer."""
    given = {one.name: training.options[one.name] for one in fields(TrainSettings) if one.name in training.options}
    recipe: Any = training.options.get("recipe", DEFAULT_RECIPE)
    situation = Situation(shape=student_shape(training.student), questions=count, valid=0)
    settings = with_recipe(recipe, situation, given)
    return settings.questions_after(settings.steps(count), count)


def student_bytes(student: str, history: History) -> int | None:
    """The size of a student in float32, by what earlier runs saved, else by its files; None where that is unknown."""
    saved = (_weights(Path(run.folder)) for run in reversed(history.student(student)))
    size = next(filter(None, saved), None)
    if size is not None:
        return size
    path = Path(student)
    if path.suffix == ".gguf" and path.is_file():
        return 8 * path.stat().st_size  # the file may have four bits a weight
    return 2 * _weights(path) or None  # the files may be in half precision


def _weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0


def jobs_that_fit(students: Sequence[str], wanted: int, history: History) -> tuple[int, str]:
    """How many of `wanted` trainings fit into this machine's memory and threads, and why not all."""
    import psutil

    need = max((_memory(student, history, "host") for student in students), default=_BASE)
    here = int(psutil.virtual_memory().available / need)
    there = sum(trainings_on_gpus(students, history).values()) if gpus() else here
    fitting = max(1, min(here, there))
    if processors() < min(wanted, fitting):
        return processors(), f"there are {processors()} threads"
    if fitting < wanted:
        least, where = (need, "memory") if here <= there else (_on_gpu(students, history), "a GPU's memory")
        return fitting, f"one needs about {least / 1e9:.1f} GB of {where}"
    return wanted, ""


def trainings_on_gpus(students: Sequence[str], history: History) -> dict[str, int]:
    """How many trainings fit into the free memory of each GPU."""
    held = _on_gpu(students, history)
    return {name: int(left / held) for name, left in gpus().items()}


def _on_gpu(students: Sequence[str], history: History) -> float:
    return max((_memory(student, history, "gpu") for student in students), default=_BASE)


def _memory(student: str, history: History, place: Literal["host", "gpu"]) -> float:
    """Bytes that a training takes: the peak of earlier runs of this student on such a machine, else an estimate from
    its weights."""
    whole = [run for run in history.student(student) if not _saves_memory(run)]
    peaks = [run.metrics.get("peak_memory", {}) for run in whole]
    measured = [peak[place] for peak in peaks if place in peak and ("gpu" in peak) == bool(gpus())]
    return max(measured, default=_BASE + _COPIES * (student_bytes(student, history) or 0))


def _saves_memory(run: Run) -> bool:
    """Whether its options made it take less memory than a plain training."""
    return bool(run.settings.train.lora_rank or run.settings.train.gradient_checkpointing)


@cache
def gpus() -> Mapping[str, int]:
    """NVIDIA's GPUs that this process may use, by the name that CUDA_VISIBLE_DEVICES has for each, with the free bytes.
    By the driver's own tool: loading torch takes longer than planning."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    tool = shutil.which("nvidia-smi")
    if tool is None or allowed in ("", "-1"):
        return {}
    query = [tool, "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
        rows = [[word.strip() for word in line.split(",")] for line in output.splitlines() if line.strip()]
        found = {index: (uuid, int(left) * 2**20) for index, uuid, left in rows}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}  # without an answer of the driver, the trainings report what is wrong
    wanted = None if allowed is None else [name.strip() for name in allowed.split(",")]
    return {
        name: left for index, (uuid, left) in found.items() for name in (index, uuid)
        if (name == index if wanted is None else name in wanted)
    }  # fmt: skip
