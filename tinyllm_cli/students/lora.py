"""Low-rank additions to a student's linear layers, which are trained in place of its weights (peft)."""

from __future__ import annotations

from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.students.base import Student

_ADAPTER = "default"


def add_lora(student: Student, *, rank: int, alpha: float, seed: int) -> None:
    """Freeze the weights and give every linear layer but the head an addition of this rank, which begins as zero.

    Raises UsageProblem for a rank above the smaller dimension of every layer."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    widest = max(min(value.shape) for value in student.model.parameters() if value.dim() == 2)
    if rank > widest:
        raise UsageProblem(
            f"--lora-rank {rank} is more than the rank of any layer of this student ({widest}).",
            f"Try --lora-rank {min(8, widest)}.",
        )
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear")  # type: ignore[arg-type]
    inject_adapter_in_model(config, student.model, adapter_name=_ADAPTER)


def merged_state(model: Any) -> dict[str, Any]:
    """The state of `model` with the additions merged into the weights, under their original names. `model` itself does
    not change and can be trained further."""
    state: dict[str, Any] = model.state_dict()
    for name, module in model.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        own = {key: state.pop(key) for key in list(state) if key.startswith(f"{name}.")}
        base = {key.removeprefix(f"{name}.base_layer."): value for key, value in own.items() if ".base_layer." in key}
        base["weight"] = base["weight"] + module.get_delta_weight(_ADAPTER).detach()
        state.update({f"{name}.{key}": value for key, value in base.items()})
    return state
