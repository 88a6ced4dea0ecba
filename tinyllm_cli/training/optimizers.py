"""Optimizers and learning-rate schedules by the names that transformers gives them."""

from __future__ import annotations

import tempfile
from typing import Any

from tinyllm_cli.errors import UsageProblem, choices

SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
)  # fmt: skip
"""Those of transformers' that need nothing but numbers of steps."""

_FUSED = "adamw_torch_fused"
_POLYNOMIAL_END = 1e-7  # as transformers sets it
_OF_THE_MODEL = ("galore", "apollo", "lomo", "adalomo", "schedule_free")  # they need a loop of their own


def optimizer_names() -> list[str]:
    from transformers.training_args import OptimizerNames

    return [name.value for name in OptimizerNames if not name.value.startswith(_OF_THE_MODEL)]


def make_optimizer(model: Any, name: str, lr: float, weight_decay: float) -> Any:
    """The optimizer over what is to be trained of `model`.

    Raises UsageProblem for an unknown name, or one whose package is missing."""
    import torch

    parameters = [value for value in model.parameters() if value.requires_grad]
    if name == _FUSED:
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    from transformers import Trainer, TrainingArguments  # seconds, which the usual optimizer needs not cost

    if name not in optimizer_names():
        raise UsageProblem(f"There is no optimizer '{name}'.", f"Choose one of: {choices(optimizer_names())}.")
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, optim=name, learning_rate=lr, weight_decay=weight_decay, report_to="none")
    try:
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    except (ImportError, ValueError) as error:
        raise UsageProblem(
            f"The optimizer {name} can't be had here: {error}".rstrip(".") + ".", "Install it."
        ) from error
    if "weight_decay" in kind.__init__.__code__.co_varnames:
        settings = {"weight_decay": weight_decay, **settings}
    return kind(parameters, **settings)


def make_schedule(name: str, optimizer: Any, warmup_steps: int, steps: int) -> Any:
    """The schedule of `SCHEDULES` by this name.

    Raises UsageProblem for one that these numbers are not for."""
    from transformers import get_scheduler

    if name == "polynomial" and (warmup_steps >= steps or optimizer.param_groups[0]["lr"] <= _POLYNOMIAL_END):
        raise UsageProblem(
            f"--schedule polynomial goes down to a learning rate of {_POLYNOMIAL_END:g} after the warm-up, and this"
            f" training has {steps} steps, {warmup_steps} of warm-up.",
            "Choose a higher --lr, fewer --warmup-steps, or another --schedule.",
        )
    return get_scheduler(name, optimizer, warmup_steps, steps)
