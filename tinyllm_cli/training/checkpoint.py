"""The resumable state of a training on disk: weights, optimizer, schedule and notes, after a step.

A state is complete or not there: it is written beside the previous one and gets its name when every byte is on the
disk; only then the previous one is removed, even if it is of the same step. What is random in a step follows from the
seed and the step's number, so no generator's state is needed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tinyllm_cli.files import to_disk
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.sharding import gathered, own_part

_NAME = "step-{:09d}-{:d}"
"""The step, and a count of the run's states: Ctrl-C may save a step that has a state already."""


class Resumable(Protocol):
    """What of a training is saved."""

    student: Student
    optimizer: Any
    scheduler: Any
    done: int
    token_budget: int


def runs_root(database: Path) -> Path:
    """The folder in which `distill` puts the runs of a database: `tinyllm-runs` beside `tinyllm.db`."""
    return database.resolve().parent / f"{database.stem}-runs"


def state_folder(run_folder: Path) -> Path:
    """Beside the folder of the student, hidden: it is gone when the run is done."""
    return run_folder.with_name(f".{run_folder.name}.state")


def save_state(folder: Path, training: Resumable, notes: Mapping[str, Any], *, write: bool = True) -> None:
    """Write the state of `training` and the `notes` that belong to it (JSON), then remove the previous state.

    All processes of a sharded student call this; those that do not `write` give their parts. What is written does not
    depend on their number.

    Raises OSError, or safetensors' own error, when it can't be written; the previous state stays."""
    from safetensors.torch import save_file

    tensors, rest = _optimizer_state(training.optimizer)
    tensors, weights = gathered(tensors, keep=write), gathered(_weights(training), keep=write)
    if not write:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        save_file(weights, temporary / "weights.safetensors")
        save_file(tensors, temporary / "optimizer.safetensors")
        scalars = {
            "step": training.done,
            "token_budget": training.token_budget,
            "optimizer": rest,
            "scheduler": training.scheduler.state_dict(),
            "notes": notes,
        }
        (temporary / "state.json").write_text(json.dumps(scalars), encoding="utf-8")
        to_disk(*temporary.iterdir())
        final = folder / _NAME.format(training.done, 1 + max(map(_count, folder.glob("step-*")), default=0))
        temporary.rename(final)
        to_disk(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for other in folder.iterdir():
        if other != final:
            shutil.rmtree(other, ignore_errors=True)


def restore_state(folder: Path, training: Resumable) -> Mapping[str, Any] | None:
    """Put `training` into the newest state in `folder` and return its notes; None when there is none."""
    from safetensors.torch import load_file

    newest = max(folder.glob("step-*"), key=_count, default=None)
    if newest is None:
        return None
    scalars = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    weights = load_file(newest / "weights.safetensors")
    for name, value in _weights(training).items():
        value.copy_(own_part(weights[name], value))
    tensors = _own_parts(training.optimizer, load_file(newest / "optimizer.safetensors"))
    training.optimizer.load_state_dict(_optimizer_dict(training.optimizer, tensors, scalars["optimizer"]))
    training.scheduler.load_state_dict(scalars["scheduler"])
    training.done, training.token_budget = scalars["step"], scalars["token_budget"]
    notes: Mapping[str, Any] = scalars["notes"]
    return notes


def _count(state: Path) -> int:
    """The number of the state within its run; greater for the newer."""
    return int(state.name.removeprefix("step-").partition("-")[2] or 0)


def discard_state(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _weights(training: Resumable) -> dict[str, Any]:
    """The trained weights; tied ones once."""
    named = training.student.model.named_parameters()
    return {name: value.data for name, value in named if value.requires_grad}


def _optimizer_state(optimizer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(tensors by `parameter.name`, everything else)."""
    import torch

    state = optimizer.state_dict()
    tensors: dict[str, Any] = {}
    scalars: dict[str, Any] = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            (tensors if isinstance(value, torch.Tensor) else scalars)[f"{number}.{name}"] = value
    groups = [{name: value for name, value in group.items() if name != "params"} for group in state["param_groups"]]
    return tensors, {"scalars": scalars, "groups": groups}


def _own_parts(optimizer: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """What of an optimizer's state belongs to this process's parts of the parameters."""
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    owners = {name: parameters[int(name.partition(".")[0])] for name in tensors}
    return {
        name: own_part(value, owners[name]) if value.shape == owners[name].shape else value
        for name, value in tensors.items()
    }


def _optimizer_dict(optimizer: Any, tensors: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for place, value in (*tensors.items(), *rest["scalars"].items()):
        number, _, name = place.partition(".")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    restored = [{**group, **saved} for group, saved in zip(groups, rest["groups"], strict=True)]
    return {"state": state, "param_groups": restored}
