"""Optimizers and learning-rate schedules by the names that transformers gives them."""

from __future__ import annotations

import tempfile
from typing import Any

from tinyllm_cli.errors import UsageProblem, choices

SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
)  # fmt: skip
"""Those of transformers that need only numbers of steps."""

_FUSED = "adamw_torch_fused"
_POLYNOMIAL_END = 1e-7  # as transformers sets it
_OF_THE_MODEL = ("galore", "apollo", "lomo", "adalomo", "schedule_free")  # they need a training loop of their own


_BY_ELEMENT = (_FUSED, "adamw_torch", "sgd", "rmsprop", "adagrad")
"""Those that update each number by its own gradient and state alone, so that a part of a parameter is enough."""


def check_divisible(name: str) -> None:
    """Raises UsageProblem for an optimizer that needs whole parameters, such as adafactor."""
    if name not in _BY_ELEMENT:
        raise UsageProblem(
            f"The optimizer {name} can't be used with --shard.", f"Choose one of: {choices(_BY_ELEMENT)}."
        )


def optimizer_names() -> list[str]:
    from transformers.training_args import OptimizerNames

    return [name.value for name in OptimizerNames if not name.value.startswith(_OF_THE_MODEL)]


def make_optimizer(model: Any, name: str, lr: float, weight_decay: float) -> Any:
    """The optimizer over the trained parameters of `model`. Matrices decay; norms and biases do not.

    Raises UsageProblem for an unknown name, or one whose package is missing."""
    import torch

    trained = [value for value in model.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in trained if value.dim() > 1], "weight_decay": weight_decay},
        {"params": [value for value in trained if value.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == _FUSED:
        return torch.optim.AdamW(groups, lr=lr, fused=True)
    if name not in optimizer_names():
        raise UsageProblem(f"There is no optimizer '{name}'.", f"Choose one of: {choices(optimizer_names())}.")
    from transformers import Trainer, TrainingArguments  # takes seconds, which the default optimizer does not need

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, optim=name, learning_rate=lr, weight_decay=weight_decay, report_to="none")
    try:
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    except (ImportError, ValueError) as error:
        reason = f"The optimizer {name} is not available here: {error}"
        raise UsageProblem(reason.rstrip(".") + ".", "Install its package.") from error
    return kind(groups, **settings)


def make_schedule(name: str, optimizer: Any, warmup_steps: int, steps: int) -> Any:
    """The schedule of `SCHEDULES` by this name.

    Raises UsageProblem where these numbers do not suit it."""
    from transformers import get_scheduler

    if name == "polynomial" and (warmup_steps >= steps or optimizer.param_groups[0]["lr"] <= _POLYNOMIAL_END):
        raise UsageProblem(
            f"--schedule polynomial decays to a learning rate of {_POLYNOMIAL_END:g} after the warm-up, and this"
            f" training has {steps} steps, {warmup_steps} of them warm-up.",
            "Choose a higher --lr, fewer --warmup-steps, or another --schedule.",
        )
    return get_scheduler(name, optimizer, warmup_steps, steps)
