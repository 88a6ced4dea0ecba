"""Several processes train one student: each takes a part of every step's examples, and their gradients are summed.

`torchrun` and `accelerate launch` start the processes and describe the group in the environment. A step's weights are
fixed by the whole step (`tinyllm_cli.training.objective`), so the sum is the gradient of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tinyllm_cli.errors import UsageProblem

Item = TypeVar("Item")
_BUCKET = 2**24  # numbers that are summed in one call


@dataclass(frozen=True)
class Processes:
    """This process among `size`; `rank` 0 keeps the records. A single process communicates with nobody.

    `shards`: each holds a part of the student (`tinyllm_cli.students.sharding`), not the whole. Then all must run the
    same passes through it, in step."""

    rank: int = 0
    size: int = 1
    shards: bool = False

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[Item], sizes: Sequence[int]) -> list[Item]:
        """This process's part of a step: every `size`-th by length, so that the parts take about as long."""
        order = sorted(range(len(items)), key=lambda index: -sizes[index])
        return [items[index] for index in order[self.rank :: self.size]]

    def sum_gradients(self, model: Any) -> None:
        """Each parameter's gradient becomes the sum over all processes."""
        import torch

        if self.size == 1 or self.shards:  # FSDP has done that in the backward pass
            return
        trained = [value for value in model.parameters() if value.requires_grad]
        for value in trained:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
        for bucket in _buckets([value.grad for value in trained]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            torch.distributed.all_reduce(flat)
            for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def most(self, passes: int) -> int:
        """The passes through a sharded student that this process must run, which has itself only so many to run."""
        import torch

        if not self.shards:
            return passes
        most = torch.tensor(passes, device=_device())
        torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
        return int(most)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        import torch

        if self.size == 1:
            return list(numbers)
        total = torch.tensor(list(numbers), dtype=torch.float64, device=_device())
        torch.distributed.all_reduce(total)
        return [float(number) for number in total.tolist()]

    def broadcast_from_rank0(self, value: Item) -> Item:
        """The `value` of the first process; those of the others are ignored. All must call it at the same point."""
        import torch

        if self.size == 1:
            return value
        values: list[Any] = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        result: Item = values[0]
        return result


ALONE = Processes()


def sharding(wanted: bool) -> bool:
    """Whether the student is divided among the processes: `wanted` (--shard), or configured in `accelerate launch`.

    Raises UsageProblem where nothing started several processes, and for a configuration that is not supported."""
    configured = _flag("ACCELERATE_USE_FSDP")
    if _flag("ACCELERATE_USE_DEEPSPEED"):
        raise UsageProblem(
            "DeepSpeed is not supported.",
            "Divide the student among the processes with --shard, or accelerate launch --use_fsdp --fsdp_version 2.",
        )
    if configured and os.environ.get("FSDP_VERSION", "1") != "2":
        raise UsageProblem(
            "accelerate is configured for FSDP 1, and FSDP 2 is supported.",
            "Start it with accelerate launch --use_fsdp --fsdp_version 2, or with torchrun and --shard.",
        )
    for name, instead in _OTHER_OPTIONS.items():
        if configured and _flag(name):
            raise UsageProblem(f"accelerate's --{name.lower()} is not supported.", f"Remove it{instead}.")
    if wanted and not _launched():
        raise UsageProblem(
            "--shard divides the student among several processes, and this is a single one.",
            "Start them with torchrun --nproc-per-node 2 -m tinyllm_cli distill --shard ...",
        )
    return wanted or configured


_OTHER_OPTIONS = {"FSDP_OFFLOAD_PARAMS": "", "FSDP_ACTIVATION_CHECKPOINTING": " and use --gradient-checkpointing"}
"""What accelerate can do beside dividing a student, and what to do instead."""


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("true", "1")


def _launched() -> bool:
    """Whether torchrun or `accelerate launch` started this process, be it the only one."""
    return "MASTER_ADDR" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def process_group(*, shards: bool = False) -> Iterator[Processes]:
    """The processes that this one was started with; a group of them exists within the block. With `shards` they divide
    a student among them; where there is one process, it has the whole."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "MASTER_ADDR" not in os.environ:
        yield Processes()
        return
    import torch

    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(rank=torch.distributed.get_rank(), size=size, shards=shards)
    finally:
        torch.distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this process keeps the records and prints."""
    return os.environ.get("RANK", "0") == "0" or "MASTER_ADDR" not in os.environ


def take_own_gpu() -> None:
    """Select this process's own GPU. Call it before a model is loaded."""
    import torch

    if torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def _buckets(gradients: Sequence[Any]) -> Iterator[list[Any]]:
    bucket: list[Any] = []
    for gradient in gradients:
        if bucket and sum(one.numel() for one in bucket) + gradient.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
