"""How long a plan will take and how many of its processes fit side by side, from what earlier runs took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tinyllm_cli.records import Run

_COPIES = 5
"""Weights, gradients, the optimizer's two moments and the best student being written, in float32."""

_BASE = 1.5e9
"""Bytes of the libraries and a batch."""


def seconds(runs: Sequence[Run], questions: int, epochs: int = 1) -> float | None:
    """What training on `questions` will take, by the median speed of finished runs; None where there is none."""
    speeds = [run.figures["questions_per_second"] for run in runs if run.state == "done" and run.figures]
    known = [speed for speed in speeds if speed]
    return questions * epochs / median(known) if known else None


def jobs_that_fit(student: str, wanted: int, threads: int) -> tuple[int, str]:
    """How many of `wanted` trainings this machine's memory and threads hold, and why not all."""
    import psutil

    if wanted > threads:
        return threads, f"there are {threads} threads"
    files = list(Path(student).glob("*.safetensors")) if Path(student).is_dir() else []
    need = _BASE + _COPIES * 2 * sum(file.stat().st_size for file in files)  # files may hold half-precision weights
    fitting = max(1, int(psutil.virtual_memory().available / need))
    if fitting < wanted:
        return fitting, f"one needs about {need / 1e9:.1f} GB of memory"
    return wanted, ""
