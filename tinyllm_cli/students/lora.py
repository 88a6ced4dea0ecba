"""Low-rank additions to a student's linear layers, which are trained in place of its weights (peft)."""

from __future__ import annotations

from collections.abc import Mapping
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


def merged_state(model: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """`state`, all of the model's, with the additions merged into the weights, under their original names. `model`
    itself does not change and can be trained further."""
    merged = dict(state)
    for name, module in model.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        own = {key.removeprefix(f"{name}."): merged.pop(key) for key in list(merged) if key.startswith(f"{name}.")}
        base = {key.removeprefix("base_layer."): value for key, value in own.items() if key.startswith("base_layer.")}
        base["weight"] = base["weight"] + _addition(module, own)
        merged.update({f"{name}.{key}": value for key, value in base.items()})
    return merged


def _addition(module: Any, own: Mapping[str, Any]) -> Any:
    """What a layer adds to its weights, from its part of the state: the parameters of a sharded model aren't whole."""
    product = own[f"lora_B.{_ADAPTER}.weight"] @ own[f"lora_A.{_ADAPTER}.weight"]
    return (product.T if module.fan_in_fan_out else product) * module.scaling[_ADAPTER]
