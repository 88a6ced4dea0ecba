"""What a plan will take: time, by what earlier runs took; memory, and the place of the students on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Literal

from tinyllm_cli.experiments.grid import ExperimentCell, last_value
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run

_COPIES = 5
"""Weights, gradients, the optimizer's two moments and the best student being written, in float32."""

_BASE = 1.5e9
"""Bytes of the libraries and a batch."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What was done so far in this database."""

    runs: Sequence[Run]
    evaluations: Sequence[Evaluation]

    def student(self, name: str) -> list[Run]:
        """The finished trainings of this student, those that know how fast they were."""
        return [
            run for run in self.runs
            if run.student == name and run.state == "done" and run.metrics.get("questions_per_second")
        ]  # fmt: skip


def seconds(cell: ExperimentCell, sizes: Mapping[str, int], history: History) -> float | None:
    """What training and evaluating a cell will take, by the median of earlier ones of its student; None where there
    is none. A cell that trains nothing counts as nothing."""
    if cell.distill is None:
        return 0.0
    own = history.student(str(cell.label["student"]))
    alike = [run for run in own if len(run.alpha) == _teachers(cell)] or own
    if not alike:
        return None
    whole = sizes[str(cell.label["dataset"])]
    limit, epochs = (last_value(cell.distill, option) for option in ("--limit", "--epochs"))
    questions = min(whole, int(limit or whole)) * int(epochs or 1)
    speed: float = median(run.metrics["questions_per_second"] for run in alike)
    valid: float = median(run.metrics.get("evaluating_seconds", 0.0) for run in alike)
    numbers = {run.id for run in own}
    test = [one.seconds or 0.0 for one in history.evaluations if one.subject.run in numbers]
    return questions / speed + valid + (median(test) if test and cell.evaluate is not None else 0.0)


def _teachers(cell: ExperimentCell) -> int:
    """How many speak: their tasks are what takes the time."""
    return (last_value(cell.distill or (), "--alpha") or "").count("=")


def student_bytes(student: str, history: History) -> int | None:
    """What a student takes in float32, by what earlier runs saved, or else by its files; None where that is unknown."""
    saved = (_weights(Path(run.folder)) for run in reversed(history.student(student)))
    size = next(filter(None, saved), None)
    if size is not None:
        return size
    path = Path(student)
    if path.suffix == ".gguf" and path.is_file():
        return 8 * path.stat().st_size  # as if of four bits a weight
    return 2 * _weights(path) or None  # as if in half precision


def _weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0


def jobs_that_fit(students: Sequence[str], wanted: int, history: History) -> tuple[int, str]:
    """How many of `wanted` trainings this machine's memory and threads hold, and why not all."""
    import psutil

    need = max((_memory(student, history, "host") for student in students), default=_BASE)
    here = int(psutil.virtual_memory().available / need)
    there = sum(trainings_on_gpus(students, history).values()) if gpus() else here
    fitting = max(1, min(here, there))
    if threads() < min(wanted, fitting):
        return threads(), f"there are {threads()} threads"
    if fitting < wanted:
        least, where = (need, "memory") if here <= there else (_on_gpu(students, history), "a GPU's memory")
        return fitting, f"one needs about {least / 1e9:.1f} GB of {where}"
    return wanted, ""


def trainings_on_gpus(students: Sequence[str], history: History) -> dict[str, int]:
    """How many trainings the free memory of each GPU holds."""
    held = _on_gpu(students, history)
    return {name: int(left / held) for name, left in gpus().items()}


def _on_gpu(students: Sequence[str], history: History) -> float:
    return max((_memory(student, history, "gpu") for student in students), default=_BASE)


def _memory(student: str, history: History, place: Literal["host", "gpu"]) -> float:
    """Bytes that a training takes: the most that an earlier one of this student did on such a machine, or else what its
    weights let expect."""
    whole = [run for run in history.student(student) if not _sparing(run)]
    peaks = [run.metrics.get("peak_memory", {}) for run in whole]
    measured = [peak[place] for peak in peaks if place in peak and ("gpu" in peak) == bool(gpus())]
    return max(measured, default=_BASE + _COPIES * (student_bytes(student, history) or 0))


def _sparing(run: Run) -> bool:
    """It held less than a training without such options does."""
    return bool(run.settings.train.lora_rank or run.settings.train.gradient_checkpointing)


@cache
def gpus() -> Mapping[str, int]:
    """NVIDIA's GPUs that this process may use, by the name that CUDA_VISIBLE_DEVICES has for each, with the bytes that
    are free. Asked of the driver's own tool: loading torch takes longer than planning."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    tool = shutil.which("nvidia-smi")
    if tool is None or allowed in ("", "-1"):
        return {}
    query = [tool, "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
        rows = [[word.strip() for word in line.split(",")] for line in said.splitlines() if line.strip()]
        found = {index: (uuid, int(left) * 2**20) for index, uuid, left in rows}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}  # a driver that doesn't answer: the trainings will say so
    wanted = None if allowed is None else [name.strip() for name in allowed.split(",")]
    return {
        name: left for index, (uuid, left) in found.items() for name in (index, uuid)
        if (name == index if wanted is None else name in wanted)
    }  # fmt: skip


def threads() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
