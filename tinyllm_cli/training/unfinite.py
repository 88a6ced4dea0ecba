"""Losses and gradients that are not finite: no update is made with them, and the training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.sharding import local, readable
from tinyllm_cli.training.distributed import Processes

if TYPE_CHECKING:
    import torch


class UnfiniteGuard:
    """Lets the device itself leave out the update of a step that is not finite, and of all later ones, so that the
    program can ask for the reason later. `possible`: only torch's fused AdamW can leave one out."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._watched: list[tuple[int, torch.Tensor, torch.cuda.Event | None]] = []

    @property
    def possible(self) -> bool:
        import torch

        own = self._optimizer
        return type(own) is torch.optim.AdamW and all(group["fused"] for group in own.param_groups)

    def watch(self, step: int, finite: torch.Tensor) -> None:
        """The next update is that of `step`, whose loss and gradient are finite or not."""
        skipped = (~finite).float()
        before = getattr(self._optimizer, "found_inf", None)
        # What torch.amp.GradScaler sets: the fused kernel reads both.
        self._optimizer.grad_scale = None
        self._optimizer.found_inf = skipped if before is None else skipped.maximum(before)
        self._watched.append((step, *_on_its_way(finite)))

    def first_unfinite(self) -> int | None:
        """The first of the steps watched since the last call that was not finite. Waits for them, not for what was
        launched later."""
        watched, self._watched = self._watched, []
        for step, finite, copied in watched:
            if copied is not None:
                copied.synchronize()
            if not bool(finite):
                return step
        return None


def _on_its_way(flag: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event | None]:
    """The flag in the host's memory, and what says that it has arrived; None where it is there already."""
    import torch

    if flag.device.type == "cpu":
        return flag, None
    here = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
    here.copy_(flag, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()
    return here, copied


def refuse_unfinite(student: Student, example: Example, step: int, processes: Processes) -> None:
    """Raises UsageProblem where the update of `step` made weights or outputs that are not finite, in any process."""
    import torch

    with torch.no_grad():
        with readable(student.model):
            logits, _ = student.target_logits([example])
        weights = [local(value) for value in student.model.parameters()]
        finite = [logits.isfinite().all(), *(value.isfinite().all() for value in weights)]
    if any(processes.sum_numbers([not all(map(bool, finite))])):
        raise diverged(step)


def diverged(step: int) -> UsageProblem:
    return UsageProblem(f"The training diverged: no finite loss or weights at step {step}.", "Try a smaller --lr.")
