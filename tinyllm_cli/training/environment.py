"""The machine that a training runs on: its precision, device, threads, package versions and memory."""

from __future__ import annotations

import platform
import resource
import sys
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any, Literal

from tinyllm_cli import __version__
from tinyllm_cli.records.settings import Environment, Precision
from tinyllm_cli.students.loading import student_device


def environment_of(precision: Precision) -> Environment:
    """What a training with this setting uses here, known before a student is loaded."""
    import torch

    device = student_device()
    kind = device.partition(":")[0]
    model = torch.cuda.get_device_name() if kind == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Environment(
        device=f"{kind} ({model})", precision=resolved_precision(precision, device), threads=torch.get_num_threads()
    )


def versions() -> dict[str, str]:
    """Of what can change the weights that a training ends with."""
    packages = {name: version(name) for name in ("torch", "transformers", "numpy")}
    return {"tinyllm": __version__, "python": platform.python_version(), **packages}


def resolved_precision(precision: Precision, device: str) -> Literal["float32", "bfloat16"]:
    """ "auto" is bfloat16 where the hardware multiplies it natively, else float32. float16 is never used: T5 overflows
    in it."""
    import torch

    if precision != "auto":
        return precision
    kind = device.partition(":")[0]
    if kind == "cuda":
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    else:
        capabilities = torch.cpu.get_capabilities()
        native = kind == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return "bfloat16" if native else "float32"


def precision_context(precision: Precision, device: str, *, keep: bool = True) -> AbstractContextManager[Any] | None:
    """bfloat16 autocast, or None for float32. `keep`: the weights in bfloat16 until the context ends."""
    import torch

    low = resolved_precision(precision, device) == "bfloat16"
    return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16, cache_enabled=keep) if low else None


def peak_memory(device: str) -> dict[str, int]:
    """The most bytes that this process has held so far: `host`, and `gpu` where it computes on one."""
    import torch

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.startswith("cuda"):
        peak["gpu"] = torch.cuda.max_memory_reserved(device)
    return peak
